# SPDX-License-Identifier: GPL-2.0-or-later
"""
Any bytes, and silence. After each of these the daemon lives, others are served (the sentinel
of the log), no descriptor is left (the runner looks), and there is one line with the reason.
"""

import contextlib
import random
import socket
import time

import tls
from case import get, is_allowed, short_timeouts, test
from netns import until
from servers import reset

REASONS = ("policy", "no_sni", "bad_name", "bad_tls", "tls_version", "not_tls", "bad_http",
           "no_host", "hello_timeout", "name_changed", "untracked", "unresolved", "ok",
           "bad_destination",
           "upstream_refused", "upstream_timeout", "upstream_reset")


@test(core=True, ini=short_timeouts)
def silent_client_is_timed_out(t):
    with t.connect() as sock:
        data, end = tls.read_to_end(sock)
    assert end in ("fin", "rst") and not data, (data, end)
    t.logged(reason="hello_timeout", verdict="deny")


@test(core=True, ini=short_timeouts)
def half_a_hello_is_timed_out(t):
    """Neither allowed nor denied until it is whole."""
    hello = tls.handmade_hello(b"allowed.test")
    before = t.lab.packets("site", t.family)
    for part in 1, 5, 6, len(hello) - 1:
        with t.connect() as sock:
            sock.sendall(hello[:part])
            _, end = tls.read_to_end(sock)
        assert end in ("fin", "rst"), end
        t.logged(reason="hello_timeout", verdict="deny")
    with t.connect(port=80) as sock:
        sock.sendall(get("allowed.test")[:-2])
        _, end = tls.read_to_end(sock)
        assert end in ("fin", "rst"), end
    t.logged(reason="hello_timeout", verdict="deny")
    assert t.lab.packets("site", t.family) == before, "the server got packets"


@test(ini=short_timeouts)
def dripping_client_is_timed_out(t):
    """The limit is for the hello as a whole: bytes that keep coming do not stretch it."""
    hello = tls.handmade_hello(b"allowed.test", pad=3000)
    with t.connect() as sock:
        sock.settimeout(0.05)
        for byte in hello:
            try:
                sock.sendall(bytes([byte]))
                if not sock.recv(1):
                    break
            except (TimeoutError, socket.timeout):
                continue
            except OSError:
                break
        else:
            raise AssertionError("a hello of 3000 drops was waited for")
    t.logged(reason="hello_timeout")


@test(core=True, ini=short_timeouts)
def client_vanishes_at_every_stage(t):
    hello = tls.handmade_hello(b"allowed.test")
    stages = (b"", hello[:1], hello[:60], hello[:-1], hello, hello + tls.application(b"x" * 100),
              get("allowed.test")[:10], get("allowed.test"),
              get("allowed.test", "/", "Content-Length: 100") + b"x" * 50,
              tls.handmade_hello(b"denied.test"), get("denied.test"), b"SSH-2.0-x\r\n",
              tls.handmade_hello(b"drop.test"))
    count = 0
    for data in stages:
        for leave in reset, socket.socket.close:
            sock = t.connect()
            if data:
                sock.sendall(data)
            leave(sock)
            count += 1
    t.sluice.quiet()
    lines = t.lines()
    # a connection that was reset before it was accepted was never there
    assert count - 2 * len(stages) <= len(lines) <= count, f"{len(lines)} lines for {count}"
    for line in lines:
        assert line["reason"] in REASONS, line


@test(core=True)
def denied_whenever_the_kernel_comes_to_its_verdict(t):
    """Before the daemon looks at the socket, while it does, after it; and when the FIN is in the
    same segment, of which TCP tells first. Rare cases, so this takes many clients."""
    count = 100 if t.core else 1000
    for i in range(count):
        with t.connect() as sock:
            if i % 2:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            sock.sendall(tls.handmade_hello(b"denied.test"))
            if i % 2:
                sock.shutdown(socket.SHUT_WR)
            assert tls.read_to_end(sock) == (tls.ACCESS_DENIED_ALERT, "fin")
    t.sluice.quiet()
    found = [(line["name"], line["reason"]) for line in t.lines()]
    assert found.count(("denied.test", "policy")) == count, set(found)


@test(core=True)
def half_closed_client_is_judged(t):
    """A FIN behind the hello changes nothing."""
    for name, answer in (b"denied.test", tls.ACCESS_DENIED_ALERT), (b"allowed.test", None):
        with t.connect() as sock:
            sock.sendall(tls.handmade_hello(name))
            sock.shutdown(socket.SHUT_WR)
            data, end = tls.read_to_end(sock)
        assert end == "fin", end
        assert data == answer if answer else data[:1] in (b"\x16", b"\x15"), data[:100]
        t.logged(name=name.decode(), reason="policy" if answer else "ok")
    with t.connect() as sock:
        sock.sendall(tls.handmade_hello(b"allowed.test")[:50])
        sock.shutdown(socket.SHUT_WR)
        assert tls.read_to_end(sock)[1] in ("fin", "rst")
    t.logged(verdict="deny")


