# SPDX-License-Identifier: GPL-2.0-or-later
"""
One ClientHello in every shape that TCP and TLS allow: split over segments, over records, over
both, byte by byte, and as large as post-quantum ones are. An allowed one is carried through to
a whole request, a denied one gets its alert, whatever the shape.
"""

import ssl

import tls
from case import test
from netns import until

LARGE = 1800  # bytes of a hybrid key share's hello
SEGMENT = 1460


def exchange(t, name, shape, acked=True, **options):
    """
    Sends the hello of a real client in the pieces that shape(hello) makes. Allowed names get
    a handshake and a request, denied ones the alert.
    """
    client = t.tls_client(name, **options)
    pieces = shape(client.first_flight())
    with t.connect("site", timeout=30 * t.scale) as sock:
        tls.send_pieces(sock, pieces, until, acked)
        if name.startswith("denied"):
            data, end = tls.read_to_end(sock)
            assert (data, end) == (tls.ACCESS_DENIED_ALERT, "fin"), f"{data[:99]!r}, {end}"
            return
        client.finish(sock)
        answer = client.request(sock, name)
        assert "server=site" in answer, answer


def both(t, shape, **options):
    exchange(t, "allowed.test", shape, **options)
    t.logged(name="allowed.test", verdict="allow", reason="ok", proto="tls")
    if t.sluice:
        exchange(t, "denied.test", shape, **options)
        t.logged(name="denied.test", verdict="deny", reason="policy", proto="tls")


