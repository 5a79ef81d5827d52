# SPDX-License-Identifier: GPL-2.0-or-later
"""The pinned maps are an interface: contrib/maps reads them with bpftool alone, and must find what
the daemon itself says."""

import os

import tls
from case import get, is_allowed, is_denied, test
from netns import run

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "contrib", "maps")
ON = {"modes": ("on",), "families": (4,), "daemon": False}


def maps(t, *words, check=True):
    return run([SCRIPT, "--pin", t.lab.pin, *words], check=check)


def told(t, *words):
    """Its last two lines: (verdict, rule)."""
    lines = maps(t, *words).stdout.splitlines()
    return tuple(line.split(": ")[1] for line in lines[-2:])


@test(**ON)
def counters_are_what_happened(t):
    sluice = t.own()
    is_allowed(t, "allowed.test")
    is_allowed(t, "other.test")
    is_denied(t, tls.handmade_hello(b"denied.test"))
    t.send(tls.handmade_hello(None))
    sluice.quiet()
    counters = dict(line.split("=") for line in maps(t, "counters").stdout.splitlines())
    stats = sluice.stats()
    assert int(counters["verdicts_allowed"]) + int(counters["verdicts_denied"]) == \
        stats["verdicts_kernel"] == 4, (counters, stats)
    assert counters["policy"] == "1" and counters["no_sni"] == "1", counters
    for key in "events_lost", "overlaps":
        assert int(counters[key]) == stats[key]


@test(**ON)
def names_are_found_as_the_daemon_finds_them(t):
    sluice = t.own()
    rules = [section.split()[1] for section in sluice.ini if section.startswith("rule ")]
    sluice.ctl("deny", ".swap.test")
    clients = {0: "10.77.1.2", 1: "10.77.1.17", 2: "10.77.1.18"}
    for group, name in ((0, "a.b.allowed.test"), (0, "denied.test"), (0, "x.secret.tree.test"),
                        (0, "open.secret.tree.test"), (0, "below.test"), (0, "x.below.test"),
                        (0, "TIE.test."), (0, "x.swap.test"), (1, "other.test"), (1, "agents.test"),
                        (2, "narrow.test")):
        verdict, rule = told(t, "name", name, "--group", str(group))
        want = sluice.ask("explain", clients[group], name)
        rule = rule if not rule.isdigit() else rules[int(rule) - 1]
        assert (verdict, rule) == (want["verdict"], want["rule"]), (group, name, want)
    for port in 443, 8043:
        want = sluice.ask("explain", "10.77.1.2", f"ports.test:{port}")
        assert told(t, "name", "ports.test", "--port", str(port))[0] == want["verdict"]


@test(**ON)
def the_policy_in_force_is_told(t):
    sluice = t.own()

    def head():
        return dict(line.split("=") for line in maps(t, "head").stdout.splitlines())

    first = head()
    assert first["ready"] == "1" and first["enforce"] == "1" and first["min_version"] == "771"
    assert sluice.ctl("reload").returncode == 0
    second = head()
    assert second["generation"] != first["generation"] and second["key"] != first["key"]
    assert int(second["serial"]) == int(first["serial"]) + 1


@test(**ON)
def a_map_that_is_not_there_is_told(t):
    done = run([SCRIPT, "--pin", t.lab.path("nothing"), "counters"], check=False)
    assert done.returncode == 1 and "bpftool" in done.stderr, done
    for words in ("no-such-verb",), ("name", "n\xe4me.test"), ("name", "a.test", "--port", "65536"):
        done = run([SCRIPT, *words], check=False)
        assert done.returncode == 2 and "Traceback" not in done.stderr, done
    sluice = t.own()
    data, _ = t.send(get("denied.test"), port=80)
    assert b"403" in data
    sluice.quiet()
    assert "policy=1" in maps(t, "counters").stdout
