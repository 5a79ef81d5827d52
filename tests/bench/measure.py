# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts the contenders one after the other, checks that they are what they seem, measures."""

import collections
import contextlib
import os
import shutil
import subprocess
import sys
import time

from contenders import (ALL, DENIED, NAME, PORT, SLUICES, Absent, Direct, SluiceContender,
                        with_all_cpus)
from ends import Clients, build_load, load_server, memory, tls_server
from lab import LISTENER
from machine import backlogs, executable, family, listening
from netns import until
from peers import BACKLOG, PEERS
from rows import CALL_ROWS, ROWS, parts

PROGRAMS = "sluiced", "sluicectl"
RATE_HELD = 0.97  # of a rate that was asked for
ROUNDS, ROUNDS_ALL = 5, 3  # of one worker, of all CPUs
ROUNDS_OF = {"memory": 3, "tls": 3}  # parts that need fewer
PROBE = "-n", 1, "-a", "-t", 5  # one connection
TRACE_MS = 500
LAST_ROUND_S = 33 * 60  # none begins later, on a machine that is slower than it should be


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
        self.slow = collections.defaultdict(list)  # (row, contender): which rate was not held
        self.paths = collections.defaultdict(collections.Counter)  # (row, contender)
        self.absent = {}  # contender: why
        self.broken, self.calls = [], {}

    def bad(self):
        return bool(self.absent or self.broken or any(self.failures.values()))


