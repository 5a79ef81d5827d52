# SPDX-License-Identifier: GPL-2.0-or-later
"""
Clients that want to use the gateway up: honest ones are served meanwhile, memory stays within its
bound, the counters show what is going on, and afterwards nothing is left. What it costs the honest
ones is measured in tests/bench/exhaustion.
"""

import json
import os
import subprocess
import sys

import tls
from case import get, is_allowed, test
from flood import PARTS
from netns import until

COUNT, FEW = 5000, 500
HELLO_MS = 2000


def held_long(scale):
    return {"sluice.max_connections": "8192", "timeouts.hello": f"{int(HELLO_MS * scale)}ms"}


class Flood:
    """flood.py in the place of a client."""

    def __init__(self, t, kind, count, domain="-", source="second", role="site", port=None):
        self.lab = t.lab
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "flood.py")
        argv = [sys.executable, program, t.server(role), port or (80 if kind == "head" else 443),
                t.client(source), kind, count, domain]
        argv = list(map(str, argv))
        self.process = t.lab.start(t.lab.client, argv, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n", "the flood has not begun"

    def look(self):
        self.process.stdin.write("look\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.lab.processes.stop(self.process)
        self.process.stdout.close()


def honest(t):
    """What honest clients want, whole."""
    assert "server=site" in is_allowed(t, "allowed.test")
    data, _ = t.send(get("allowed.test", "/", "Connection: close"), port=80)
    assert b"server=site" in data, data
    data, end = t.send(tls.handmade_hello(b"denied.test"))
    assert (data, end) == (tls.ACCESS_DENIED_ALERT, "fin"), (data, end)


def pending(t, count):
    """The counters, when so many wait for a verdict."""
    until(lambda: t.sluice.stats()["pending"] >= count, 20 * t.scale, f"{count} are pending")
    return t.sluice.stats()


def served_all_along(t, kind, count, least, most):
    """Pending connections with so many bytes each; they are timed out, and honest ones are served."""
    timed_out = t.sluice.stats()["reasons"]["hello_timeout"]
    with Flood(t, kind, count) as flood:
        until(lambda: t.sluice.stats()["pending_bytes"] >= least * count, 20 * t.scale,
              f"{least} bytes of each")
        stats = pending(t, count * 9 // 10)
        assert stats["pending_bytes"] <= most * stats["pending"], stats
        honest(t)
        until(lambda: t.sluice.stats()["reasons"]["hello_timeout"] > timed_out + count // 2,
              2 * HELLO_MS / 1000 * t.scale + 10, "they are timed out")
        honest(t)
        assert flood.look()["failed"] == 0
    t.sluice.quiet()
    t.forget_log()


@test(ini=held_long, seconds=60)
def thousands_that_say_nothing(t):
    served_all_along(t, "silent", COUNT, 0, 0)


@test(ini=held_long, seconds=60)
def thousands_of_hellos_a_byte_at_a_time(t):
    served_all_along(t, "drip", COUNT, 1, 1000)


@test(ini=held_long, seconds=60)
def hellos_that_never_are_complete(t):
    served_all_along(t, "half", FEW, PARTS * 0.9, 65536)


@test(ini=held_long, seconds=60)
def heads_that_never_are_complete(t):
    served_all_along(t, "head", FEW, PARTS * 0.9, 65536)
