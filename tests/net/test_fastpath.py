# SPDX-License-Identifier: GPL-2.0-or-later
"""When the kernel path can be had, when not, and what is said then. Dropping the user."""

import os
import re

import tls
from case import get, is_allowed, is_denied, is_forbidden, test
from lab import list_dir

ONCE = {"modes": (None,), "families": (None,), "daemon": False}
NO_BPF = ("setpriv", "--bounding-set=-bpf,-sys_admin,-net_admin,-perfmon",
          "--inh-caps=-bpf,-sys_admin,-net_admin,-perfmon", "--")
FLOORS = {(6, 1): (6, 1, 191), (6, 12): (6, 12, 113)}  # of series that are supported longer
NEWEST_FLOOR = (6, 18, 0)


def kernel_is_below_floor():
    """As the daemon should see it; Debian says the upstream version in uname -v."""
    found = re.search(r"Debian (\d+)\.(\d+)\.(\d+)", os.uname().version) or re.match(
        r"(\d+)\.(\d+)(?:\.(\d+))?", os.uname().release)
    version = tuple(int(n or 0) for n in found.groups())
    return version < FLOORS.get(version[:2], NEWEST_FLOOR)


def serves_from_user_space(t, sluice):
    assert sluice.ask("status")["fastpath"] == "off"
    is_allowed(t, "allowed.test")
    t.logged(name="allowed.test", reason="ok", path="user")
    is_denied(t, tls.handmade_hello(b"denied.test"))
    t.logged(name="denied.test", reason="policy", path="user")


@test(core=True, **ONCE)
def auto_takes_what_the_kernel_offers(t):
    """On a kernel below the floor: user space, and one line that says so."""
    sluice = t.own("auto")
    if kernel_is_below_floor():
        said = [line for line in sluice.stderr().splitlines() if "below the floor" in line]
        assert len(said) == 1, sluice.stderr()
        assert "floor" in sluice.ask("status")["fastpath_reason"]
        serves_from_user_space(t, sluice)
    else:
        assert sluice.ask("status")["fastpath"] == "on", sluice.stderr()
        is_allowed(t, "allowed.test")
        t.logged(name="allowed.test", reason="ok", path=("kernel", "mixed"))


@test(core=True, **ONCE)
def on_refuses_a_kernel_below_the_floor(t):
    if not kernel_is_below_floor():
        t.own("on")
        return
    sluice = t.own("on", start=False)
    assert sluice.run_to_end() == 1
    assert "below the floor" in sluice.stderr(), sluice.stderr()
    assert not list_dir(t.lab.pin)


@test(**ONCE)
def on_refuses_without_the_capabilities(t):
    sluice = t.own("on", start=False, wrap=NO_BPF)
    assert sluice.run_to_end() == 1
    text = sluice.stderr()
    assert kernel_is_below_floor() or re.search(r"CAP_BPF|CAP_NET_ADMIN|CAP_PERFMON", text), text
    sluice.check_stderr()


@test(**ONCE)
def auto_without_the_capabilities_says_so_and_serves(t):
    sluice = t.own("auto", wrap=NO_BPF)
    said = [line for line in sluice.stderr().splitlines() if "user space" in line]
    assert len(said) == 1, sluice.stderr()
    assert kernel_is_below_floor() or "CAP_" in said[0], said
    serves_from_user_space(t, sluice)


@test(modes=("off",), families=(4, 6), daemon=False)
def off_needs_no_capability(t):
    sluice = t.own("off", wrap=NO_BPF)
    assert not [x for x in sluice.stderr().splitlines() if "CAP_" in x], sluice.stderr()
    serves_from_user_space(t, sluice)
    is_forbidden(t, get("denied.test"), port=80)


CAPS = ("CapInh", "CapPrm", "CapEff", "CapAmb")
NET_ADMIN, BPF = 1 << 12, 1 << 39


