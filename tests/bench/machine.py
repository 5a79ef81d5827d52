# SPDX-License-Identifier: GPL-2.0-or-later
"""What /proc and ss say: who listens, which processes there are, where the memory is."""

import contextlib
import glob
import os
import re
import time

from netns import until

# of /proc/meminfo: sockets and their kin, stacks, page tables, maps, counters of each CPU
KERNEL_MEMORY = "Slab", "KernelStack", "PageTables", "VmallocUsed", "Percpu"
SETTLE_S, SETTLE_TURNS, SETTLED_KB = 0.2, 20, 256


# --- processes ------------------------------------------------------------------------------

def listening(ns, port):
    """Process ids that listen at a TCP port of the namespace."""
    pids = set()

    def known():  # ss looks for processes first: of a new socket it does not know them
        lines = ns.run("ss", "-Hltnp", "sport", "=", f":{port}").stdout.splitlines()
        pids.update(int(pid) for line in lines for pid in re.findall(r"pid=(\d+)", line))
        return all("pid=" in line for line in lines)

    until(known, 5, f"ss says who listens at {port}")
    return pids


def backlogs(ns, port):
    """How many connections may wait at those that listen there."""
    lines = ns.run("ss", "-Hltn", "sport", "=", f":{port}").stdout.splitlines()
    return {int(line.split()[2]) for line in lines}


def executable(pid):
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/exe")
    return None


def _parent(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        return int(f.read().rpartition(")")[2].split()[1])
    return 0


def family(pids):
    """The processes and all their descendants."""
    found = set(pids)
    parents = {int(p): _parent(p) for p in os.listdir("/proc") if p.isdigit()}
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        grown = bool(more)
        found |= more
    return found


# --- memory ---------------------------------------------------------------------------------

def _numbers(path):
    with open(path, encoding="ascii") as f:
        return {line.split(":")[0]: int(line.split()[1]) for line in f if ":" in line
                and line.split()[1].isdigit()}


def own_kb(pids):
    """Memory of processes that is not file cache; shared pages divided by those who share."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            parts = _numbers(f"/proc/{pid}/smaps_rollup")
            total += parts["Pss_Anon"] + parts["Pss_Shmem"]
    return total


def _kernel_kb():
    caches = [(path, "1") for path in glob.glob("/sys/kernel/slab/*/shrink")]
    for path, value in [("/proc/sys/vm/drop_caches", "2"), *caches,
                        ("/proc/sys/vm/stat_refresh", "1")]:
        with contextlib.suppress(OSError), open(path, "w", encoding="ascii") as f:
            f.write(value)
    info = _numbers("/proc/meminfo")
    return sum(info[key] for key in KERNEL_MEMORY)


def kernel_kb():
    """
    Memory that the kernel of the whole machine holds for itself. Names of files and the like are
    dropped first, and so is what it keeps for objects to come. What it lets go is given back a
    little later: so this is a value that has come to rest. (What is not free would be the more
    direct measure, and wanders by 10 MB and more without any reason.)
    """
    value, still = _kernel_kb(), 0
    for _ in range(SETTLE_TURNS):
        time.sleep(SETTLE_S)
        before, value = value, _kernel_kb()
        still = still + 1 if abs(value - before) <= SETTLED_KB else 0
        if still == 2:
            break
    return value
