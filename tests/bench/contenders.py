# SPDX-License-Identifier: GPL-2.0-or-later
"""
Who is measured: routing alone, and Sluice. The other proxies are in peers.py.

A contender has a name, `what` for the table, the path of its `program` (None: there is none),
`workers`, and start(), stop(), kill(), processes().
"""

import collections
import contextlib
import os
import signal

from lab import SERVERS
from netns import until
from sluice import Sluice

NAME = "bench.raw.test"  # allowed by the rules of tests/net
DENIED = "bench.unlisted.test"  # not allowed, though it has an address
TARGET, PORT = SERVERS["raw"][0], 443
ALL = "-all"  # at the end of a name: with all CPUs


class Absent(Exception):
    """A contender that cannot take part; the table says so."""


class Direct:
    """The gateway routes, and nothing else."""
    name, what = "direct", "routing without a proxy"
    program, workers = None, 1

    def __init__(self, lab, _build):
        self.lab = lab

    def start(self):
        for iptables in "iptables", "ip6tables":
            self.lab.gateway.run(iptables, "-w", "-t", "nat", "-I", "PREROUTING", "-j", "ACCEPT")

    def stop(self):
        for iptables in "iptables", "ip6tables":
            self.lab.gateway.run(iptables, "-w", "-t", "nat", "-D", "PREROUTING", "-j", "ACCEPT",
                                 check=False)

    kill = stop

    def processes(self):
        return []


class Log:
    """Sluice's access log, read on and on. A line may come a little later than the end of its
    connection, and the end of the file may be half a line."""

    def __init__(self, daemon):
        self.daemon, self.at = daemon, 0

    def empty(self):
        """Before the daemon starts."""
        with contextlib.suppress(FileNotFoundError):
            os.remove(self.daemon.log.path)
        self.at = 0

    def lines(self, least):
        """The new lines, when no connection is open and there are enough of them."""
        self.daemon.quiet()
        found = []

        def more():
            new, self.at = self.daemon.log.read(self.at)
            found.extend(new)
            return len(found) >= least

        until(more, 10, f"{least} connections are in the access log")
        return found

    def paths(self, least):
        """{path: connections}, with the reason if that is not ok."""
        return collections.Counter(
            line["path"] + ("" if line["reason"] == "ok" else f":{line['reason']}")
            for line in self.lines(least))


class SluiceContender:
    def __init__(self, lab, build):
        self.lab = lab
        self.program = os.path.join(build, "sluiced")
        hosts = lab.path("bench.hosts")
        with open(hosts, "w", encoding="ascii") as f:
            f.writelines(f"{TARGET} {name}\n" for name in (NAME, DENIED))
        self.daemon = Sluice(lab, build, self.mode, start=False, changes={
            "sluice.workers": str(self.workers), "resolver.hosts": hosts,
            "sluice.max_connections": "65536",  # the default of sluiced, not of the tests
            "sluice.access_log": lab.path("access.log")})
        self.log = Log(self.daemon)

    def start(self):
        self.log.empty()
        self.daemon.write()  # the others have the same file
        self.daemon.start()

    def stop(self):
        self.daemon.stop()

    def kill(self):
        self.daemon.kill()

    def processes(self):
        return [self.daemon.pid]

    def system_calls(self, drive):
        """{name: calls while drive() runs and its connections end}"""
        output = self.lab.path("bench.strace")
        tracer = self.daemon.traced(output)
        drive()
        self.daemon.quiet()
        self.lab.processes.stop(tracer, signal.SIGINT)
        calls = {}
        with open(output, encoding="ascii", errors="replace") as f:
            for line in f:
                words = line.split()
                if len(words) >= 5 and words[3].isdigit() and words[-1] != "total":
                    calls[words[-1]] = int(words[3])
        return calls


class SluiceKernel(SluiceContender):
    name, what, mode, workers = "sluice-kernel", "fastpath = on", "on", 1


class SluiceUser(SluiceContender):
    name, what, mode, workers = "sluice-user", "fastpath = off", "off", 1


SLUICES = SluiceKernel, SluiceUser


def with_all_cpus(kind):
    """The same contender with a worker for each CPU."""
    return type(kind.__name__ + "All", (kind,),
                {"name": kind.name + ALL, "workers": os.cpu_count()})