def ids(status):
    with open(status, encoding="ascii") as f:
        text = f.read()
    return {key: re.search(rf"^{key}:[ \t]*(.*)$", text, re.M)[1].split()
            for key in ("Name", "Uid", "Gid", "Groups", "NoNewPrivs", *CAPS)}


def keeps_only(sluice, kept):
    """What each thread of the daemon is and may. The one that writes the log may nothing."""
    threads = [ids(f"/proc/{sluice.pid}/task/{task}/status")
               for task in os.listdir(f"/proc/{sluice.pid}/task")]
    assert len(threads) == 4, f"not the main thread, the log's and two workers: {threads}"
    for now in threads:
        assert set(now["Uid"]) == {"65534"} and set(now["Gid"]) == {"65534"}, now
        assert set(now["Groups"]) <= {"65534"}, now
        assert now["NoNewPrivs"] == ["1"], now
        assert all(int(now[key][0], 16) == 0 for key in ("CapInh", "CapAmb")), now
    held = sorted(tuple(int(now[key][0], 16) for key in ("CapPrm", "CapEff")) for now in threads)
    assert held == sorted([(0, 0)] + [(kept, kept)] * 3), threads


def reloads(t, sluice):
    sluice.rewrite({"rule new.allow": "unlisted.test"})
    done = sluice.ctl("reload")
    assert done.returncode == 0, done
    is_allowed(t, "unlisted.test")
    t.logged(name="unlisted.test", reason="ok")


def folder_for_nobody(t, name):
    folder = t.lab.path(name)
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, 0o777)
    return folder


@test(core=True, daemon=False)
def user_is_dropped_and_all_works(t):
    folder = folder_for_nobody(t, "dropped")
    sluice = t.own(changes={"sluice.user": "nobody", "sluice.control": f"{folder}/sock"})
    keeps_only(sluice, BPF if t.mode == "on" else 0)
    assert sluice.ask("status")["fastpath"] == t.mode
    for _ in range(3):
        is_allowed(t, "allowed.test")
        t.logged(name="allowed.test", reason="ok")
        is_denied(t, tls.handmade_hello(b"denied.test"))
        t.logged(name="denied.test", reason="policy")
    is_forbidden(t, get("denied.test"), port=80)
    t.logged(reason="policy")
    hello = tls.handmade_hello(b"denied.test")
    is_denied(t, tls.reframe(hello, [40]))
    t.logged(name="denied.test", reason="policy")
    reloads(t, sluice)


@test(families=(4,), daemon=False)
def started_as_the_user_it_keeps_no_more(t):
    """As by the unit: with the capabilities of the start, and those of a mark to keep."""
    folder = folder_for_nobody(t, "started")
    caps = "+bpf,+perfmon,+net_admin,+net_bind_service"
    sluice = t.own(start=False, changes={
        "sluice.user": "nobody", "sluice.control": f"{folder}/sock", "sluice.pin": "",
        "sluice.mark": "7"}, wrap=[
            t.tool("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups",
            f"--inh-caps={caps}", f"--ambient-caps={caps}", "--"])
    with open(sluice.log.path, "ab") as f:
        os.fchown(f.fileno(), 65534, 65534)
    sluice.start()
    keeps_only(sluice, NET_ADMIN | (BPF if t.mode == "on" else 0))
    is_allowed(t, "allowed.test")
    t.logged(name="allowed.test", reason="ok")
    reloads(t, sluice)


@test(core=True, modes=("on",), families=(4,), daemon=False)
def maps_are_pinned_while_it_runs(t):
    sluice = t.own()
    assert list_dir(t.lab.pin), "nothing is pinned"
    sluice.stop()
    assert not list_dir(t.lab.pin), "something is pinned after the end"


@test(modes=("on",), families=(4,), daemon=False)
def nothing_is_pinned_when_so_configured(t):
    t.own(changes={"sluice.pin": ""})
    assert not list_dir(t.lab.pin)
    is_allowed(t, "allowed.test")
