# SPDX-License-Identifier: GPL-2.0-or-later
"""The results as text: medians and spread of every row, ratios, and the goals beside them."""

import statistics

from contenders import ALL, SLUICES
from peers import PEERS
from rows import CALL_ROWS, ROWS, SQUID_GOAL

ONE_WORKER = [kind.name for kind in PEERS]


def align(rows):
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(len(rows[0]))]
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in rows]


def indented(rows):
    return [f"    {line}" for line in rows] + [""]


def spread(numbers, digits):
    middle, least, most = (f"{n:.{digits}f}" for n in (
        statistics.median(numbers), min(numbers), max(numbers)))
    return f"{middle} ({least}..{most})"


class Ratio:
    """Of two series, round by round: what changed between rounds is in both."""

    def __init__(self, mine, theirs):
        self.each = [mine[n] / theirs[n] for n in mine if theirs.get(n, 0) > 0]
        self.value = statistics.median(self.each) if self.each else None
        below = statistics.median(theirs.values()) if theirs else 0
        self.of_medians = statistics.median(mine.values()) / below if mine and below > 0 else None

    def text(self):
        return spread(self.each, 2) if self.each else "-"


class Table:
    def __init__(self, results, names):
        self.results, self.names = results, names

    # --- numbers ---

    def series(self, row, value, name):
        """{round: number}. What routing costs is its median: a single run of it would carry
        its noise into all the others."""
        answers = self.results.answers[row.name, name]
        off = 0
        if value.less_direct and name != "direct":
            routing = self.results.answers[row.name, "direct"].values()
            if not routing:
                return {}
            off = statistics.median(answer[value.key] for answer in routing)
        return {n: answer[value.key] - off for n, answer in answers.items()}

    def best(self, row, value, names):
        """Who of them has the best median: (name, series), or (None, {})."""
        found = [(name, self.series(row, value, name)) for name in names]
        found = [(name, series) for name, series in found if series]
        if not found:
            return None, {}
        choose = max if value.rate else min
        return choose(found, key=lambda one: statistics.median(one[1].values()))

    # --- goals ---

    def mark(self, row, value, goal, name, ratio):
        failed, slow = self.results.failures[row.name, name], self.results.slow[row.name, name]
        if failed or slow:
            return f"SHORT: {len(failed)} runs failed, {len(slow)} too slow"
        if ratio.value is None:
            return "no ratio: lost in noise, or not measured"
        return "met" if (ratio.value >= goal if value.rate else ratio.value <= goal) else "SHORT"

    def goal_lines(self, row, value, goal, names):
        best, theirs = self.best(row, value, names)
        first = [row.name, value.title, f"{'>=' if value.rate else '<='} {goal}",
                 f"{best} {statistics.median(theirs.values()):.{value.digits}f}" if best else "-"]
        for kind in SLUICES:
            if kind.name not in self.names:
                continue
            ratio = Ratio(self.series(row, value, kind.name), theirs)
            medians = f"{ratio.of_medians:.2f}" if ratio.of_medians is not None else "-"
            yield [*first, kind.name, ratio.text(), medians,
                   self.mark(row, value, goal, kind.name, ratio)]
            first = [""] * len(first)

    def goals(self):
        lines = [["row", "value", "goal", "best of the others", "", "ratio (spread)", "of medians",
                  ""]]
        for row in ROWS:
            for value in row.values:
                if value.goal and any(self.series(row, value, kind.name) for kind in SLUICES):
                    lines += self.goal_lines(row, value, value.goal, ONE_WORKER)
        connect = ROWS[0]
        if self.series(connect, connect.values[0], "squid"):
            lines += self.goal_lines(connect, connect.values[0], SQUID_GOAL, ["squid"])
        if len(lines) == 1:
            return []
        return ["goals: ratio of Sluice to the best of the other proxies, one worker each", "",
                *indented(align(lines))]

    # --- rows ---

    def row_line(self, row, name):
        numbers = [self.series(row, value, name) for value in row.values]
        if not any(numbers):
            return None
        peers = [n for n in self.names if n.removesuffix(ALL) in ONE_WORKER
                 and n.endswith(ALL) == name.endswith(ALL)]
        _, theirs = self.best(row, row.values[0], peers)
        cells = [spread(series.values(), value.digits) if series else "-"
                 for value, series in zip(row.values, numbers)]
        alone = name == "direct" and row.values[0].less_direct  # what was taken off
        return [name, *cells, "-" if alone else Ratio(numbers[0], theirs).text()]

    def row(self, row):
        lines = [line for line in (self.row_line(row, name) for name in self.names) if line]
        notes = [f"{name}: FAILED RUN, {why}" for name in self.names
                 for why in self.results.failures[row.name, name]]
        notes += [f"{name}: TOO SLOW for this row, {', '.join(slow)}" for name in self.names
                  if (slow := self.results.slow[row.name, name])]
        if not lines and not notes:
            return []
        head = ["", *(value.title for value in row.values), "ratio to the best proxy"]
        return [f"{row.name}: {row.what}", "", *indented(align([head, *lines]) + notes)]

    # --- what Sluice did ---

    def paths(self):
        lines = [[row, name, ", ".join(f"{key} {count}" for key, count in sorted(paths.items()))]
                 for (row, name), paths in self.results.paths.items()]
        return ["path of the connections in sluice's access log", "",
                *indented(align(lines))] if lines else []

    def calls(self):
        lines = []
        for (row, name), calls in self.results.calls.items():
            scale, digits = (1, 1) if row == CALL_ROWS[0] else (10000, 0)
            most = sorted(calls.items(), key=lambda c: -c[1])[:8]
            lines.append([row, name, f"{sum(calls.values()) * scale:.{digits}f}:", ", ".join(
                f"{call} {count * scale:.{digits}f}" for call, count in most)])
        return ["system calls of sluiced for one connection, or for 10,000 rounds (a run of its "
                "own, under strace;", "opening and closing of the connections is in it)", "",
                *indented(align(lines))] if lines else []

    def text(self):
        wrong = [*self.results.broken, *(f"{name}: ABSENT, {why}"
                                         for name, why in self.results.absent.items())]
        lines = wrong + [""] if wrong else []
        lines += self.goals()
        for row in ROWS:
            lines += self.row(row)
        return lines + self.paths() + self.calls()

    def stolen(self):
        """Share of the measured time that the host took from this machine, in percent."""
        shares = [answer["stolen"] / answer["seconds"] * 100
                  for answers in self.results.answers.values() for answer in answers.values()
                  if answer.get("seconds")]
        return (statistics.median(shares), max(shares)) if shares else (0, 0)
