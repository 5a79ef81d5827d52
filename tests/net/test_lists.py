# SPDX-License-Identifier: GPL-2.0-or-later
"""Lists of names in files."""

import tls
from case import is_allowed, is_denied, test

MANY = 100_000


def write(t, name, lines):
    path = t.lab.path(name)
    with open(path, "w", encoding="ascii") as f:
        f.writelines(line + "\n" for line in lines)
    return path


def denied(t, name, reason="policy"):
    is_denied(t, tls.handmade_hello(name.encode()))
    t.logged(name=name, reason=reason, verdict="deny")


def passes(t, name):
    answer, _ = t.send(tls.handmade_hello(name.encode()) + tls.record(b"\2\50", 21, 0x303))
    assert answer != tls.ACCESS_DENIED_ALERT, f"{name} is denied"
    t.logged(name=name, verdict="allow")


@test(families=(4,), daemon=False, seconds=60)
def hundred_thousand_names(t):
    allowed = write(t, "allow.list", (f"h{i}.unlisted.test" for i in range(MANY)))
    blocked = write(t, "deny.list", (f"0.0.0.0 d{i}.allowed.test" for i in range(1000)))
    sluice = t.own(changes={"rule many.allow": f"file:{allowed}",
                            "rule many.deny": f"file:{blocked}"})
    assert sluice.ask("status")["names"] >= MANY
    for i in 0, 1, 4711, MANY - 1:
        passes(t, f"h{i}.unlisted.test")
    for i in 0, 500, 999:
        denied(t, f"d{i}.allowed.test")
    denied(t, f"h{MANY}.unlisted.test")
    is_allowed(t, "allowed.test")
    t.logged(name="allowed.test", reason="ok")
    assert sluice.ctl("reload").returncode == 0
    passes(t, f"h{MANY - 1}.unlisted.test")
    denied(t, f"h{MANY}.unlisted.test")


@test(families=(4,), daemon=False)
def formats_of_lists(t):
    """One a line, squid's dstdomain files, hosts files; comments and blank lines."""
    plain = write(t, "plain.list", ["# comment", "", "a.unlisted.test # why", "  b.unlisted.test  ",
                                    "C.Unlisted.Test.", ".tree2.unlisted.test",
                                    "*.below2.unlisted.test"])
    hosts = write(t, "hosts.list", ["127.0.0.1 localhost", "0.0.0.0 x.allowed.test y.allowed.test",
                                    "::1 localhost", "127.0.0.1\tz.allowed.test"])
    t.own(changes={"rule lists.allow": f"file:{plain}", "rule lists.deny": f"file:{hosts}"})
    for name in "a", "b", "c", "tree2", "x.tree2", "x.below2":
        passes(t, f"{name}.unlisted.test")
    denied(t, "below2.unlisted.test")
    for name in "x", "y", "z":
        denied(t, f"{name}.allowed.test")
    passes(t, "w.allowed.test")
