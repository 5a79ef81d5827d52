# SPDX-License-Identifier: GPL-2.0-or-later
"""What contrib/systemd/sluice.service permits against what the daemon does."""

import functools
import os
import re
import signal
import subprocess

import tls
from case import get, is_allowed, is_denied, is_forbidden, test
from netns import until

HERE = os.path.dirname(os.path.abspath(__file__))
UNIT = os.path.join(HERE, "../../contrib/systemd/sluice.service.in")


@functools.lru_cache
def calls_of_set(name):
    text = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter", name], check=True,
                          capture_output=True, text=True).stdout
    words = [word for word in text.split("\n")[1:] if word.strip() and "#" not in word]
    return frozenset().union(*(calls_of(word.strip()) for word in words))


def calls_of(word):
    return calls_of_set(word) if word.startswith("@") else {word}


def permitted():
    """What the lines of the unit come to, read one after the other as systemd does."""
    calls = set()
    with open(UNIT, encoding="ascii") as f:
        for value in re.findall(r"^SystemCallFilter=(.*)$", f.read(), re.M):
            named = set().union(*(calls_of(word) for word in value.lstrip("~").split()))
            calls = calls - named if value.startswith("~") else calls | named
    return calls


def made(path):
    """The calls in a table of strace -c."""
    with open(path, encoding="ascii") as f:
        rows = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +\d+ +(?:\d+ +)?(\w+)$", f.read(), re.M)
    return set(rows) - {"total"}


@test(families=(4,), daemon=False)
def every_system_call_is_one_that_the_unit_permits(t):
    folder = t.lab.path("unit")
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, 0o777)
    table = f"{folder}/calls"
    caps = "+bpf,+perfmon,+net_admin,+net_bind_service"
    sluice = t.own(start=False, changes={
        "sluice.user": "nobody", "sluice.control": f"{folder}/sock", "sluice.pin": "",
        "sluice.mark": "7"}, wrap=[
            t.tool("strace"), "-D", "-f", "-c", "-o", table,
            t.tool("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups",
            f"--inh-caps={caps}", f"--ambient-caps={caps}", "--"])
    with open(sluice.log.path, "ab") as f:
        os.fchown(f.fileno(), 65534, 65534)
    sluice.start()
    for _ in range(5):
        is_allowed(t, "allowed.test")
        t.logged(name="allowed.test", reason="ok")
    is_denied(t, tls.handmade_hello(b"denied.test"))
    t.logged(name="denied.test", reason="policy")
    is_denied(t, tls.reframe(tls.handmade_hello(b"denied.test"), [40]))
    t.logged(name="denied.test", reason="policy")
    is_forbidden(t, get("denied.test"), port=80)
    t.logged(reason="policy")
    for verb in ("status",), ("stats",), ("flows",), ("explain", "10.77.1.2", "allowed.test"):
        assert sluice.ctl(*verb).returncode == 0, verb
    sluice.signal(signal.SIGUSR1)
    sluice.rewrite({"rule new.allow": "unlisted.test"})
    assert sluice.ctl("reload").returncode == 0
    is_allowed(t, "unlisted.test")
    t.logged(name="unlisted.test", reason="ok")
    sluice.stop()
    until(lambda: os.path.exists(table) and "total" in open(table, encoding="ascii").read(),
          20 * t.scale, "strace has written its table")
    calls = made(table)
    assert "accept4" in calls and ("bpf" in calls) == (t.mode == "on"), calls
    setpriv = {"setgroups", "setresuid", "setresgid"}  # not the daemon's
    assert calls - setpriv <= permitted(), f"not permitted: {calls - setpriv - permitted()}"