@test(ini=short_timeouts, seconds=60)
def random_bytes(t):
    source = random.Random(2026 + t.family)
    count = 20 if t.core else 60
    for _ in range(count):
        data = source.randbytes(source.choice((1, 2, 5, 6, 50, 517, 2000, 20000)))
        with t.connect(port=source.choice((80, 443))) as sock:
            with contextlib.suppress(OSError):
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
            _, end = tls.read_to_end(sock)
            assert end in ("fin", "rst"), end
    t.sluice.quiet()
    lines = t.lines()
    assert len(lines) == count, f"{len(lines)} lines for {count} connections"
    assert all(line["reason"] in REASONS and line["verdict"] == "deny" for line in lines), lines


@test(ini=short_timeouts, seconds=60)
def damaged_hellos(t):
    """One byte or length changed, cut or doubled: an answer, and never a name that is not there."""
    source = random.Random(77)
    good = tls.handmade_hello(b"allowed.test")
    count = 100
    for _ in range(count):
        data = bytearray(good)
        for _ in range(source.choice((1, 1, 2, 8))):
            data[source.randrange(len(data))] = source.randrange(256)
        if source.random() < 0.2:
            del data[source.randrange(len(data)):]
        with t.connect() as sock:
            with contextlib.suppress(OSError):
                sock.sendall(bytes(data) or b"x")
                sock.shutdown(socket.SHUT_WR)
            _, end = tls.read_to_end(sock)
            assert end in ("fin", "rst"), end
    t.sluice.quiet()
    lines = t.lines()
    assert len(lines) == count, f"{len(lines)} lines for {count} connections"
    for line in lines:
        assert line["reason"] in REASONS, line
        assert line["verdict"] == "deny" or line["name"].endswith("allowed.test"), line


@test(ini=short_timeouts)
def endless_head_is_cut(t):
    """A hello or head that never ends takes no memory without end, and its sender no time."""
    for head, more in ((b"GET / HTTP/1.1\r\nX: ", b"x" * (1 << 20)),
                       (tls.record(b"\x01\xff\xff\xff" + bytes(16380)),
                        tls.record(bytes(16384)) * 64)):
        begin = time.monotonic()
        with t.connect() as sock:
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                sock.sendall(head)
                for _ in range(256):  # MB: more than the buffers of both ends ever hold
                    sock.sendall(more)
                raise AssertionError("all of it was taken")
            _, end = tls.read_to_end(sock)
            assert end in ("fin", "rst"), end
        took = time.monotonic() - begin
        assert took < 5 * t.scale, f"the sender was let go after {took:.1f} s"
        t.logged(reason=("bad_http", "bad_tls"), verdict="deny")


@contextlib.contextmanager
def held_from_each_address(t, count):
    """So many that say nothing, each from another address of a /64: how many are open."""
    with t.whole_network() as addresses:
        with contextlib.ExitStack() as stack:
            hold_each(t, stack, addresses, count)
            yield t.sluice.stats()["open"]
        t.sluice.quiet()


def hold_each(t, stack, addresses, count):
    for _ in range(count):
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):  # also within connect()
            sock = stack.enter_context(t.lab.connect(t.server("site"), 443, next(addresses),
                                                     8 * t.scale))
            sock.sendall(b"\x16")
    until(lambda: t.sluice.stats()["open"] + t.sluice.stats()["reasons"]["limit"] == count,
          10 * t.scale, "all are counted")


@test(families=(6,), daemon=False)
def one_host_with_a_network_is_one_client(t):
    """A /64 is what a host chooses addresses from: it takes no more than one client may."""
    t.own(changes={"sluice.max_connections": "400", "sluice.max_per_client": "20"})
    with held_from_each_address(t, 60) as held:
        assert held == 20, held
        is_allowed(t, "allowed.test")  # another client


@test(families=(6,), daemon=False)
def client_prefix6_says_what_a_client_is(t):
    t.own(changes={"sluice.max_per_client": "20", "sluice.client_prefix6": "128"})
    with held_from_each_address(t, 60) as held:
        assert held == 60, held


@test(ini={"sluice.max_connections": "6", "sluice.max_per_client": "4",
           "sluice.client_prefix6": "128"})
def limits(t):
    with contextlib.ExitStack() as stack:
        def hold(source, count):
            for _ in range(count):
                sock = stack.enter_context(t.connect(source=source))
                sock.sendall(b"\x16")

        def refused(source):
            data, end = t.send(tls.handmade_hello(b"allowed.test"), source=source)
            assert end in ("fin", "rst") and not data, (data, end)
            found = []

            def told():
                found.extend(t.sluice.log.read(t._mark)[0])
                return any(line["reason"] == "limit" for line in found)

            until(told, 10 * t.scale, "a line with limit")
            t.forget_log()

        before = t.sluice.stats()["reasons"]["limit"]
        hold("client", 4)
        until(lambda: t.sluice.stats()["open"] == 4, 10 * t.scale, "four are open")
        refused("client")  # max_per_client
        hold("agent", 2)
        until(lambda: t.sluice.stats()["open"] == 6, 10 * t.scale, "six are open")
        refused("second")  # max_connections
    t.sluice.quiet()
    t.lines()
    is_allowed(t, "allowed.test")
    t.logged(name="allowed.test", reason="ok")
    assert t.sluice.stats()["reasons"]["limit"] == before + 2
