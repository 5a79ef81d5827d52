# SPDX-License-Identifier: GPL-2.0-or-later
"""
Every byte and every end of many connections, in every manner that stream (plan.h) knows, at
once. tests/net/integrity is the same with more of them.
"""

from case import test
from streams import Report, Streams

MIXED = "both-at-once", "bursty-readers", "bulk", "hello-pieces"


def options(t):
    return {"count": 200 if t.core else 2000, "concurrent": 16 if t.core else 64,
            "seconds": 10 * t.scale, "limit": 200 * t.scale}


def no_problems(found):
    assert not found, "\n".join(found[:10])


@test(core=True, plain=True, alone=True, seconds=240)
def every_byte_and_every_end_arrives(t):
    if not t.sluice:
        no_problems(Streams(t.lab, t.build, t.family, **options(t)).problems())
        return
    report = Report(t, **options(t))
    no_problems(report.problems)
    if t.mode == "off":
        assert report.kernel == 0
        return
    # How many of the bytes come behind the hand-over is a matter of the machine's speed.
    print(f"# {report.share:.0%} of the bytes carried by the kernel")
    assert report.kernel
    for scenario in MIXED:
        assert report.paths(scenario)["mixed"], f"no hand-over: {scenario} {report.paths(scenario)}"
