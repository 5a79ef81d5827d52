# SPDX-License-Identifier: GPL-2.0-or-later
"""
Streams arrive byte for byte, whatever ends first and however slow the reader is. Each
connection has a number; both ends make the same pseudo-random bytes out of it.
"""

import random
import socket
import struct
import threading
import time

import tls
from case import get, test
from servers import reset

BIG, SMALL = 256 << 10, 3000


class Plan:
    """What a connection of this number does: known to client and server alike."""

    SCENARIOS = ("both_at_once", "client_ends_first", "server_ends_first", "fin_with_data",
                 "slow_client", "slow_server", "client_resets", "server_resets")

    def __init__(self, number):
        source = random.Random(number)
        self.scenario = self.SCENARIOS[number % len(self.SCENARIOS)]
        self.up = source.randbytes(source.choice((0, 1, SMALL, source.randrange(BIG), BIG)))
        self.down = source.randbytes(source.choice((0, 1, SMALL, source.randrange(BIG), BIG)))
        if self.scenario == "server_resets":  # not before the client has seen the server's byte
            self.up = self.up or b"x"
        self.http = source.random() < 0.2
        self.sizes = random.Random(number + 1)

    def preface(self, number):
        """What makes the flow an allowed one, and tells the server the number."""
        if self.http:
            return get("raw.test", f"/{number:08d}", f"Content-Length: {len(self.up)}")
        return tls.handmade_hello(b"raw.test") + tls.application(struct.pack("!Q", number))


def read_preface(sock):
    head = tls.read_exactly(sock, 5)
    if head[0] == tls.HANDSHAKE:
        tls.read_exactly(sock, struct.unpack("!H", head[3:])[0])
        return struct.unpack("!Q", tls.read_record(sock)[1])[0]
    while not head.endswith(b"\r\n\r\n"):
        head += tls.read_exactly(sock, 1)
    return int(head.split()[1][1:])


def send_random(sock, data, sizes):
    """In pieces of random sizes."""
    at = 0
    while at < len(data):
        size = sizes.choice((1, 100, 1460, 16384, 65536))
        sock.sendall(data[at:at + size])
        at += size


def receive(sock, expected, slow=False):
    """Up to the end of file; every byte is compared."""
    got = bytearray()
    while True:
        block = sock.recv(2048 if slow else 65536)
        if not block:
            break
        got += block
        if slow:
            time.sleep(0.0005)  # this is what a slow reader does
    assert len(got) == len(expected), f"{len(got)} of {len(expected)} bytes came"
    assert got == expected, "other bytes came than were sent"


def at_once(send, take):
    """Runs send() in a thread beside take()."""
    failed = []

    def run():
        try:
            send()
        except Exception as error:  # raised below
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    take()
    thread.join()
    if failed:
        raise failed[0]


def finish_sending(sock, data, plan, with_data=False):
    if with_data and data:
        send_random(sock, data[:-10], plan.sizes)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        sock.sendall(data[-10:])
    else:
        send_random(sock, data, plan.sizes)
    sock.shutdown(socket.SHUT_WR)


def converse(sock, plan, mine, theirs, first, slow):
    """One side of a whole conversation. first: True, this side ends first; None, both at once."""
    with_data = plan.scenario == "fin_with_data"

    def send():
        finish_sending(sock, mine, plan, with_data)

    def take():
        receive(sock, theirs, slow)

    if first is None:
        at_once(send, take)
    elif first:
        send()
        take()
    else:
        take()
        send()


def wait_for_reset(sock):
    """Reads until the other side's reset comes through."""
    while True:
        try:
            assert sock.recv(65536), "FIN instead of RST"
        except ConnectionResetError:
            return


BEGIN = tls.application(b".")  # what is no record waits until the server has said something


