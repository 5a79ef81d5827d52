# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel counts of the daemon's programs and maps."""

import contextlib

SYSCTL = "/proc/sys/kernel/bpf_stats_enabled"


@contextlib.contextmanager
def counted():
    """The kernel keeps the time of programs meanwhile."""
    with open(SYSCTL, encoding="ascii") as f:
        before = f.read()
    try:
        with open(SYSCTL, "w", encoding="ascii") as f:
            f.write("1")
        yield
    finally:
        with open(SYSCTL, "w", encoding="ascii") as f:
            f.write(before)


def programs(sluice):
    """Sums over the daemon's programs: {run_time_ns, run_cnt, verified_insns}"""
    return sums(sluice, "prog_id", ("run_time_ns", "run_cnt", "verified_insns"))


def maps_bytes(sluice):
    """What the kernel has given to the daemon's maps, by its own account."""
    return sums(sluice, "map_id", ("memlock",))["memlock"]


def sums(sluice, what, keys):
    """Of these lines of fdinfo, over the different objects of the daemon that have a line
    `what`."""
    total = dict.fromkeys(keys, 0)
    seen = set()
    for fd in sluice.descriptors():
        with contextlib.suppress(FileNotFoundError):
            with open(f"/proc/{sluice.pid}/fdinfo/{fd}", encoding="ascii") as f:
                fields = dict(line.split(":", 1) for line in f)
            if what in fields and fields[what] not in seen:
                seen.add(fields[what])
                for key in keys:
                    total[key] += int(fields[key])
    return total
