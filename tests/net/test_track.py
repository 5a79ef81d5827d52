# SPDX-License-Identifier: GPL-2.0-or-later
"""
The original destination is what connection tracking says it is. Its entry may be gone before the
daemon asks, or be another connection's by then: nobody is served to a place he did not ask for.
"""

import contextlib
import signal
import socket
import threading

import conntrack
import rawtcp
import tls
from case import test
from lab import GATEWAY, LISTENER, Lab, pick
from servers import reset
from sluice import Sluice

ONE = {"sluice.workers": "1"}
OTHER_PORT = 8043
ROUNDS = 5  # so many that the kernel carries


def hello(name="raw.test"):
    return tls.handmade_hello(name.encode())


@contextlib.contextmanager
def nobody_comes(t, *ports):
    """To servers at these ports of `raw`."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(t.raw_server(lambda sock: None, port)) for port in ports]
        yield
        assert not any(server.accepted for server in servers), "a server was connected to"


def queue_hello(t, sock, name="raw.test"):
    """It waits at the gateway, and nothing of it needs to be sent again."""
    sock.sendall(hello(name))
    t.until(lambda: tls.unacknowledged(sock) == 0, 10, "the hello is acknowledged")


def text_of(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def is_untracked(t):
    """Refused, and said so. A reset finds the client only if NAT finds a way for what it says
    next."""
    t.logged(reason="untracked", verdict="deny", name="", proto="none", bytes_up=0, bytes_down=0)


def speaks(sock):
    """To nobody, as the end of nobody_comes() shows; perhaps it has been told by now."""
    with contextlib.suppress(OSError):
        sock.send(b".")


# --- it is gone -----------------------------------------------------------------------------

@test(core=True)
def entry_gone_before_the_connection_is_accepted(t):
    with nobody_comes(t, 443):
        with t.sluice.standing_still():
            sock = t.connect("raw")
            queue_hello(t, sock)
            conntrack.forget(t.lab.gateway)
        with sock:
            is_untracked(t)
            speaks(sock)


@test(ini=ONE)
def entry_gone_before_the_daemon_asks(t):
    """It is stopped by the call that accepts the connection, as that returns."""
    calls = t.lab.path("calls.out")
    with nobody_comes(t, 443):
        tracer = t.sluice.traced(calls, "-e", "trace=accept4", "-e",
                                 "inject=accept4:signal=STOP:when=1")
        with t.connect("raw") as sock:
            t.until(lambda: "stopped by SIGSTOP" in text_of(calls), 10, "the call returns")
            tracer.send_signal(signal.SIGINT)
            tracer.wait(20 * t.scale)
            t.lab.processes.forget(tracer)
            t.until(t.sluice.stopped, 10, "the daemon stands still")
            queue_hello(t, sock)
            conntrack.forget(t.lab.gateway)
            t.sluice.signal(signal.SIGCONT)
            is_untracked(t)
            speaks(sock)


@test(core=True)
def entry_gone_of_a_client_that_has_reset(t):
    with nobody_comes(t, 443):
        with t.sluice.standing_still():
            with t.connect("raw") as sock:
                queue_hello(t, sock)
                reset(sock)
            conntrack.forget(t.lab.gateway)
        is_untracked(t)


@test(daemon=False)
def never_tracked(t):
    """Where no rule uses connection tracking there is no entry of any connection."""
    lab = Lab(redirect=False, name="u")
    try:
        sluice = Sluice(lab, t.build, t.mode, {}, t.scale)
        try:
            with contextlib.suppress(ConnectionResetError):  # before connect() had returned
                lab.connect(pick(GATEWAY["inside"], t.family), LISTENER,
                            timeout=20 * t.scale).close()
            t.until(lambda: sluice.log.read()[0], 10, "it is logged")
            assert [line["reason"] for line in sluice.log.read()[0]] == ["untracked"]
        finally:
            sluice.stop()
    finally:
        lab.close()


# --- it is another's ------------------------------------------------------------------------

@test(core=True)
def entry_of_the_next_connection_with_that_port(t):
    """The one before was reset while it waited; what it had said is there to be read."""
    got = []

    def server(sock):
        got.append(tls.read_exactly(sock, len(hello("next.raw.test"))))
        sock.sendall(b"+")

    with nobody_comes(t, 443), t.raw_server(server, OTHER_PORT) as other:
        with t.sluice.standing_still():
            with t.connect("raw") as sock:
                queue_hello(t, sock, "dead.raw.test")
                port = sock.getsockname()[1]
                reset(sock)
            conntrack.forget(t.lab.gateway)
            sock = t.lab.connect(t.server("raw"), OTHER_PORT, timeout=20 * t.scale,
                                 before=lambda s: s.bind((t.client("client"), port)))
            queue_hello(t, sock, "next.raw.test")
        with sock:
            assert tls.read_to_end(sock) == (b"+", "fin")
        t.sluice.quiet()
        lines = t.lines()
    assert got == [hello("next.raw.test")] and other.accepted == 1, (got, other.accepted)
    assert [(line["reason"], line["name"], line["port"]) for line in sorted(
        lines, key=lambda line: line["name"])] == [("untracked", "", 0),
                                                   ("ok", "next.raw.test", OTHER_PORT)], lines
    assert {line["client_port"] for line in lines} == {port}, lines


def answered_by_the_listener(t, wire, tcp, data):
    """Single bytes, and after each the entry goes, until an acknowledgement leaves without one."""
    for at in range(len(data)):
        tcp.send(at, data[at:at + 1])
        conntrack.forget(t.lab.gateway)
        peer, segment = wire.receive(10 * t.scale)
        if peer == pick(GATEWAY["inside"], t.family):
            return True
        tcp.take((peer, segment))
    return False


@test()
def entry_made_by_what_the_gateway_itself_sent(t):
    """
    An acknowledgement that leaves when the entry is gone makes another, of a connection from the
    listener to the client: what it was made to is the client and its port.
    """
    with nobody_comes(t, 443), contextlib.closing(rawtcp.Wire(t.lab, "client", t.family)) as wire:
        with t.sluice.standing_still():
            tcp = rawtcp.connect(wire, t.server("raw"), 443, seconds=10 * t.scale)
            before = hello() + tls.application(bytes(500))
            tcp.say(0, before[:-500])
            tcp.base += len(before) - 500
            tcp.acked = tcp.sent = 0
            assert answered_by_the_listener(t, wire, tcp, before[-500:])
        is_untracked(t)


# --- it goes while the flow is open ---------------------------------------------------------

def echo(sock):
    while data := sock.recv(4096):
        sock.sendall(data)


def converse(t, sock, rounds):
    """In the end neither side has anything that would be sent again."""
    for _ in range(rounds):
        sock.sendall(tls.application(b"echo"))
        assert tls.read_record(sock) == (23, b"echo")
    t.until(lambda: tls.unacknowledged(sock) == 0, 10, "the gateway has acknowledged")
    t.until(lambda: gateway_queue(t, sock) == "0", 10, "the client has acknowledged")


def gateway_queue(t, sock):
    """Bytes that the gateway might send this client again."""
    shown = t.lab.gateway.run("ss", "-Htn", "dport", "=", f":{sock.getsockname()[1]}").stdout
    return shown.split()[2]


@test(core=True)
def open_flow_goes_on_without_its_entry(t):
    """The client's next segment makes the entry again, by the rule that made the first."""
    with t.raw_server(echo) as server, t.connect("raw") as sock:
        sock.sendall(hello())
        assert tls.read_exactly(sock, len(hello())) == hello()
        for _ in range(3):
            converse(t, sock, ROUNDS)
            conntrack.forget(t.lab.gateway)
        converse(t, sock, ROUNDS)
        sock.shutdown(socket.SHUT_WR)
        assert tls.read_to_end(sock) == (b"", "fin")
        assert server.accepted == 1
    t.logged(name="raw.test", reason="ok")


@test(core=True)
def open_flow_ends_if_the_server_speaks_without_its_entry(t):
    """What the gateway sends then comes from an address the client does not know: it refuses."""
    go = threading.Event()

    def server(sock):
        echo_once = tls.read_exactly(sock, len(hello()))
        sock.sendall(echo_once)
        for _ in range(ROUNDS):
            sock.sendall(tls.read_exactly(sock, 9))
        assert go.wait(60)
        sock.sendall(b"lost")
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(100) == b""

    with t.raw_server(server), t.connect("raw") as sock:
        sock.sendall(hello())
        assert tls.read_exactly(sock, len(hello())) == hello()
        converse(t, sock, ROUNDS)
        conntrack.forget(t.lab.gateway)
        go.set()
        t.logged(name="raw.test", reason="ok")
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            raise AssertionError(f"the client had {sock.recv(100)!r}")
        speaks(sock)


# --- made to the listener -------------------------------------------------------------------

@test(core=True)
def entry_that_says_the_listener_is_a_loop(t):
    data, end = t.send_to(pick(GATEWAY["inside"], t.family), LISTENER, hello())
    assert (data, end) == (b"", "rst"), (data, end)
    t.logged(reason="loop", verdict="deny")