def two_records(hello):
    return tls.reframe(hello, [len(hello) // 2])


def many_records(hello):
    return tls.reframe(hello, [7] * (len(hello) // 7))


@test(core=True, plain=True)
def whole(t):
    both(t, lambda hello: [hello])


@test(core=True, plain=True)
def two_segments_anywhere(t):
    """Cut in the record header, in the message header, in the name, at the last byte."""
    hello = t.tls_client("allowed.test").first_flight()
    name = hello.index(b"allowed.test")
    for place in 1, 4, 5, 6, 9, 43, name, name + 5, len(hello) - 1:
        both(t, lambda data, place=place: tls.cut(data, place))


@test(core=True, plain=True)
def byte_by_byte(t):
    both(t, lambda hello: tls.cut(hello, *range(1, len(hello))), acked=False)


@test(core=True, plain=True)
def two_records_in_one_segment(t):
    both(t, lambda hello: [two_records(hello)])


@test(core=True, plain=True)
def two_records_in_two_segments(t):
    def shape(hello):
        data = two_records(hello)
        return tls.cut(data, 5 + (len(hello) // 2))
    both(t, shape)


@test(core=True, plain=True)
def many_records_in_one_segment(t):
    both(t, lambda hello: [many_records(hello)])


@test(core=True, plain=True)
def many_records_in_many_segments(t):
    """Segments and records cut at different places."""
    def shape(hello):
        data = many_records(hello)
        return tls.cut(data, *range(5, len(data), 31))
    both(t, shape, acked=False)


@test(plain=True)
def records_of_one_byte(t):
    both(t, lambda hello: [tls.reframe(hello, [1] * 2000)])


@test(core=True, plain=True)
def large_at_once(t):
    both(t, large_checked(lambda hello: [hello]), alpn=tls.long_alpn(LARGE - 400))


@test(core=True, plain=True)
def large_in_two_segments(t):
    both(t, large_checked(lambda hello: tls.cut(hello, SEGMENT)), alpn=tls.long_alpn(LARGE - 400))


@test(core=True, plain=True)
def large_in_two_records_and_segments(t):
    def shape(hello):
        return tls.cut(tls.reframe(hello, [1000]), 800, SEGMENT)
    both(t, large_checked(shape), alpn=tls.long_alpn(LARGE - 400))


def large_checked(shape):
    def check(hello):
        assert len(hello) > 1700, f"only {len(hello)} bytes"
        return shape(hello)
    return check


@test(plain=True)
def largest_that_a_record_holds(t):
    """15 KB, over a dozen segments: more than any scratch of one page or two."""
    both(t, lambda hello: tls.cut(hello, *range(SEGMENT, len(hello), SEGMENT)),
         alpn=tls.long_alpn(14000))


@test(plain=True)
def tls_1_2_hello(t):
    both(t, lambda hello: tls.cut(hello, 100), newest=ssl.TLSVersion.TLSv1_2)


@test()
def name_cut_out_of_sight_is_judged_nevertheless(t):
    """The server_name extension comes last, behind 1.4 KB: no piece before it may pass."""
    for name, alert in (b"denied.test", True), (b"allowed.test", False):
        protocols = tls.vector(b"x" * 99, 1) * 14
        filler = tls.extension(16, tls.vector(protocols))
        hello = tls.handmade_hello(None, extensions=filler + tls.sni(name))
        pieces = tls.cut(hello, SEGMENT, len(hello) - 6)
        before = t.lab.packets("denied", t.family)
        with t.connect("denied" if alert else "site") as sock:
            tls.send_pieces(sock, pieces, until)
            if alert:
                assert tls.read_to_end(sock) == (tls.ACCESS_DENIED_ALERT, "fin")
            else:
                assert tls.read_record(sock)[0] in (tls.HANDSHAKE, tls.ALERT)
        assert not alert or t.lab.packets("denied", t.family) == before
        t.logged(name=name.decode(), reason="policy" if alert else "ok")


@test(core=True, plain=True)
def bytes_after_the_hello_are_not_lost(t):
    """Early data: the hello and more of the client's bytes come in one segment, or in two."""
    def echo(sock):
        size = len(hello) + len(more)
        data = tls.read_exactly(sock, size)
        sock.sendall(data[::-1])

    for places in (), (50,), (None,):
        hello = tls.handmade_hello(b"raw.test")
        more = tls.application(bytes(range(256)) * 4)
        cuts = [len(hello) if p is None else p for p in places]
        with t.raw_server(echo), t.connect("raw") as sock:
            tls.send_pieces(sock, tls.cut(hello + more, *cuts), until)
            data, end = tls.read_to_end(sock)
            assert data == (hello + more)[::-1], f"{len(data)} bytes, {end}"
        t.logged(name="raw.test", reason="ok")


@test()
def second_hello_with_another_name_is_name_changed(t):
    """After a HelloRetryRequest the client may send a second hello: not for somebody else."""
    retry = tls.record(b"\x02" + tls.vector(b"\x03\x03" + tls.RETRY + bytes(8), 3), version=0x0303)
    for second in b"other.raw.test", b"denied.test":
        seen = []

        def server(sock):
            tls.read_record(sock)
            sock.sendall(retry)
            seen.append(tls.read_to_end(sock)[0])

        with t.raw_server(server), t.connect("raw") as sock:
            sock.sendall(tls.handmade_hello(b"raw.test"))
            assert tls.read_record(sock)[0] == tls.HANDSHAKE
            sock.sendall(tls.handmade_hello(second))
            tls.read_to_end(sock)
        assert second not in b"".join(seen), "the second hello reached the server"
        t.logged(reason="name_changed")


@test(plain=True)
def second_hello_with_the_same_name_passes(t):
    retry = tls.record(b"\x02" + tls.vector(b"\x03\x03" + tls.RETRY + bytes(8), 3), version=0x0303)

    def server(sock):
        tls.read_record(sock)
        sock.sendall(retry)
        assert tls.read_record(sock)[0] == tls.HANDSHAKE
        sock.sendall(tls.application(b"done"))

    for pieces in 1, 2:
        with t.raw_server(server), t.connect("raw") as sock:
            sock.sendall(tls.handmade_hello(b"raw.test"))
            assert tls.read_record(sock)[0] == tls.HANDSHAKE
            hello = tls.handmade_hello(b"raw.test", pad=16)
            tls.send_pieces(sock, tls.cut(hello, *([60] if pieces == 2 else [])), until)
            assert tls.read_record(sock) == (tls.APPLICATION, b"done")
        t.logged(name="raw.test", reason="ok")