class Bench:
    """wanted: row(row), contender(name), rounds, quick."""

    def __init__(self, lab, build, wanted):
        self.lab, self.wanted = lab, wanted
        self.build = lab.path("build")  # copies: a new build meanwhile does not change a run
        os.mkdir(self.build)
        for program in PROGRAMS:
            shutil.copy(os.path.join(build, program), self.build)
        self.load, self.counter = build_load(lab), lab.path("counter")
        self.clients = Clients(lab, self.load, self.counter, wanted.quick)
        self.server = load_server(lab, self.load, self.counter)
        self.results = Results()
        self.contenders = []
        self.rest_mb = 0
        self.begin = time.monotonic()
        self.prepare_network()
        for kind in kinds():
            if wanted.contender(kind.name):
                self.add(kind)

    def prepare_network(self):
        for ns in self.lab.client, self.lab.gateway, self.lab.server:
            ns.sysctl("ipv4/ip_local_port_range", "10000 65535")
            ns.sysctl("ipv4/tcp_tw_reuse", 1)
            ns.sysctl("core/somaxconn", BACKLOG)
        for state in "time_wait", "close":  # the table is shared with the whole machine
            with contextlib.suppress(FileNotFoundError):
                self.lab.gateway.sysctl(f"netfilter/nf_conntrack_tcp_timeout_{state}", 1)

    def add(self, kind):
        try:
            self.contenders.append(kind(self.lab, self.build))
        except Absent as why:
            self.results.absent[kind.name] = str(why)
            say(f"ABSENT {kind.name}: {why}")

    # --- a contender's life ---

    def right_one(self, contender):
        """The processes at the port are of the program named, and nobody else's."""
        self.server.check()
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
        try:
            contender.start()
            until(lambda: self.ready(contender), 30, f"{contender.name} listens")
            self.right_one(contender)
            if contender.program:
                waiting = backlogs(self.lab.gateway, LISTENER)
                assert waiting == {BACKLOG}, f"{contender.name}: backlog {waiting}"
            self.judges(contender)
            pids = family(contender.processes())
            yield
            contender.stop()
        except BaseException:
            contender.kill()
            raise
        until(lambda: not listening(self.lab.gateway, LISTENER), 10, "the port is free")
        until(lambda: not any(executable(pid) for pid in pids), 10, f"{contender.name} is dead")
        self.forget_connections()

    def judges(self, contender):
        """A name that is allowed arrives; of one that is not, the server sees nothing."""
        answer = self.clients.drive("connect", NAME, PROBE)
        assert not answer["errors"] and not answer["stuck"], f"{NAME} does not pass: {answer}"
        if not contender.program:
            return
        before = self.packets_settled()
        answer = self.clients.drive("connect", DENIED, PROBE)
        assert answer["errors"] == 1, f"{contender.name} does not end what is denied: {answer}"
        assert self.packets_settled() == before, f"{contender.name} lets {DENIED} through"

    def packets_settled(self):
        """Packets that the server has got, when no connection to it is open any more."""
        def closed():
            return not self.lab.server.run("ss", "-Htn", "state", "connected", "exclude",
                                           "time-wait", "sport", "=", f":{PORT}").stdout
        until(closed, 10, "the server's connections have ended")
        return self.lab.packets("raw", 4)

    @contextlib.contextmanager
    def tls(self):
        """nginx is the server meanwhile."""
        ours = self.server
        ours.stop()
        try:
            self.server = tls_server(self.lab)
            yield
            self.server.stop()
        finally:
            self.server = load_server(self.lab, self.load, self.counter)

    # --- measuring ---

    def redirected(self):
        """Connections that the rule for our port has redirected so far."""
        lines = self.lab.gateway.run("iptables", "-w", "-t", "nat", "-nvxL", "PREROUTING").stdout
        return sum(int(line.split()[0]) for line in lines.splitlines()
                   if "REDIRECT" in line and f"dpt:{PORT} " in line)

    @staticmethod
    def wrong(answer):
        """Why a run failed, or None."""
        if answer["errors"] or answer["stuck"]:
            return f"{answer['errors']} errors, {answer['stuck']} stuck: {answer['error']}"
        return None

    @staticmethod
    def too_slow(row, answer):
        """Of a row at a rate: how it was not held, or None."""
        if "-r" not in row.options:
            return None
        rate = row.options[row.options.index("-r") + 1]
        got = answer["gbit"] * 1000 if "gbit" in answer else answer["per_second"]
        return f"{got:.0f} of {rate}" if got < RATE_HELD * rate else None

    def checked(self, row, contender):
        """One run, by the process that is named, and through it."""
        pids = self.right_one(contender)
        before = self.redirected()
        answer = self.clients.one(row, contender)
        assert self.right_one(contender) == pids, f"{contender.name} is another process now"
        passed = self.redirected() - before
        if contender.program:
            assert passed >= answer["connections"], f"only {passed} were redirected: {answer}"
        else:
            assert not passed, "redirected although routing was to be measured"
        return answer

    def measure(self, number, row, contender):
        """Returns how many connections must be in the access log at least."""
        answer = self.checked(row, contender)
        key = row.name, contender.name
        why, slow = self.wrong(answer), self.too_slow(row, answer)
        if why or slow:
            say(f"FAILED {row.name} {contender.name}: {why or slow}")
            if why:
                self.results.failures[key].append(f"round {number + 1}: {why}")
            else:
                self.results.slow[key].append(slow)
            return 0 if answer["stuck"] else answer["connections"]
        if row.mode == "idle":
            answer["rest_mb"] = self.rest_mb
        self.results.answers[key][number] = answer
        numbers = "  ".join(f"{value.title} {answer[value.key]:.{value.digits}f}"
                            for value in row.values)
        seconds = time.monotonic() - self.begin
        say(f"{seconds:5.0f} s  {row.name:<14} {contender.name:<17} {numbers}")
        return answer["connections"]

    def part(self, number, part, contender):
        """All rows of a part, in one life of the contender."""
        before = memory() if part == "memory" else {}
        with self.started(contender):
            if part == "memory":
                self.rest_mb = (memory(contender)["total_kb"] - before["total_kb"]) / 1024
            log = getattr(contender, "log", None)
            if log:
                log.lines(2)  # those of judges()
            with self.tls() if part == "tls" else contextlib.nullcontext():
                for row in self.rows(contender, part):
                    connections = self.measure(number, row, contender)
                    if log:
                        self.results.paths[row.name, contender.name].update(
                            log.paths(connections))

    def trace(self, contender):
        """A run of its own, since strace slows it."""
        with self.started(contender):
            for row in (row for row in ROWS if row.name in CALL_ROWS):
                answer = {}
                options = [*row.options, "-w", 0, "-d", TRACE_MS]
                calls = contender.system_calls(
                    lambda: answer.update(self.clients.drive(row.mode, NAME, options)))
                why = self.wrong(answer)
                assert not why, f"{row.name}: {why}"
                self.results.calls[row.name, contender.name] = {
                    call: count / answer["answers"] for call, count in calls.items()}

    # --- steering ---

    def rows(self, contender, part):
        return [row for row in ROWS if row.part == part and self.wanted.row(row)
                and part in getattr(contender, "parts", parts())
                and (row.all_cpus or not contender.name.endswith(ALL))]

    def rounds(self, part, contender):
        if self.wanted.rounds:
            return self.wanted.rounds
        return ROUNDS_ALL if contender.name.endswith(ALL) else ROUNDS_OF.get(part, ROUNDS)

    def rounds_text(self):
        if self.wanted.rounds:
            return f"{self.wanted.rounds}"
        fewer = ", ".join(f"{part} {count}" for part, count in ROUNDS_OF.items())
        return f"{ROUNDS}; {fewer}; with all CPUs {ROUNDS_ALL}"

    def everything(self):
        lives = [(part, c) for part in parts() for c in self.contenders if self.rows(c, part)]
        most = max((self.rounds(*life) for life in lives), default=0)
        for number in range(most):
            if time.monotonic() - self.begin > LAST_ROUND_S:
                self.results.broken.append(f"no time for more than {number} of {most} rounds")
                say(self.results.broken[-1])
                break
            say(f"round {number + 1} of {most}")
            for part in parts():
                turn = [c for p, c in lives if p == part and number < self.rounds(part, c)]
                first = number % len(turn) if turn else 0
                for contender in turn[first:] + turn[:first]:
                    self.attempt(f"{part}, round {number + 1}", contender, self.part, number, part)
        if self.wanted.part("calls"):
            for contender in self.contenders:
                if isinstance(contender, SluiceContender) and contender.workers == 1:
                    self.attempt("calls", contender, self.trace)

    def attempt(self, what, contender, function, *arguments):
        """A contender that breaks down is a line in the table; the others go on."""
        try:
            function(*arguments, contender)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            self.results.broken.append(f"{contender.name}: BROKE DOWN in {what}: {error}")
            say(self.results.broken[-1])
