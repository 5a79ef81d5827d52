# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers and name servers that fail: each failure has its reason and hurts nobody else."""

import contextlib
import signal
import socket
import threading

import tls
from case import get, is_allowed, short_timeouts, test
from lab import SERVERS
from servers import reset

GO = tls.application(b"go on")


def ends(t, name, role="site", port=443, data=None):
    """The client is let go at once, with an alert or a reset, and with nothing of a server."""
    answer, end = t.send(data or tls.handmade_hello(name.encode()), role=role, port=port)
    assert end in ("fin", "rst"), end
    assert len(answer) <= len(tls.ACCESS_DENIED_ALERT) or answer.startswith(b"HTTP/1.1 "), answer


@test(core=True, ini=short_timeouts)
def refused_upstream(t):
    ends(t, "closed.test", role="closed")
    t.logged(name="closed.test", reason="upstream_refused")
    ends(t, "closed.test", role="closed", port=80, data=get("closed.test"))
    t.logged(name="closed.test", reason="upstream_refused")


@test(core=True, ini=short_timeouts)
def silent_upstream(t):
    ends(t, "drop.test", role="drop")
    t.logged(name="drop.test", reason="upstream_timeout")


@test(core=True, ini=short_timeouts)
def unknown_name(t):
    ends(t, "x.nowhere.test")
    t.logged(name="x.nowhere.test", reason="unresolved")
    ends(t, "x.nowhere.test", port=80, data=get("x.nowhere.test"))
    t.logged(name="x.nowhere.test", reason="unresolved")


@test(ini={"resolver.nameservers": SERVERS["closed"][0], "timeouts.connect": "2s"})
def name_server_that_refuses(t):
    ends(t, "allowed.test")
    t.logged(name="allowed.test", reason="unresolved")


@test(ini={"resolver.nameservers": SERVERS["raw"][0], "timeouts.connect": "2s"}, seconds=40)
def name_server_that_is_silent(t):
    """Somebody has the port and never answers."""
    with t.lab.server.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((SERVERS["raw"][0], 53))
        ends(t, t.fresh("allowed.test"))
        t.logged(reason="unresolved")


@test(ini={"resolver.nameservers": SERVERS["dns"][1]})
def name_server_over_ipv6(t):
    is_allowed(t, "allowed.test", role="evil")
    t.logged(name="allowed.test", reason="ok")


@test(core=True)
def upstream_that_resets(t):
    """In the middle of an answer: the client is reset as well, and the log says who did it."""
    def server(sock):
        tls.read_record(sock)
        sock.sendall(b"x" * 1000)
        tls.read_exactly(sock, 1)
        reset(sock)

    with t.raw_server(server), t.connect("raw") as sock:
        sock.sendall(tls.handmade_hello(b"raw.test"))
        assert tls.read_exactly(sock, 1000) == b"x" * 1000
        sock.sendall(tls.application(b"go"))
        _, end = tls.read_to_end(sock)
        assert end == "rst", end
    t.logged(name="raw.test", reason="upstream_reset")


@test(core=True)
def upstream_that_closes_at_once(t):
    with t.raw_server(lambda sock: tls.read_record(sock)), t.connect("raw") as sock:
        sock.sendall(tls.handmade_hello(b"raw.test"))
        assert tls.read_to_end(sock) == (b"", "fin")
    t.logged(name="raw.test", reason="ok", bytes_down=0)


@test(core=True)
def client_that_resets(t):
    ended = []

    def server(sock):
        tls.read_record(sock)
        tls.read_record(sock)
        sock.sendall(b"+")
        ended.append(tls.read_to_end(sock)[1])

    with t.raw_server(server):
        sock = t.connect("raw")
        sock.sendall(tls.handmade_hello(b"raw.test") + tls.application(b"x"))
        assert tls.read_exactly(sock, 1) == b"+"
        reset(sock)
    assert ended == ["rst"], ended
    t.logged(name="raw.test", reason="ok")


@contextlib.contextmanager
def asleep(t):
    """What arrives meanwhile at the gateway, the daemon finds all at once."""
    t.sluice.signal(signal.SIGSTOP)
    t.until(t.sluice.stopped, 5, "the daemon stands still")
    try:
        yield
    finally:
        t.sluice.signal(signal.SIGCONT)


