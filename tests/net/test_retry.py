# SPDX-License-Identifier: GPL-2.0-or-later
"""
The second hello (RFC 8446 4.1.4), with an OpenSSL client and an OpenSSL server whose groups do not
meet at first: it passes with the same name, however it is cut, and with another it does not. What
entitles a client to it is the server's first answer, in whatever shape that comes.
"""

import socket
import ssl

import shapes
import tls
import twohello
from case import test
from netns import until
from tls import CCS, RETRY, WARNING, application, extension, record, sni, vector
from witness import Witness

NAME, OTHER = b"again.raw.test", b"other.raw.test"


def context(t):
    """A server that takes no group of which clients send a share unasked."""
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.load_cert_chain(t.lab.path("cert.pem"), t.lab.path("key.pem"))
    found.set_ecdh_curve("secp384r1")
    return found


class Server:
    """Says which names it was asked for, and answers what it is told, backwards."""

    def __init__(self, t):
        self.context, self.names, self.refused = context(t), [], 0
        self.context.sni_callback = lambda ssl_socket, name, _context: self.names.append(name)
        self.raw = t.raw_server(self.serve)

    def serve(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with self.context.wrap_socket(sock, server_side=True) as talk:
                talk.sendall(talk.recv(100)[::-1])
        except OSError:  # ssl.SSLError is one, too
            self.refused += 1


def second_flight(client, sock):
    """Sends the first hello and takes the server's wish for another; what the client then sends."""
    sock.sendall(client.first_flight())
    kind, payload = tls.read_record(sock)
    assert kind == tls.HANDSHAKE and payload[6:38] == RETRY, f"no HelloRetryRequest: {payload[:40]}"
    client.incoming.write(tls.record(payload, version=0x0303))
    if (more := tls.read_record(sock))[0] == 20:
        client.incoming.write(CCS)
    else:
        raise AssertionError(f"no ChangeCipherSpec behind it: {more}")
    flight = client.first_flight()
    assert flight[:6] == CCS and flight[6] == tls.HANDSHAKE and flight[11] == 1, flight[:12]
    return flight


def ways(flight, name):
    """The flight in pieces: anywhere that means something, in records, in both, byte by byte."""
    yield [flight]
    yield [flight[:6], flight[6:]]
    yield tls.cut(flight, *range(1, len(flight)))
    for place in shapes.interesting(flight[6:], name):
        yield tls.cut(flight, 6 + place)
        yield [flight[:6], *tls.cut(flight[6:], place)]
    for at in 1, 4, 40, 100:
        cut = CCS + shapes.cut_records(flight[6:], at)
        yield [cut]
        yield tls.cut(cut, 6 + 5 + at)
        yield tls.cut(cut, 3, 9 + at)


def each_way(t, name):
    """(number, client, its socket, pieces of its second flight with that name in it)"""
    way = count = 0
    while way <= count:
        client = t.tls_client(NAME.decode())
        with t.connect("raw") as sock:
            flight = second_flight(client, sock).replace(NAME, name)
            pieces = list(ways(flight, name))
            count = len(pieces) - 1
            yield way, client, sock, pieces[way]
        way += 1
    assert way > 30, way


@test(seconds=60)
def with_the_same_name_it_passes(t):
    server = Server(t)
    with server.raw:
        for way, client, sock, pieces in each_way(t, NAME):
            tls.send_pieces(sock, pieces, until, acked=len(pieces) < 4)
            client.finish(sock)
            assert client.say(sock, b"hello") == b"olleh", way
    t.sluice.quiet()
    found = [(line["name"], line["reason"]) for line in t.lines()]
    assert found == [(NAME.decode(), "ok")] * (way + 1), found
    assert not server.refused and set(server.names) == {NAME.decode()}, server.names


@test(seconds=60)
def with_another_name_it_does_not(t):
    server = Server(t)
    with server.raw:
        for way, _, sock, pieces in each_way(t, OTHER):
            data, end = tls.exchange(sock, pieces, until, acked=len(pieces) < 4)
            assert (data, end) == (tls.ACCESS_DENIED_ALERT, "fin"), f"{way}: {data[:50]!r}, {end}"
    t.sluice.quiet()
    found = [(line["name"], line["reason"]) for line in t.lines()]
    assert found == [(NAME.decode(), "name_changed")] * (way + 1), found
    assert server.refused == way + 1 and set(server.names) == {NAME.decode()}, server.names


# --- a second hello that OpenSSL reads and a plain look does not ----------------------------

SHARE = tls.key_shares(tls.X25519)
EARLY = application(b"e" * 100)
UNKNOWN = 0xBABA


def hello(name, *more, legacy=0x0303):
    """A message; without a share in `more` no server can answer it but with a retry."""
    data = sni(name) + extension(43, vector(b"\3\4\3\3", 1))
    data += extension(10, vector(b"\0\x1d")) + extension(13, vector(b"\4\3"))
    return tls.handshake(data + b"".join(more), legacy=legacy)


FIRST = record(hello(NAME, tls.key_shares(), extension(shapes.EARLY_DATA, b"")))
SECOND, SECOND_OTHER = record(hello(NAME, SHARE)), record(hello(OTHER, SHARE))


def hidden(name, inner):
    """A hello in two records, of which the second is the hello `inner` for who reads it alone."""
    message = hello(name, SHARE, extension(UNKNOWN, b"any" + inner), legacy=0x0403)
    return record(message[:-len(inner)]) + record(inner)


def comes_to(t, second, events, reasons):
    """What the server does when `second` is sent behind its retry, and another time blind."""
    with Witness(t) as witness:
        for blind in False, True:
            with t.connect("raw") as sock:
                sock.sendall(FIRST + (second if blind else b""))
                assert tls.await_answer(sock) == "retry"
                try:
                    sock.sendall(b"" if blind else second)
                    sock.shutdown(socket.SHUT_WR)
                except OSError:
                    pass  # it was ended at the first bytes
                tls.read_to_end(sock)
        t.sluice.quiet()
        found = [(line["name"], line["reason"]) for line in t.lines()]
        visits = witness.visits(2)
    for visit in visits:
        assert visit.events[:len(events)] == events, visits
        assert visit.names == [event for event in events if event[0] != "+"], visits
    assert [name for name, _ in found] == [NAME.decode()] * 2, found
    assert {reason for _, reason in found} <= set(reasons), found


ONCE = (NAME.decode(), "+retry")
REFUSED = "name_changed", "bad_tls"


@test()
def another_name_behind_early_data_does_not_pass(t):
    comes_to(t, EARLY + CCS + SECOND_OTHER, ONCE, ("name_changed",))


@test()
def another_name_behind_an_empty_record_does_not_pass(t):
    """OpenSSL takes a record without a byte in it."""
    comes_to(t, EARLY + application(b"") + CCS + SECOND_OTHER, ONCE, REFUSED)


@test()
def the_same_name_behind_early_data_passes(t):
    comes_to(t, EARLY * 3 + CCS + SECOND + EARLY, ONCE + (NAME.decode(), "+hello"),
             ("ok",))


@test()
def another_name_with_an_allowed_hello_inside_does_not_pass(t):
    second = hidden(OTHER, hello(NAME, SHARE))
    comes_to(t, CCS + second, ONCE, REFUSED)
    comes_to(t, EARLY + CCS + second, ONCE, REFUSED)


@test()
def the_same_name_with_another_hello_inside_passes(t):
    second = hidden(NAME, hello(OTHER, SHARE))
    comes_to(t, CCS + second, ONCE + (NAME.decode(), "+hello"), ("ok",))


@test()
def without_a_name_it_does_not_pass(t):
    data = extension(43, vector(b"\3\4", 1)) + extension(10, vector(b"\0\x1d"))
    second = record(tls.handshake(data + extension(13, vector(b"\4\3")) + SHARE))
    comes_to(t, CCS + second, ONCE, ("name_changed",))
    comes_to(t, EARLY + second, ONCE, ("name_changed",))


@test(seconds=90)
def conversations_at_random_the_server_acts_on_no_other_name(t):
    facts, problems = twohello.compare(t, 600)
    assert not problems, f"{len(problems)}: {problems[:3]}"
    assert facts["honest"] > 200 and facts["retried"] > 300, facts


# --- the server's first answer --------------------------------------------------------------

ASKS_AGAIN = record(tls.server_hello(RETRY), version=0x0303)
ANSWERS = record(tls.server_hello(bytes(range(32))), version=0x0303)
NOISE = b"\1" * 7 + SECOND_OTHER  # nothing that who still reads lets through


class Scripted:
    """A server that waits for the first `size` bytes, says its pieces, and takes what comes."""

    def __init__(self, t, size, pieces):
        self.size, self.pieces, self.got = size, pieces, b""
        self.raw = t.raw_server(self.serve)

    def serve(self, sock):
        self.got = tls.read_exactly(sock, self.size)
        tls.send_segments(sock, self.pieces, until)
        self.got += tls.read_to_end(sock)[0]


def scripted(t, first, pieces, then, blind=b""):
    """
    (what the server got, reason): the client says `first`, `blind` at once, and `then` when it has
    had all the pieces. The server speaks when it has `first`.
    """
    server = Scripted(t, len(first), pieces)
    with server.raw, t.connect("raw") as sock:
        sock.sendall(first)
        sock.sendall(blind)
        expected = b"".join(pieces)
        assert tls.read_exactly(sock, len(expected)) == expected
        try:
            sock.sendall(then)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it was ended at the first bytes
        tls.read_to_end(sock)
    return server.got, t.logged(name=NAME.decode())["reason"]


def all_passes(t, first, pieces, then, blind=b"", what=""):
    got, reason = scripted(t, first, pieces, then, blind)
    sent = first + blind + then
    assert (got == sent, reason) == (True, "ok"), f"{what}: {reason}, {len(got)} of {len(sent)}"


def retries():
    """The wish for another hello in every shape: (what it is, its pieces)"""
    message = ASKS_AGAIN[5:]
    for size in range(1, 6):
        yield f"pieces of {size}", tls.in_pieces(ASKS_AGAIN, size)
        records = [record(part, version=0x0303) for part in tls.in_pieces(message, size)]
        yield f"records of {size}", records if size > 3 else [b"".join(records)]
    yield "behind warnings", [WARNING * 2 + ASKS_AGAIN]
    yield "behind warnings in pieces", tls.in_pieces(WARNING + ASKS_AGAIN, 4)
    yield "with what follows", [ASKS_AGAIN + CCS]


@test(seconds=60)
def a_retry_in_any_shape_entitles_to_the_same_name(t):
    for what, pieces in retries():
        all_passes(t, FIRST, pieces, EARLY + CCS + SECOND + NOISE, what=what)


@test(seconds=60)
def a_retry_in_any_shape_entitles_to_no_other_name(t):
    for what, pieces in retries():
        for before in CCS, EARLY + CCS:
            got, reason = scripted(t, FIRST, pieces, before + SECOND_OTHER)
            assert (FIRST + before).startswith(got), (what, reason, got)
            assert reason == "name_changed", (what, reason)


@test()
def early_data_does_not_wait_for_the_servers_word(t):
    """It answers only when it has that."""
    all_passes(t, FIRST + EARLY * 5, [ASKS_AGAIN], CCS + SECOND)
    all_passes(t, FIRST + CCS + EARLY * 5, [ANSWERS], EARLY)


@test()
def a_second_hello_sent_blind_passes_with_the_same_name(t):
    for blind in CCS + SECOND, EARLY + SECOND, SECOND:
        all_passes(t, FIRST, [ASKS_AGAIN], EARLY, blind)


@test()
def a_second_hello_sent_blind_does_not_pass_with_another(t):
    for before in CCS, EARLY + CCS, b"":
        got, reason = scripted(t, FIRST + before, tls.in_pieces(ASKS_AGAIN, 3), b"", SECOND_OTHER)
        assert (got, reason) == (FIRST + before, "name_changed"), (reason, got)


@test()
def what_waits_goes_before_the_end_of_the_client(t):
    """It has said all at once, its end as well, and the server has not said a word."""
    for answer, second in (ASKS_AGAIN, SECOND), (ANSWERS, SECOND), (ANSWERS, SECOND_OTHER):
        server = Scripted(t, len(FIRST), tls.in_pieces(answer, 4))
        with server.raw, t.connect("raw") as sock:
            sock.sendall(FIRST + CCS + second)
            sock.shutdown(socket.SHUT_WR)
            assert tls.read_to_end(sock) == (answer, "fin")
        assert server.got == FIRST + CCS + second, f"{len(server.got)}"
        t.logged(name=NAME.decode(), reason="ok")


@test()
def another_record_between_the_pieces_of_the_second_is_refused(t):
    message = SECOND[5:]
    for between in CCS, WARNING, EARLY:
        second = record(message[:100]) + between + record(message[100:])
        got, reason = scripted(t, FIRST, [ASKS_AGAIN], CCS + second)
        assert reason == "bad_tls" and (FIRST + CCS).startswith(got), (reason, got)


@test()
def behind_the_second_hello_nothing_is_read(t):
    for then in SECOND_OTHER, CCS + SECOND_OTHER, record(b"\1"), b"no records at all":
        all_passes(t, FIRST, [ASKS_AGAIN], CCS + SECOND + then)


@test()
def behind_a_server_hello_nothing_is_read(t):
    for pieces in [ANSWERS], tls.in_pieces(ANSWERS, 3), [WARNING + ANSWERS]:
        for then in SECOND_OTHER, record(b"\1" * 150), CCS + record(b"\1" + bytes(39)):
            all_passes(t, FIRST, pieces, then)


@test()
def a_handshake_record_waits_for_the_server_hello(t):
    """It is no hello, but only the server's word makes sure that none is wanted."""
    for blind in SECOND_OTHER, record(b"\1" * 150), CCS + record(b"\x10\0\0\1x"):
        all_passes(t, FIRST, tls.in_pieces(ANSWERS, 5), b"", blind)


@test()
def who_answers_something_else_than_tls_ends_the_reading(t):
    """A server that speaks another protocol reads no hello."""
    for answer in b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH\r\n":
        for then in SECOND, record(b"\x10\0\0\1x"), b"no record":
            all_passes(t, FIRST, [answer], then)
