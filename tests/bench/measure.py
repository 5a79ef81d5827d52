# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts the contenders one after the other, checks that they are what they seem, measures."""

import collections
import contextlib
import glob
import json
import os
import shutil
import sys

from contenders import ALL, DENIED, NAME, PORT, SLUICES, TARGET, Direct, Skipped, with_all_cpus
from lab import CLIENTS, LISTENER
from machine import executable, family, listening
from netns import run, until
from peers import PEERS
from rows import ROWS, parts

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
SOURCES = [addresses[0] for addresses in CLIENTS.values()]
PROGRAMS = "sluiced", "sluicectl"
LIMIT = 20  # seconds that a run may take before it is a failed one
WARM_MS, QUICK_WARM_MS, QUICK_MS = 300, 100, 250
RATE_HELD = 0.97  # of a rate that was asked for
ROUNDS, ROUNDS_ALL = 5, 3  # of one worker, of all CPUs


def kinds():
    """All contenders, in the order of the table: those with one worker first."""
    one = [Direct, *SLUICES, *PEERS]
    several = [kind for kind in one if getattr(kind, "scales", kind is not Direct)]
    return one + ([with_all_cpus(kind) for kind in several] if os.cpu_count() > 1 else [])


def say(text):
    print(text, file=sys.stderr, flush=True)


class Results:
    def __init__(self):
        self.answers = collections.defaultdict(dict)  # (row, contender): {round: answer}
        self.failures = collections.defaultdict(list)  # (row, contender): what went wrong
        self.paths = collections.defaultdict(collections.Counter)  # (row, contender)
        self.broken, self.calls = [], {}

    def bad(self):
        return bool(self.broken or self.failures)


