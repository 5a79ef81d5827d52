# SPDX-License-Identifier: GPL-2.0-or-later
"""
No name gets past that was not judged, whatever races: a small part of what the command racing does,
and the meeting of user space and the kernel on a first flight, made certain by hold.c.
"""

import contextlib
import os
import socket
import subprocess

import racing
import tls
from case import test
from lab import LISTENER

PIECE, SMALL, BIG = 10, 6, 8192
MEETINGS = 3  # of user space and the kernel, each with a connection of its own
TRIES = 40  # a busy machine may let them miss each other
LINE = b"GET /secret HTTP/1.1\r\n"
NAME = "first.raw.test"
DENIED = b"Host: secret.unlisted.test\r\n\r\n"
ALLOWED = b"Host: first.raw.test\r\n\r\n"


# --- user space and the kernel meet at a first flight ---------------------------------------------

class Hold:
    """The program hold (hold.c) on the daemon of a test."""

    def __init__(self, t):
        self.lab = t.lab
        folder = os.path.join(t.build, "tests", "net")
        self.process = t.lab.processes.start(
            [f"{folder}/hold", f"{folder}/hold.bpf.o", str(t.sluice.pid), str(LISTENER)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n", "hold is not ready"

    def ask(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.lab.processes.stop(self.process)
        self.process.stdout.close()


class Server:
    """Answers to each piece of the body with one byte, so that the client knows where it is; takes
    what is behind it, and ends when it has the last bytes."""

    def __init__(self, last):
        self.last, self.seen = last, []

    def __call__(self, sock):
        data = bytearray()
        self.seen.append(data)
        with contextlib.suppress(ConnectionResetError):
            while self.last not in data and (more := sock.recv(65536)):
                data += more
                if LINE not in data:
                    sock.sendall(b".")


def post(name, size):
    """Head and the body's first two bytes, of about a segment."""
    head = f"POST / HTTP/1.1\r\nHost: {name}\r\nContent-Length: {size}\r\nX-Fill: "
    return head.encode() + b"p" * (1390 - len(head)) + b"\r\n\r\nbb"


def answered(sock):
    assert sock.recv(4096), "the end instead of an answer"


def finish_body(sock):
    """What user space carries, until the kernel does; and what the kernel carries."""
    answered(sock)
    for size in (PIECE,) * SMALL + (BIG, BIG):
        sock.sendall(b"b" * size)
        answered(sock)


@contextlib.contextmanager
def apart(t):
    """The daemon has a CPU, and we, on whose CPU TCP receives what we send, have another."""
    ours, theirs = sorted(os.sched_getaffinity(0))[:2]
    before = os.sched_getaffinity(0)
    tasks = [int(task) for task in os.listdir(f"/proc/{t.sluice.pid}/task")]
    try:
        for task in tasks:
            os.sched_setaffinity(task, {theirs})
        os.sched_setaffinity(0, {ours})
        yield
    finally:
        for task in (*tasks, 0):
            os.sched_setaffinity(task, before)


def sockets(t):
    """Of the daemon, by inode. (Without asking it, which would wake it.)"""
    return {what for what in t.sluice.descriptors().values() if what.startswith("socket:")}


def attack(t, hold, secret):
    """The first segment meets both judges, if they meet; then another request, in two segments."""
    before = sockets(t)
    with t.connect("raw", 80) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        t.until(lambda: sockets(t) - before, 10, "the daemon has accepted")
        hold.ask(f"arm {sock.getsockname()[1]}")
        sock.send(post(NAME, 2 + SMALL * PIECE + 2 * BIG), socket.MSG_OOB)
        finish_body(sock)
        return tls.exchange(sock, [LINE, secret], t.until)


def until_met(t, hold, try_once):
    """So often as it takes until user space and the kernel have met MEETINGS times."""
    meetings = 0
    for _ in range(TRIES):
        before = hold.ask("met")
        try_once()
        t.sluice.quiet()
        meetings += hold.ask("met") != before
        if meetings == MEETINGS:
            return
    raise AssertionError(f"user space and the kernel met only {meetings} times")


@test(modes=("on",), seconds=60, alone=True)
def request_behind_a_flight_that_both_meet_is_denied(t):
    """TCP tells of an urgent byte before the program has run, and user space begins to read."""
    server = Server(DENIED)
    with t.raw_server(server, 80), Hold(t) as hold, apart(t):
        until_met(t, hold, lambda: attack(t, hold, DENIED))
    assert len(server.seen) >= MEETINGS
    assert not any(DENIED in data for data in server.seen), "a server has seen the denied request"
    assert {line["verdict"] for line in t.lines()} == {"deny"}


@test(modes=("on",), seconds=60, alone=True)
def request_behind_a_flight_that_both_meet_is_served(t):
    """And all before it has come once."""
    server = Server(ALLOWED)
    with t.raw_server(server, 80), Hold(t) as hold, apart(t):
        until_met(t, hold, lambda: attack(t, hold, ALLOWED))
    size = 2 + SMALL * PIECE + 2 * BIG
    wanted = post(NAME, size) + b"b" * (size - 2) + LINE + ALLOWED
    assert all(data == wanted for data in server.seen), [len(data) for data in server.seen]
    assert {line["reason"] for line in t.lines()} == {"ok"}


@test(modes=("on",), seconds=60, alone=True)
def denied_flight_that_both_meet_is_denied(t):
    def denied():
        before = sockets(t)
        with t.connect("site", 80) as sock:
            t.until(lambda: sockets(t) - before, 10, "the daemon has accepted")
            hold.ask(f"arm {sock.getsockname()[1]}")
            sock.send(post("a.unlisted.test", 2), socket.MSG_OOB)
            assert tls.read_to_end(sock)[0].startswith(b"HTTP/1.1 403 ")

    before = t.lab.packets("site", t.family)
    with Hold(t) as hold, apart(t):
        until_met(t, hold, denied)
    assert t.lab.packets("site", t.family) == before, "the server has seen a packet"
    assert {line["reason"] for line in t.lines()} == {"policy"}


# --- a small run of each kind ---------------------------------------------------------------------

def race(t, kinds, count, concurrent=32):
    run = racing.Race(t, count, only=kinds, concurrent=concurrent)
    problems = run.problems()
    assert not problems, f"{run.text()}: {problems[:3]}"
    unanswered = [kind for kind in kinds if kind not in ("preface", "two-faced", "second")
                  and not run.drive["kinds"][kind]["answered"]]
    assert not unanswered, f"nobody ever answered to {unanswered}"


@test(seconds=60, alone=True)
def urgent_bytes_and_bodies_race(t):
    race(t, ("urgent", "paced", "honest"), 600)


@test(seconds=60, alone=True)
def requests_behind_bodies_race(t):
    race(t, ("length", "chunked", "pipelined"), 900)


@test(seconds=60, alone=True)
def second_hellos_race(t):
    race(t, ("hello", "second", "two-faced"), 900)


@test(seconds=60, alone=True)
def http2_races(t):
    race(t, ("upgrade", "preface"), 200, concurrent=16)
