# SPDX-License-Identifier: GPL-2.0-or-later
"""
Every request of requests.py: for a host that is allowed and for one that is not, whole and in
pieces, first on its connection and later, where the kernel judges and where user space does.
What is allowed reaches the server exactly as it was sent; of what is not it hears nothing.
"""

import collections

import requests
import tls
from case import get, test
from netns import until

ALLOWED, DENIED = b"req.raw.test", b"req.unlisted.test"
PLAIN = get(ALLOWED.decode())
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n+"
DRIPPED = {"plain", "two_hosts", "pipelined", "other_name_behind_chunks", "trailer_0", "absolute",
           "length_upgrade"}


class Server:
    """
    Takes requests of known sizes, answers each, then ends. What came is in `got`, all of it when
    the with-block of listening() has ended.
    """

    def __init__(self, t):
        self.t, self.sizes, self.stay, self.got = t, (), False, []
        self.due = collections.Counter()  # lines of the log, by their reason

    def listening(self, sizes, stay):
        """stay: it does not end by itself when it has answered all."""
        self.sizes, self.stay, self.got = sizes, stay, []
        return self.t.raw_server(self.serve, port=80)

    def serve(self, sock):
        for size in self.sizes:
            data = b""
            while len(data) < size and (block := sock.recv(size - len(data))):
                data += block
            self.got.append(data)
            if len(data) < size:
                return
            sock.sendall(ANSWER)
        if self.stay:
            self.got.append(tls.read_to_end(sock)[0])


def exchange(t, pieces, before, answered):
    """(everything that came, how it ended); before: that many plain requests come before. answered:
    what is not denied of the pieces is, and the others come all the same."""
    with t.connect("raw", 80) as sock:
        reset = False
        if before:
            sock.sendall(PLAIN * before)
            assert tls.read_exactly(sock, len(ANSWER * before)) == ANSWER * before
        try:
            if answered:
                tls.send_all_pieces(sock, pieces, until)
            else:
                tls.send_pieces(sock, pieces, until, acked=False)
        except (ConnectionResetError, BrokenPipeError):
            reset = True
        data, end = tls.read_to_end(sock)
        return data, "rst" if reset else end


def judged(t, server, reason, parts, before=0, cuts=()):
    """So many requests were answered before the parts are sent."""
    good, behind = parts
    flight = good + behind
    where = f"{flight[:300]!r} {cuts} behind {before} requests"
    answered = bool(behind) and reason != "ok"
    with server.listening([*[len(PLAIN)] * before, len(good if answered else flight)], answered):
        data, end = exchange(t, tls.cut(flight, *cuts), before, answered)
    server.due[reason] += 1
    got = server.got[before:]
    if reason == "ok":
        assert (data, end) == (ANSWER, "fin"), f"{where}: {data[:60]!r}, {end}"
        assert got == [flight], f"{where}: the server got {got!r}"
        return
    heard = b"".join(got)
    allowed = good if behind and ALLOWED in good else b""
    assert len(heard) <= len(allowed) and allowed.startswith(heard), f"{where}: heard {heard!r}"
    if reason == "not_tls":
        assert (data, end) == (b"", "rst"), f"{where}: {data[:60]!r}, {end}"
    else:
        data = data.removeprefix(ANSWER)  # of what was allowed before
        assert data.startswith(b"HTTP/1.1 403 ") and end in (
            "fin", "rst"), f"{where}: {data[:60]!r}"
        assert b"X-Sluice-Reason: %s\r\n" % reason.encode() in data, f"{where}: {data!r}"


def places(flight):
    """Where cuts are interesting: in the first line, in the host, before the last byte."""
    return sorted({5, flight.find(b"Host:") + 8, len(flight) - 1} - {len(flight)})


def each(t, run, rows=requests.REQUESTS):
    server = Server(t)
    for request in rows:
        run(t, server, request)
    t.sluice.quiet()
    lines = t.lines()
    for line in lines:
        good = line["reason"] == "ok"
        t.fields(line, verdict="allow" if good else "deny")
        assert not good or line["name"] == ALLOWED.decode(), line
    found = collections.Counter(line["reason"] for line in lines)
    assert found == server.due, f"{found}, not {server.due}"


def whole(t, server, request):
    judged(t, server, request.allowed, request.make(ALLOWED))
    judged(t, server, request.denied, request.make(DENIED))