def end_and_reset(sock):
    sock.shutdown(socket.SHUT_WR)
    reset(sock)


def reset_comes(t, sock):
    """Behind a FIN recv() does not tell it."""
    if tls.read_to_end(sock)[1] == "fin":
        t.until(lambda: sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 10,
                "the reset is passed on")


def sockets_to(t, address):
    """The gateway's, of connections that are not over."""
    return t.lab.gateway.run("ss", "-Htn", "dst", f"[{address}]").stdout


@test(core=True)
def upstream_that_resets_right_behind_its_end(t):
    end = threading.Event()

    def server(sock):
        tls.read_record(sock)
        sock.sendall(b"answer")
        end.wait(20 * t.scale)
        end_and_reset(sock)

    with t.raw_server(server), t.connect("raw") as sock:
        sock.sendall(tls.handmade_hello(b"raw.test"))
        assert tls.read_exactly(sock, 6) == b"answer"
        with asleep(t):
            end.set()
            t.until(lambda: not sockets_to(t, t.server("raw")), 10,
                    "the reset has come to the gateway")
        reset_comes(t, sock)
    t.logged(name="raw.test", reason="ok")  # what it had to say was whole


@test(core=True)
def client_that_resets_right_behind_its_end(t):
    def server(sock):
        tls.read_record(sock)
        sock.sendall(b"answer")
        reset_comes(t, sock)

    with t.raw_server(server):
        sock = t.connect("raw")
        sock.sendall(tls.handmade_hello(b"raw.test"))
        assert tls.read_exactly(sock, 6) == b"answer"
        with asleep(t):
            end_and_reset(sock)
            t.until(lambda: not sockets_to(t, t.client("client")), 10,
                    "the reset has come to the gateway")
    t.logged(name="raw.test", reason="ok")


@test(ini=lambda scale: {"timeouts.connect": f"{int(2000 * scale)}ms"})
def one_bad_upstream_does_not_hold_up_others(t):
    """A connection attempt that gets no answer is pending while others are served."""
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            sock = stack.enter_context(t.connect("drop"))
            sock.sendall(tls.handmade_hello(b"drop.test"))
        for _ in range(5):
            is_allowed(t, "allowed.test")
    t.sluice.quiet()
    reasons = [line["name"] for line in t.lines()]
    assert reasons.count("allowed.test") == 5 and reasons.count("drop.test") == 20, reasons


@test(core=True)
def urgent_byte_is_a_byte_like_others(t):
    """Whoever carries: user space at first, the kernel when more has been said."""
    rounds = 6

    def answer(sock):
        tls.read_record(sock)
        for _ in range(rounds):
            sock.sendall(b"ab")
            sock.send(b"c", socket.MSG_OOB)
            sock.sendall(b"d")
            assert tls.read_exactly(sock, len(GO)) == GO

    with t.raw_server(answer), t.connect("raw") as sock:
        sock.sendall(tls.handmade_hello(b"raw.test"))
        for _ in range(rounds):
            assert tls.read_exactly(sock, 4) == b"abcd"
            sock.sendall(GO)
        assert tls.read_to_end(sock) == (b"", "fin")


@test(core=True)
def farewell_to_a_server_that_has_gone(t):
    """TLS clients say close_notify to a server that has closed; its reset is no news to anybody."""
    def answer(sock):
        tls.read_record(sock)
        for _ in range(4):
            sock.sendall(GO)
            assert tls.read_exactly(sock, len(GO)) == GO

    count = 10 if t.core else 100
    with t.raw_server(answer):
        for _ in range(count):
            with t.connect("raw") as sock:
                sock.sendall(tls.handmade_hello(b"raw.test"))
                for _ in range(4):
                    assert tls.read_exactly(sock, len(GO)) == GO
                    sock.sendall(GO)
                assert tls.read_to_end(sock) == (b"", "fin")
                sock.sendall(tls.record(b"\1\0", tls.ALERT, 0x0303))
        t.sluice.quiet()
    found = [line["reason"] for line in t.lines()]
    assert found == ["ok"] * count, {reason: found.count(reason) for reason in found}
