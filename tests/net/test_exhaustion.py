# SPDX-License-Identifier: GPL-2.0-or-later
"""
Clients that want to use the gateway up: honest ones are served meanwhile, memory stays within its
bound, the counters show what is going on, and afterwards nothing is left. What it costs the honest
ones is measured in tests/bench/exhaustion.
"""

import contextlib

import tls
from case import get, is_allowed, test
from crowd import Flood
from flood import PARTS
from netns import until

# All of them are held at once, however slow the machine is.
HELD = {
    "sluice.max_connections": "16384", "sluice.max_per_client": "16384", "timeouts.hello": "120s"}


def honest(t):
    """What honest clients want, whole."""
    assert "server=site" in is_allowed(t, "allowed.test")
    data, _ = t.send(get("allowed.test", "/", "Connection: close"), port=80)
    assert b"server=site" in data, data
    data, end = t.send(tls.handmade_hello(b"denied.test"))
    assert (data, end) == (tls.ACCESS_DENIED_ALERT, "fin"), (data, end)


# Kind of flood, connections, whose; no client has ports for all of them several times a minute.
FLOODS = (("silent", 5000, "second"), ("drip", 5000, "agent"), ("half", 500, "narrow"),
          ("head", 500, "narrow"), ("crumbs", 8, "narrow"))


@test(ini=HELD, alone=True, seconds=60)
def thousands_that_never_come_to_a_verdict(t):
    """Silent ones, hellos a byte at a time, hellos and heads that are never complete, all at
    once."""
    count = sum(count for _, count, _ in FLOODS)
    with contextlib.ExitStack() as stack:
        floods = [stack.enter_context(Flood(t, kind, held, source=source))
                  for kind, held, source in FLOODS]
        until(lambda: t.sluice.stats()["pending"] == count, 20 * t.scale, f"{count} are pending")
        until(lambda: t.sluice.stats()["pending_bytes"] >= 1000 * PARTS, 20 * t.scale,
              "hellos and heads wait for their ends")
        stats = t.sluice.stats()
        assert stats["pending_bytes"] <= 65536 * 1008 + 400 * 5000, stats
        honest(t)
        for flood, (kind, held, _) in zip(floods, FLOODS):
            said = flood.look()
            assert (said["held"], said["failed"]) == (held, 0), f"{kind}: {said}"
    t.sluice.quiet()
    t.forget_log()
