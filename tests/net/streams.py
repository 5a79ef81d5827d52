# SPDX-License-Identifier: GPL-2.0-or-later
"""
Runs stream (stream.c) on both sides of the gateway and puts together what its two ends, the
access log and the counters say of the same connections.
"""

import collections
import json
import os
import signal
import subprocess

from lab import CLIENTS, SERVERS, pick
from netns import run

DOMAIN = "raw.test"
PORT = 443
RESETS = "client-resets", "server-resets"
OTHER_END = {"sent": "received", "received": "sent"}


def program(build):
    path = os.path.join(build, "tests/net/stream")
    if not os.access(path, os.X_OK):
        raise FileNotFoundError(f"no {path}: make -C {build} net-programs")
    return path


class Server:
    """stream serve, in the server's namespace while the with-block lasts; then its verdict."""

    def __init__(self, lab, build, family, seconds):
        self.lab, self.seconds, self.verdict = lab, seconds, None
        self.address = pick(SERVERS["raw"], family)
        self.argv = [program(build), "serve", self.address, PORT, DOMAIN, "-t", seconds]

    def __enter__(self):
        self.process = self.lab.start(self.lab.server, self.argv, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "listening\n", "stream serve does not listen"
        return self

    def __exit__(self, kind, value, trace):
        self.process.send_signal(signal.SIGTERM)
        try:
            # what is open either ends or is found stuck
            out, _ = self.process.communicate(timeout=2 * self.seconds + 10)
        finally:
            self.lab.processes.stop(self.process, signal.SIGKILL)
        if kind is None:
            self.verdict = json.loads(out)


class Streams:
    """
    One run of `count` connections; with `scenarios`, of these alone. seconds: without progress,
    a connection is stuck.
    """

    def __init__(self, lab, build, family, count, scenarios=(), concurrent=64, seconds=10,
                 seed=1, first=0, limit=600):
        self.count, self.seconds = count, int(seconds)
        options = ["-n", count, "-i", first, "-c", concurrent, "-s", seed, "-t", self.seconds]
        options += [word for s in scenarios for word in ("-o", s)]
        options += [word for role in CLIENTS for word in ("-b", pick(CLIENTS[role], family))]
        with Server(lab, build, family, self.seconds) as server:
            done = run(lab.client.command([program(build), "drive", server.address, PORT, DOMAIN,
                                           *options]), check=False, timeout=limit)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"stream drive: exit {done.returncode} {done.stderr}")
        self.drive, self.serve = json.loads(done.stdout), server.verdict

    def problems(self):
        """What is wrong, as far as client and server know."""
        found = self.drive["failures"] + self.serve["failures"]
        ended = self.drive["connections"] + self.drive["errors"]
        if ended != self.count:
            found.append(f"{ended} of {self.count} connections were made")
        for name, ours in self.drive["scenarios"].items():
            theirs = self.serve["scenarios"].get(name, {"connections": 0, "sent": 0, "received": 0})
            found += self._compare(name, ours, theirs)
        return found

    def _compare(self, name, ours, theirs):
        if name in RESETS:
            # the server does not see every client that resets, or not what it was
            seen = theirs["connections"] + (self.serve["unnamed"] if name == RESETS[0] else 0)
            if not theirs["connections"] <= ours["connections"] or seen > ours["connections"]:
                yield f"{name}: {seen} at the server, {ours['connections']} at the client"
            return
        if ours["connections"] != theirs["connections"]:
            yield f"{name}: {theirs['connections']} of {ours['connections']} at the server"
        for one, other in OTHER_END.items():
            if ours[one] != theirs[other]:
                yield f"{name}: {one} {ours[one]} at the client, {other} {theirs[other]} beyond"

    @property
    def stuck(self):
        return self.drive["stuck"] + self.serve["stuck"]

    @property
    def bytes(self):
        """What was compared, at both ends."""
        return self.drive["received"] + self.serve["received"]

    def disagreements(self, lines):
        """What is wrong with the lines of the access log for these connections."""
        if len(lines) != self.count:
            yield f"{len(lines)} lines for {self.count} connections"
        by_name = collections.defaultdict(list)
        for line in lines:
            by_name[line["name"].removesuffix("." + DOMAIN)].append(line)
        for name, ours in self.drive["scenarios"].items():
            if name in RESETS:
                continue
            reasons = {line["reason"] for line in by_name[name]}
            if reasons != {"ok"}:
                yield f"{name}: reasons {reasons} in the log"
            for key, expected in ("bytes_up", ours["sent"]), ("bytes_down", ours["received"]):
                total = sum(line[key] for line in by_name[name])
                if total != expected:
                    yield f"{name}: {key} {total} in the log, {expected} at the client"


class Report:
    """A run through the daemon of a Case: what is wrong, and who carried how much."""

    def __init__(self, t, count, **options):
        before = t.sluice.stats()
        self.streams = Streams(t.lab, t.build, t.family, count, **options)
        self.problems = self.streams.problems()
        t.sluice.quiet()
        after = t.sluice.stats()
        self.lines = t.lines()
        self.kernel, self.user = (
            sum(after[key] - before[key] for key in (f"bytes_up_{who}", f"bytes_down_{who}"))
            for who in ("kernel", "user"))
        self.problems += self.streams.disagreements(self.lines)
        logged = sum(line["bytes_up"] + line["bytes_down"] for line in self.lines)
        if self.kernel + self.user != logged:
            self.problems.append(f"{self.kernel} bytes by the kernel and {self.user} by user space "
                                 f"in the counters, {logged} in the log")

    @property
    def share(self):
        """Of the bytes, by the kernel."""
        return self.kernel / max(1, self.kernel + self.user)

    def paths(self, scenario):
        """{path: connections} in the log."""
        name = f"{scenario}.{DOMAIN}"
        return collections.Counter(line["path"] for line in self.lines if line["name"] == name)
