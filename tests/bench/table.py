# SPDX-License-Identifier: GPL-2.0-or-later
"""The results as text: medians, spread, ratios, goals."""

import statistics

from rows import ROWS


def align(rows):
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(len(rows[0]))]
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in rows]


class Table:
    def __init__(self, results, names, skipped):
        self.results, self.names, self.skipped = results, names, skipped

    def series(self, row, value, name):
        """{round: number}"""
        answers = self.results.answers[row.name, name]
        if not value.less_direct:
            return {n: answer[value.key] for n, answer in answers.items()}
        routing = self.results.answers[row.name, "direct"]
        return {n: answer[value.key] - routing[n][value.key] for n, answer in answers.items()
                if n in routing and name != "direct"}

    def cell(self, value, series):
        if not series:
            return "-"
        numbers = list(series.values())
        middle, least, most = (f"{n:.{value.digits}f}" for n in (
            statistics.median(numbers), min(numbers), max(numbers)))
        return f"{middle} ({least}..{most})"

    def rows_of(self, row, names):
        lines = [["", *(value.title for value in row.values)]]
        for name in names:
            series = [self.series(row, value, name) for value in row.values]
            if any(series):
                lines.append([name, *(self.cell(v, s) for v, s in zip(row.values, series))])
        return lines

    def notes(self, row, names):
        return [f"{name}: FAILED RUN, {why}" for name in names
                for why in self.results.failures[row.name, name]]

    def text(self):
        lines = []
        if self.results.broken:
            lines += [*self.results.broken, ""]
        lines += [f"{name}: SKIPPED, {why}" for name, why in self.skipped.items()]
        for row in ROWS:
            table = self.rows_of(row, self.names)
            notes = self.notes(row, self.names)
            if len(table) > 1 or notes:
                lines += [f"{row.name}: {row.what}", ""]
                lines += [f"    {line}" for line in align(table) + notes] + [""]
        return lines
