# SPDX-License-Identifier: GPL-2.0-or-later
"""Lists of names in files."""

import contextlib
import os
import pty
import re
import subprocess
import tempfile

import lists
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


# --- large lists, and files that are none ---------------------------------------------------

CHECK = {"modes": (None,), "families": (None,), "daemon": False}


def on_a_terminal(argv):
    """Runs a program whose standard error is a terminal: (exit status, what it wrote there)."""
    leader, follower = pty.openpty()
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=follower) as process:
        os.close(follower)
        text = b""
        with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
            while part := os.read(leader, 65536):
                text += part
        os.close(leader)
        return process.wait(), text.decode()


@test(**CHECK)
def reading_is_followed_on_a_terminal_only(t):
    """Each line takes the place of the one before, and nothing of them stays."""
    path = t.lab.path("long.list")
    lists.write(path, "hosts", 200_000)
    sluice = t.own("off", {"rule long.deny": f"file:{path}"}, start=False)
    status, text = on_a_terminal([sluice.program("sluiced"), "-t", "-f", sluice.ini_path])
    assert status == 0, text
    assert text.endswith("\r\x1b[K"), f"it stays: {text!r}"
    shown = text.removesuffix("\r\x1b[K").split("\r\x1b[K")[1:]
    seen = [re.fullmatch(r" *(\d+)% (\d+) names, (.*)", line) for line in shown]
    assert len(seen) >= 2 and all(seen), f"not one line each: {text!r}"
    assert all(path.startswith(m[3]) and m[3] for m in seen), text
    told = [(int(m[2]), int(m[1])) for m in seen]
    assert told == sorted(told) and 0 < told[0][1] < told[-1][1] < 100, told
    done = sluice.test()
    assert done.returncode == 0 and not done.stderr, f"not a terminal: {done.stderr!r}"


@test(**CHECK)
def list_without_entries_is_warned_of(t):
    path = write(t, "empty.list", ["# a download that failed", "127.0.0.1 localhost"])
    sluice = t.own("off", {"rule empty.deny": f"file:{path}"}, start=False)
    done = sluice.test()
    assert done.returncode == 0, done.stderr
    assert f"the list '{path}' has no entries" in done.stderr, done.stderr


@test(**CHECK)
def list_in_another_format_is_refused_by_its_name(t):
    path = write(t, "filters.txt", ["[Adblock Plus 2.0]", "! Title: x", "||ads.test^"])
    done = t.own("off", {"rule filters.deny": f"file:{path}"}, start=False).test()
    assert done.returncode == 1, done
    assert f"{path}:1:" in done.stderr and "AdBlock filter list" in done.stderr, done.stderr


# --- watch_lists ----------------------------------------------------------------------------

def allows(t, name):
    return t.sluice.ask("explain", t.client("client"), f"{name}:443")["verdict"] == "allow"


def in_force(t, name):
    """Nobody has asked for a reload; and it is more than what the daemon says."""
    t.until(lambda: allows(t, name), 20, f"{name} is allowed")
    passes(t, name)


@test(families=(4,), daemon=False)
def changed_list_is_in_force_unasked(t):
    """Written in place, renamed over, and a symlink two steps away swapped."""
    data = os.path.basename(tempfile.mkdtemp(dir=t.lab.path("")))
    here = t.lab.path(data)
    for name in "v1", "v2":
        os.mkdir(f"{here}/{name}")
        write(t, f"{data}/{name}/list", [f"{name}.unlisted.test"])
    os.symlink("v1", f"{here}/now")
    os.symlink("now/list", f"{here}/list")
    sluice = t.own(changes={"rule watched.allow": f"file:{here}/list", "policy.watch_lists": "yes"})
    passes(t, "v1.unlisted.test")
    write(t, f"{data}/v1/list", ["in-place.unlisted.test"])
    in_force(t, "in-place.unlisted.test")
    denied(t, "v1.unlisted.test")
    os.rename(write(t, f"{data}/v1/new", ["renamed.unlisted.test"]), f"{here}/v1/list")
    in_force(t, "renamed.unlisted.test")
    os.symlink("v2", f"{here}/next")
    os.rename(f"{here}/next", f"{here}/now")
    in_force(t, "v2.unlisted.test")
    denied(t, "renamed.unlisted.test")
    # switched off by a change that is itself seen, and on again by a reload
    sluice.rewrite({"policy.watch_lists": "no", "rule more.allow": "more.unlisted.test"})
    in_force(t, "more.unlisted.test")
    assert "anon_inode:inotify" not in sluice.descriptors().values()
    sluice.rewrite({"policy.watch_lists": "yes"})
    assert sluice.ctl("reload").returncode == 0
    write(t, f"{data}/v2/list", ["again.unlisted.test"])
    in_force(t, "again.unlisted.test")


@test(families=(4,), daemon=False)
def broken_list_leaves_the_old_one_in_force_unasked(t):
    path = write(t, "watched.list", ["old.unlisted.test"])
    sluice = t.own(changes={"rule watched.allow": f"file:{path}", "policy.watch_lists": "yes"})
    write(t, "watched.list", ["new.unlisted.test", "bad..name"])
    t.until(lambda: f"{path}:2:" in sluice.stderr(), 20, "the log has file and line")
    passes(t, "old.unlisted.test")
    denied(t, "new.unlisted.test")
    write(t, "watched.list", ["new.unlisted.test"])
    in_force(t, "new.unlisted.test")
    denied(t, "old.unlisted.test")
