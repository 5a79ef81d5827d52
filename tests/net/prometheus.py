# SPDX-License-Identifier: GPL-2.0-or-later
"""
A strict reader of Prometheus' text format 0.0.4: what a lenient one forgives is an error here.
Each metric is announced by HELP and TYPE, in that order, its samples follow at once, no series
comes twice, and a histogram's buckets are cumulative and end at its count.
"""

import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? ([0-9]+(?:\.[0-9]+)?)\Z")
TYPES = ("counter", "gauge", "histogram")
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count")}
ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


def labels_of(text):
    found = []
    for part in re.findall(LABEL, text or ""):
        key, value = part.split("=", 1)
        found.append((key, re.sub(r"\\.", lambda m: ESCAPES[m.group()], value[1:-1])))
    keys = [key for key, _ in found]
    assert len(keys) == len(set(keys)), f"a label twice: {text}"
    return tuple(sorted(found))


class Metrics:
    """types: {metric: type}; samples: {(name, ((label, value), ...)): number}"""

    def __init__(self, text):
        self.types, self.samples, self.helps = {}, {}, {}
        assert text.endswith("\n") and text.isascii(), "no line feed at the end, or not ASCII"
        family = None
        for line in text[:-1].split("\n"):
            if line.startswith("#"):
                family = self._comment(line, family)
            else:
                self._sample(line, family)
        assert self.types.keys() == self.helps.keys()
        self._all_have_samples()
        for name, kind in self.types.items():
            if kind == "histogram":
                self._histogram(name)

    def _comment(self, line, family):
        word, name, rest = re.fullmatch(rf"# (HELP|TYPE) ({NAME}) (.+)", line).groups()
        if word == "HELP":
            assert name not in self.helps, f"{name} is announced twice"
            self.helps[name] = rest
            return name
        assert name == family and name not in self.types and rest in TYPES, line
        self.types[name] = rest
        return name

    def _sample(self, line, family):
        match = SAMPLE.match(line)
        assert match, f"not a sample: {line!r}"
        name, labels, value = match.groups()
        kind = self.types.get(family)
        assert kind, f"no TYPE before {line!r}"
        assert name in [family + suffix for suffix in SUFFIXES.get(kind, ("",))], (line, family)
        assert (kind == "counter") == name.endswith("_total") or kind == "histogram", line
        key = name, labels_of(labels)
        assert key not in self.samples, f"twice: {line}"
        self.samples[key] = float(value) if "." in value else int(value)

    def _all_have_samples(self):
        seen = {name for name, _ in self.samples}
        for name, kind in self.types.items():
            for suffix in SUFFIXES.get(kind, ("",)):
                assert name + suffix in seen, f"{name} has no sample {name + suffix}"

    def _histogram(self, name):
        """Of one series, which is all there is here."""
        buckets = [(dict(labels)["le"], value) for (n, labels), value in self.samples.items()
                   if n == name + "_bucket"]
        bounds = [float(le) for le, _ in buckets]
        counts = [value for _, value in buckets]
        assert bounds == sorted(set(bounds)) and bounds[-1] == float("inf"), bounds
        assert counts == sorted(counts), f"{name}: not cumulative: {counts}"
        assert counts[-1] == self.value(name + "_count"), name

    def value(self, name, **labels):
        return self.samples[name, tuple(sorted(labels.items()))]

    def labelled(self, name, label):
        """{value of the label: number}"""
        return {dict(labels)[label]: value for (n, labels), value in self.samples.items()
                if n == name}

    def names(self):
        """Of samples."""
        return {name for name, _ in self.samples}

    def is_counter(self, name):
        return name.endswith(("_total", "_bucket", "_sum", "_count"))

    def not_after(self, later):
        """No counter is less in `later`, and no series is gone."""
        for (name, labels), value in self.samples.items():
            assert (name, labels) in later.samples, (name, labels)
            if self.is_counter(name):
                assert value <= later.samples[name, labels], (name, labels)


def bad(text):
    """Whether it is refused."""
    try:
        Metrics(text)
    except (AssertionError, AttributeError, KeyError):
        return True
    return False


GOOD = ("# HELP a_total x\n# TYPE a_total counter\na_total{l=\"v\"} 1\n"
        "# HELP h x\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\n"
        "h_sum 1.5\nh_count 2\n")
BREAKS = (("# HELP a_total x\n", ""), ("# TYPE a_total counter\n", ""), ("counter", "summary"),
          ("a_total{", "b_total{"), ("\"v\"} 1\n", "\"v\"} 1\na_total{l=\"v\"} 2\n"),
          ("\"v\"", "\"v\"\""), ("\"v\"", "\"\\v\""), ("} 1\n", "} -1\n"), ("} 1\n", "} 1 \n"),
          ("+Inf\"} 2", "+Inf\"} 1"), ("\"1\"} 1", "\"1\"} 3"), ("le=\"+Inf\"", "le=\"2\""),
          ("h_sum 1.5\n", ""), ("# HELP h x\n", "# HELP h x\n# HELP h x\n"),
          ("h_count 2\n", "h_count 2"),
          ("# TYPE a_total counter", "# TYPE a_total gauge"), ("a_total{l=\"v\"} 1\n", ""))


def check_itself():
    assert not bad(GOOD)
    for before, after in BREAKS:
        assert before in GOOD
        assert bad(GOOD.replace(before, after, 1)), f"not seen: {before!r} to {after!r}"


def names_in(expression):
    """Metrics that a query asks for."""
    words = re.sub(
        r'"(?:[^"\\]|\\.)*"|\{[^}]*\}|\[[^]]*\]|\b(?:by|without) \([^)]*\)', " ", expression)
    return {word for word in re.findall(NAME, words)
            if word.startswith(("sluice_", "process_"))}
