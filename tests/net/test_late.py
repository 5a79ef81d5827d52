# SPDX-License-Identifier: GPL-2.0-or-later
"""
Workers that come late to what the kernel told them: what an ended connection left behind must not
act on another one. stall.so makes them late, by files that a test sets and takes away.
"""

import contextlib
import ctypes
import os
import re
import socket
import struct

import crowd
import tls
from case import is_denied, test
from test_kernel import converse, echo, opened

GIVEN = re.compile(r"stall: record (\d+) worker (\d+)")
OTHERS = 4
PIDFD_GETFD = 438  # the same on all machines
FOREIGN = "stall: a worker reads another's socket"


class Late:
    """A daemon under stall.so."""

    def __init__(self, t, changes=None):
        self.t, self.folder = t, t.lab.path("stall")
        os.makedirs(self.folder, exist_ok=True)
        self.sluice = t.own("on", changes, start=False)
        self.sluice.launch(env={"LD_PRELOAD": os.path.join(t.build, "tests", "net", "stall.so"),
                                "STALL": self.folder,
                                "ASAN_OPTIONS": "verify_asan_link_order=0:exitcode=99"})
        t.until(self.sluice.ready, 30, "sluiced is ready")
        self.before = len(self.given())  # at start it has tried one

    def say(self, what, value=""):
        path = os.path.join(self.folder, what)
        with open(f"{path}.new", "w", encoding="ascii") as f:
            f.write(str(value))
        os.rename(f"{path}.new", path)

    def unsay(self, *what):
        for name in what:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self.folder, name))

    def wait_for(self, words):
        self.t.until(lambda: words in self.sluice.stderr() or not self.sluice.alive(), 20, words)
        assert FOREIGN not in self.sluice.stderr(), self.sluice.stderr()

    def given(self):
        """(record, worker) of every connection so far."""
        return [(int(r), int(w)) for r, w in GIVEN.findall(self.sluice.stderr())]

    def records(self):
        """How many connections had one."""
        return len(self.given()) - self.before

    def open(self, stack):
        """A connection that says nothing, and the record and worker it was given."""
        count = len(self.given())
        sock = stack.enter_context(self.t.connect())
        self.t.until(lambda: len(self.given()) > count, 10, "it has a record")
        return sock, *self.given()[-1]


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def ends(t, sock):
    before = t.sluice.stats()["ended"]
    reset(sock)
    t.until(lambda: t.sluice.stats()["ended"] > before, 10, "it has ended")


def open_at_another(t, late, stack, record, worker):
    """A connection of another worker, with this record if it can be had. Those of this worker end
    at once, and time goes by: if that were what counts, there were soon no other record to be
    lent."""
    others = 0
    for seconds in range(2, 200, 2):
        late.say("later", seconds)
        sock, its_record, taker = late.open(stack)
        others += taker != worker
        if taker == worker:
            ends(t, sock)
        elif its_record == record or others == OTHERS:
            return sock, its_record
    raise AssertionError(f"all are worker {worker}'s")


@test(modes=(None,), daemon=False, seconds=60)
def event_of_an_ended_connection_is_nobody_elses(t):
    """
    A worker ends a connection and is late with its ring, in which there is an event of it; time
    goes by. Whichever connection of another worker then had that record would be handled by both
    workers at the same time.
    """
    late = Late(t)
    client = t.tls_client("allowed.test")
    flight = client.first_flight()
    with contextlib.ExitStack() as stack:
        stack.callback(late.unsay, "ring", "recv", "later")
        late.say("later", 2)
        first, record, worker = late.open(stack)
        late.say("ring")
        first.sendall(tls.handmade_hello(b"denied.test"))  # denied by the program, which tells
        ends(t, first)
        second, its_record = open_at_another(t, late, stack, record, worker)
        late.say("recv")
        second.sendall(flight[:50])
        late.wait_for("stall: a worker reads\n")
        late.unsay("ring")
        late.wait_for(f"stall: worker {worker} has read its ring")
        late.unsay("recv")
        second.sendall(flight[50:])
        client.finish(second)
        assert client.request(second, "allowed.test").startswith("HTTP/1.1 200")
        assert its_record != record
    t.sluice.nothing_left()