def serve(sock):
    number = read_preface(sock)
    plan = Plan(number)
    if not plan.http:
        sock.sendall(BEGIN)
    if plan.scenario == "client_resets":
        sock.sendall(b"+" + plan.down[:SMALL])
        wait_for_reset(sock)
    elif plan.scenario == "server_resets":
        sock.sendall(b"+")
        tls.read_exactly(sock, len(plan.up))
        reset(sock)
    else:
        first = {"client_ends_first": False, "server_ends_first": True}.get(plan.scenario)
        converse(sock, plan, plan.down, plan.up, first, plan.scenario == "slow_server")


def small_buffer(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)


def one(t, number):
    plan = Plan(number)
    slow = plan.scenario == "slow_client"
    with t.connect("raw", before=small_buffer if slow else None, timeout=60 * t.scale) as sock:
        sock.sendall(plan.preface(number))
        if not plan.http:
            assert tls.read_exactly(sock, len(BEGIN)) == BEGIN
        if plan.scenario == "client_resets":
            tls.read_exactly(sock, 1 + len(plan.down[:SMALL]))
            reset(sock)
        elif plan.scenario == "server_resets":
            tls.read_exactly(sock, 1)
            send_random(sock, plan.up, plan.sizes)
            wait_for_reset(sock)
        else:
            first = {"client_ends_first": True, "server_ends_first": False}.get(plan.scenario)
            converse(sock, plan, plan.up, plan.down, first, slow)


def run_all(t, numbers, concurrency):
    """Workers that take numbers; the first failure ends them all."""
    todo, failures, lock = list(numbers), [], threading.Lock()

    def work():
        while not failures:
            with lock:
                if not todo:
                    return
                number = todo.pop()
            try:
                one(t, number)
            except Exception as error:
                failures.append(f"connection {number}, {Plan(number).scenario}, "
                                f"{'http' if Plan(number).http else 'tls'}: {error!r}")

    threads = [threading.Thread(target=work, daemon=True) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, "; ".join(failures[:5])


@test(core=True, plain=True, seconds=90)
def streams_are_byte_identical(t):
    count = 24 if t.core else 200
    with t.raw_server(serve):
        run_all(t, range(count), 8)
    if not t.sluice:
        return
    t.sluice.quiet()
    lines = t.lines()
    assert len(lines) == count, f"{len(lines)} lines for {count} connections"
    for line in lines:
        assert line["reason"] in ("ok", "upstream_reset"), line


@test(core=True, plain=True)
def all_at_once_and_fin(t):
    """The client says all it has to say and closes its side, before there is an upstream."""
    data = bytes(range(256)) * 8
    for preface, body in ((tls.handmade_hello(b"raw.test"), tls.application(data)),
                          (get("raw.test", "/", f"Content-Length: {len(data)}"), data)):
        for segments in 1, 2:
            got = []

            def server(sock):
                got.append(tls.read_to_end(sock))
                sock.sendall(b"done")

            with t.raw_server(server), t.connect("raw") as sock:
                pieces = [preface + body] if segments == 1 else [preface, body]
                for piece in pieces:
                    sock.sendall(piece)
                sock.shutdown(socket.SHUT_WR)
                assert tls.read_to_end(sock) == (b"done", "fin")
            assert got == [(preface + body, "fin")], f"{len(got[0][0])} bytes came"
            t.logged(name="raw.test", reason="ok")


@test(plain=True, seconds=60)
def many_connections_at_once(t):
    """A thousand open at once, each with a request and an answer."""
    count = 100 if t.core else 1000

    def server(sock):
        tls.read_record(sock)
        sock.sendall(tls.read_record(sock)[1])

    socks = []
    try:
        with t.raw_server(server):
            for i in range(count):
                sock = t.connect("raw")
                socks.append(sock)
                sock.sendall(tls.handmade_hello(b"raw.test"))
            for i, sock in enumerate(socks):
                sock.sendall(tls.application(b"%08d" % i))
            for i, sock in enumerate(socks):
                assert tls.read_exactly(sock, 8) == b"%08d" % i
                assert sock.recv(1) == b""
                sock.close()
    finally:
        for sock in socks:
            sock.close()
    if t.sluice:
        t.sluice.quiet()
        lines = t.lines()
        assert len(lines) == count, f"{len(lines)} lines for {count} connections"