class Bench:
    def __init__(self, lab, build, wanted):
        self.lab, self.wanted = lab, wanted
        self.build = lab.path("build")  # copies: a new build meanwhile does not change a run
        os.mkdir(self.build)
        for program in PROGRAMS:
            shutil.copy(os.path.join(build, program), self.build)
        self.load, self.counter = lab.path("load"), lab.path("counter")
        self.contenders, self.skipped = [], {}
        self.results = Results()
        self.server = None

    # --- preparing ---

    def prepare(self):
        run(["gcc", "-D_GNU_SOURCE", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror",
             f"-I{TOP}", "-o", self.load, *sorted(glob.glob(os.path.join(HERE, "load", "*.c")))])
        self.server = self.lab.start(self.lab.server,
                                     [self.load, "serve", TARGET, PORT, "-f", self.counter])
        until(lambda: listening(self.lab.server, PORT), 10, "the server listens")
        for ns in self.lab.client, self.lab.gateway, self.lab.server:
            ns.sysctl("ipv4/ip_local_port_range", "10000 65535")
            ns.sysctl("ipv4/tcp_tw_reuse", 1)
            ns.sysctl("core/somaxconn", 4096)
        for state in "time_wait", "close":  # the table is shared with the whole machine
            with contextlib.suppress(FileNotFoundError):
                self.lab.gateway.sysctl(f"netfilter/nf_conntrack_tcp_timeout_{state}", 1)
        for kind in kinds():
            if self.wanted.contender(kind.name):
                self.add(kind)

    def add(self, kind):
        try:
            self.contenders.append(kind(self.lab, self.build))
        except Skipped as why:
            self.skipped[kind.name] = str(why)
            say(f"SKIPPED {kind.name}: {why}")

    # --- a contender's life ---

    def right_one(self, contender):
        """The process at the port is the one named, and nobody else."""
        assert listening(self.lab.server, PORT) == {self.server.pid}, "a foreign server"
        pids = listening(self.lab.gateway, LISTENER)
        if not contender.program:
            assert not pids, f"somebody listens at {LISTENER}: {pids}"
            return pids
        wanted = os.path.realpath(contender.program)
        assert pids, f"{contender.name} does not listen"
        for pid in pids:
            assert executable(pid) == wanted, f"{executable(pid)} listens, not {wanted}"
        assert pids <= family(contender.processes()), "somebody else's process listens"
        return pids

    def ready(self, contender):
        contender.processes()  # are alive
        return not contender.program or listening(self.lab.gateway, LISTENER)

    def forget_connections(self):
        """What the last contender left in TIME_WAIT would cost the next one."""
        for ns in self.lab.client, self.lab.gateway, self.lab.server:
            ns.run("ss", "-HKtn", "state", "time-wait", check=False)

    @contextlib.contextmanager
    def started(self, contender):
        """The contender lives and judges; afterwards it is dead and its port free."""
        pids = set()
        self.forget_connections()
        try:
            contender.start()
            until(lambda: self.ready(contender), 30, f"{contender.name} listens")
            self.right_one(contender)
            self.judges(contender)
            pids = family(contender.processes())
            yield
            contender.stop()
        except BaseException:
            contender.kill()
            raise
        until(lambda: not listening(self.lab.gateway, LISTENER), 10, "the port is free")
        until(lambda: not any(executable(pid) for pid in pids), 10, f"{contender.name} is dead")

    def judges(self, contender):
        """A name that is allowed arrives; of one that is not, the server sees nothing."""
        answer = self.drive("connect", NAME, ["-n", 1, "-a", "-t", 5])
        assert not answer["errors"] and not answer["stuck"], f"{NAME} does not pass: {answer}"
        if not contender.program:
            return
        settled = self.packets_settled()
        answer = self.drive("connect", DENIED, ["-n", 1, "-a", "-t", 5])
        assert answer["errors"] == 1, f"{contender.name} does not end what is denied: {answer}"
        assert self.packets_settled() == settled, f"{contender.name} lets {DENIED} through"

    def packets_settled(self):
        """Packets that the server has got, when no connection to it is open any more."""
        def closed():
            return not self.lab.server.run("ss", "-Htn", "state", "connected", "exclude",
                                           "time-wait", "sport", "=", f":{PORT}").stdout
        until(closed, 10, "the server's connections have ended")
        return self.lab.packets("raw", 4)

    # --- measuring ---

    def drive(self, mode, name, options):
        sources = [word for source in SOURCES for word in ("-b", source)]
        done = self.lab.client.run(self.load, mode, TARGET, PORT, name, "-f", self.counter,
                                   *options, *sources, check=False, timeout=LIMIT + 20)
        assert done.stdout, f"load: exit {done.returncode}: {done.stderr}"
        return json.loads(done.stdout)

    def time_options(self, row):
        warm, ms = (QUICK_WARM_MS, QUICK_MS) if self.wanted.quick else (WARM_MS, row.ms)
        return ["-w", warm, "-d", ms, "-t", LIMIT]

    def redirected(self):
        """Connections that the rule for our port has redirected so far."""
        lines = self.lab.gateway.run("iptables", "-w", "-t", "nat", "-nvxL", "PREROUTING").stdout
        return sum(int(line.split()[0]) for line in lines.splitlines()
                   if "REDIRECT" in line and f"dpt:{PORT} " in line)

    def wrong(self, row, answer):
        """Why a run does not count, or None."""
        if answer["errors"] or answer["stuck"]:
            return f"{answer['errors']} errors, {answer['stuck']} stuck: {answer['error']}"
        if "-r" in row.options:
            rate = row.options[row.options.index("-r") + 1]
            got = answer["gbit"] * 1000 if "gbit" in answer else answer["per_second"]
            if got < RATE_HELD * rate:
                return f"only {got:.0f} of {rate}"
        return None

    @staticmethod
    def derive(answer):
        """Costs, of what load counted."""
        if answer.get("bytes"):
            answer["per_gb"] = answer["busy"] / answer["bytes"] * 1e9
        if answer.get("measured"):
            answer["per_10000"] = answer["busy"] / answer["measured"] * 1e4

    def measure(self, number, row, contender):
        pids = self.right_one(contender)
        before = self.redirected()
        answer = self.drive(row.mode, NAME, [*row.options, *self.time_options(row)])
        assert self.right_one(contender) == pids, f"{contender.name} is another process now"
        passed = self.redirected() - before
        if contender.program:
            assert passed >= answer["connections"], f"only {passed} were redirected: {answer}"
        else:
            assert not passed, "redirected although routing was to be measured"
        why = self.wrong(row, answer)
        if why:
            self.results.failures[row.name, contender.name].append(f"round {number + 1}: {why}")
            say(f"FAILED {row.name} {contender.name}: {why}")
            return answer["connections"] if not answer["stuck"] else 0
        self.derive(answer)
        self.results.answers[row.name, contender.name][number] = answer
        numbers = "  ".join(f"{value.title} {answer[value.key]:.{value.digits}f}"
                            for value in row.values)
        say(f"  {row.name:<14} {contender.name:<17} {numbers}")
        return answer["connections"]

    def part(self, number, part, contender):
        """All rows of a part, in one life of the contender."""
        rows = [row for row in self.rows(contender) if row.part == part]
        log = getattr(contender, "log", None)
        with self.started(contender):
            if log:
                log.forget()
            for row in rows:
                connections = self.measure(number, row, contender)
                if log:
                    self.results.paths[row.name, contender.name].update(log.paths(connections))

    def rows(self, contender):
        return [row for row in ROWS if self.wanted.row(row)
                and row.part in getattr(contender, "parts", parts())
                and (row.all_cpus or not contender.name.endswith(ALL))]

    def rounds(self, contender):
        if self.wanted.rounds:
            return self.wanted.rounds
        return ROUNDS_ALL if contender.name.endswith(ALL) else ROUNDS

    def everything(self):
        most = max(self.rounds(contender) for contender in self.contenders)
        for number in range(most):
            say(f"round {number + 1} of {most}")
            turn = number % len(self.contenders)
            order = self.contenders[turn:] + self.contenders[:turn]
            for part in parts():
                for contender in order:
                    if number < self.rounds(contender) and any(
                            row.part == part for row in self.rows(contender)):
                        self.attempt(f"{part} round {number + 1}", contender,
                                     self.part, number, part)

    def attempt(self, what, contender, function, *arguments):
        """A contender that breaks down is a line in the table; the others go on."""
        try:
            function(*arguments, contender)
        except AssertionError as error:
            self.results.broken.append(f"{contender.name}: BROKE DOWN in {what}: {error}")
            say(self.results.broken[-1])