@contextlib.contextmanager
def held_by_another(pid, fd):
    """A second descriptor of the daemon's socket, in this process."""
    libc = ctypes.CDLL(None, use_errno=True)
    process = os.pidfd_open(pid)
    held = libc.syscall(PIDFD_GETFD, process, fd, 0)
    os.close(process)
    assert held >= 0, os.strerror(ctypes.get_errno())
    try:
        yield
    finally:
        os.close(held)


@test(modes=(None,), daemon=False, seconds=60)
def socket_that_another_process_holds_is_nobody_elses(t):
    """
    As who reads /proc/PID/fdinfo does for a moment: the daemon has closed it, and it is still
    there, in the map and in the epoll. What its client says then comes to no other connection.
    """
    late = Late(t, {"sluice.workers": "1"})
    client = t.tls_client("allowed.test")
    flight = client.first_flight()
    with contextlib.ExitStack() as stack:
        stack.callback(late.unsay, "later")
        late.say("later", 2)
        before = late.sluice.descriptors()
        first, record, _ = late.open(stack)
        fd = next(int(n) for n, what in late.sluice.descriptors().items()
                  if n not in before and what.startswith("socket:"))
        with held_by_another(late.sluice.pid, fd):
            first.sendall(b"\1")  # not TLS: it is reset, but for who holds it
            t.until(lambda: late.sluice.stats()["ended"] == 1, 10, "it has ended")
            late.say("later", 4)
            second, its_record, _ = late.open(stack)
            assert its_record != record
            second.sendall(flight[:50])
            first.sendall(tls.handmade_hello(b"denied.test"))
            second.sendall(flight[50:])
            client.finish(second)
            assert client.request(second, "allowed.test").startswith("HTTP/1.1 200")
            second.close()
        t.until(lambda: late.open(stack)[1] == record, 20, "its record is lent again")
    t.sluice.nothing_left()


FEW = {"sluice.max_connections": "16", "sluice.workers": "1"}
RECORDS = 16 + 16 // 4 + 64  # records_for() of fastpath/kernel/load.c
DENIED = tls.handmade_hello(b"denied.test")
MIB = 1 << 20


@test(core=True, modes=(None,), daemon=False, seconds=60)
def record_is_free_when_nothing_is_left_to_tell_of_it(t):
    """However fast connections come and go: each has one, of the few there are."""
    late = Late(t, FEW)
    for i in range(3 * RECORDS):
        is_denied(t, DENIED)
        if i % 8 == 0:  # a worker that is slower than its client accepts before it sees ends
            t.sluice.quiet()
    t.sluice.quiet()
    assert late.records() == 3 * RECORDS, late.records()


@test(modes=(None,), daemon=False, seconds=60)
def connections_without_a_record_are_served_in_user_space(t):
    """A worker that does not come to its ring has its records resting, until there are no more."""
    late = Late(t, FEW)
    with contextlib.ExitStack() as stack:
        stack.callback(late.unsay, "ring")
        late.say("ring")
        first, _, _ = late.open(stack)
        t.until(lambda: t.sluice.stats()["flows_kernel"] == 1, 10, "its denial will be an event")
        first.sendall(DENIED)
        ends(t, first)
        for _ in range(RECORDS):
            ends(t, stack.enter_context(t.connect()))
        assert late.records() == RECORDS, late.records()
        with crowd.server(t) as server, \
                crowd.clients(
                    t, crowd.tls_opening("raw.test"), "-n", 8, "-u", MIB, "-d", MIB) as streams:
            crowd.all_well(streams.end(), 8)
            crowd.all_served(t, server, 8)
        t.sluice.quiet()
        served = [line for line in t.lines() if line["bytes_down"]]
        assert [line["path"] for line in served] == ["user"] * 8, served
        late.unsay("ring")
        with t.raw_server(echo):
            t.until(lambda: carried_by_kernel(t), 10, "the kernel carries again")
    t.sluice.nothing_left()


def carried_by_kernel(t):
    with opened(t) as sock:
        converse(sock, 3)
        return t.sluice.stats()["flows_kernel"] == 1