@test(seconds=60)
def every_request_is_judged_as_the_table_says(t):
    each(t, whole)


def in_pieces(t, server, request):
    for name, reason in (ALLOWED, request.allowed), (DENIED, request.denied):
        parts = request.make(name)
        flight = b"".join(parts)
        judged(t, server, reason, parts, cuts=places(flight))
        if request.name in DRIPPED:
            judged(t, server, reason, parts, cuts=range(1, len(flight)))


@test(seconds=60)
def cuts_make_no_difference(t):
    each(t, in_pieces)


def later(t, server, request):
    for before in 1, 2:  # two in one segment
        judged(t, server, request.later, request.make(ALLOWED), before)


@test(seconds=60)
def later_requests_are_judged_as_the_first(t):
    each(t, later)


@test()
def another_allowed_name_is_another_name(t):
    row = requests.Request("", lambda _: (get("other.raw.test"), b""), "", "", "", "name_changed")
    each(t, later, [row])


def talk(t, request, answers, *more):
    """The server takes the request, says the answers, takes `more`; so does the client."""
    def serve(sock):
        assert tls.read_exactly(sock, len(request)) == request
        for answer in answers:
            sock.sendall(answer)
        for data in more:
            assert tls.read_exactly(sock, len(data)) == data
            sock.sendall(data)
        assert tls.read_to_end(sock) == (b"", "fin"), "more came to the server"

    return t.raw_server(serve, port=80)


SWITCH = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
FRAMES = b"\x81\x05hello", b"GET / no http", bytes(range(256))
UPGRADE = get(ALLOWED.decode(), "/", "Upgrade: x", "Connection: upgrade")
CHUNKED = get(
    ALLOWED.decode(), "/", "Upgrade: x", "Transfer-Encoding: chunked") + b"1\r\na\r\n0\r\n\r\n"
LENGTH = get(ALLOWED.decode(), "/", "Upgrade: x", "Content-Length: 2") + b"ab"


@test()
def upgrade_is_granted_by_101_however_it_comes(t):
    for request in UPGRADE, CHUNKED, LENGTH:
        for answers in (SWITCH,), (b"HTTP/1.1 100 Continue\r\n\r\n" + SWITCH,):
            with talk(t, request, answers, *FRAMES), t.connect("raw", 80) as sock:
                sock.sendall(request)
                wanted = b"".join(answers)
                assert tls.read_exactly(sock, len(wanted)) == wanted
                for data in FRAMES:
                    sock.sendall(data)
                    assert tls.read_exactly(sock, len(data)) == data


@test()
def what_follows_a_refused_upgrade_is_judged(t):
    """And what came with the request, and was held back, is not forgotten."""
    for request in UPGRADE, CHUNKED, LENGTH:
        with talk(t, request, (ANSWER,), PLAIN), t.connect("raw", 80) as sock:
            sock.sendall(request + PLAIN)
            assert tls.read_exactly(sock, len(ANSWER + PLAIN)) == ANSWER + PLAIN
        t.logged(reason="ok")
        with talk(t, request, (ANSWER,)), t.connect("raw", 80) as sock:
            sock.sendall(request + get("other.raw.test"))
            data, _ = tls.read_to_end(sock)
            assert data.startswith(ANSWER + b"HTTP/1.1 403 "), data
        t.logged(reason="name_changed")


@test()
def http2_cannot_be_changed_to(t):
    request = get(ALLOWED.decode(), "/", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    with talk(t, request, (SWITCH,)), t.connect("raw", 80) as sock:
        sock.sendall(request)
        assert tls.read_exactly(sock, len(SWITCH)) == SWITCH
        sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert b" 403 " in tls.read_to_end(sock)[0]
    t.logged(reason="bad_http")


@test()
def body_that_waits_for_100_comes(t):
    request = get(ALLOWED.decode(), "/", "Expect: 100-continue", "Content-Length: 3")
    again = b"HTTP/1.1 100 Continue\r\n\r\n"
    for before in b"", PLAIN * 2:
        with talk(t, before + request, (again,), b"abc"), t.connect("raw", 80) as sock:
            sock.sendall(before + request)
            assert tls.read_exactly(sock, len(again)) == again
            sock.sendall(b"abc")
            assert tls.read_exactly(sock, 3) == b"abc"
        t.logged(reason="ok")
