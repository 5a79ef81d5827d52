# SPDX-License-Identifier: GPL-2.0-or-later
"""
The second hello (RFC 8446 4.1.4), with an OpenSSL client and an OpenSSL server whose groups do not
meet at first: it passes with the same name, however it is cut, and with another it does not.
"""

import socket
import ssl

import shapes
import tls
from case import test
from netns import until

NAME, OTHER = b"again.raw.test", b"other.raw.test"
RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
CCS = bytes((20, 3, 3, 0, 1, 1))


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
