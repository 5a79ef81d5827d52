# SPDX-License-Identifier: GPL-2.0-or-later
"""HTTP/1: every request of a connection is judged."""

import tls
from case import get, is_forbidden, test
from netns import until

TALK = 12  # requests


def answer_requests(sock):
    """A server that answers each request with its own Host and keeps the connection."""
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            block = sock.recv(65536)
            if not block:
                return
            data += block
        head, _, data = data.partition(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields.get(b"Content-Length", 0))
        while len(data) < length:
            block = sock.recv(65536)
            assert block, "end of file inside a body"
            data += block
        data = data[length:]
        body = fields[b"Host"] + b" %d" % length
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def read_answer(sock):
    """(head, body) of one answer with a Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        block = sock.recv(1)
        assert block, f"end of file inside a head: {data!r}"
        data += block
    length = [line for line in data.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return data, tls.read_exactly(sock, int(length[0].split(b":")[1]))


@test(core=True)
def denied_host_gets_the_page(t):
    page = is_forbidden(t, get("denied.test"), role="denied", port=80)
    assert "denied.test" in page and "policy" in page, page
    t.logged(name="denied.test", reason="policy", proto="http", verdict="deny", port=80)


@test(core=True)
def head_in_pieces(t):
    request = get("allowed.test", "/", "Connection: close")
    for cuts in (1,), (3,), (20,), (len(request) - 1,), range(1, len(request)):
        with t.connect(port=80) as sock:
            tls.send_pieces(sock, tls.cut(request, *cuts), until, acked=len(cuts) == 1)
            data, _ = tls.read_to_end(sock)
            assert b"server=site" in data, data
        t.logged(name="allowed.test", reason="ok", proto="http")
    request = get("denied.test")
    for cuts in (20,), range(1, len(request)):
        with t.connect(port=80) as sock:
            tls.send_pieces(sock, tls.cut(request, *cuts), until, acked=len(cuts) == 1)
            assert tls.read_to_end(sock)[0].startswith(b"HTTP/1.1 403 ")
        t.logged(name="denied.test", reason="policy", proto="http")


@test()
def host_in_other_spellings(t):
    for host in "ALLOWED.test", "allowed.test.", "allowed.test:80":
        data, _ = t.send(get(host, "/", "Connection: close"), port=80)
        assert b"server=site" in data, (host, data)
        t.logged(name="allowed.test", reason="ok")
    data, _ = t.send(b"GET / HTTP/1.1\r\nhost:allowed.test\r\nConnection: close\r\n\r\n", port=80)
    assert b"server=site" in data, data
    t.logged(name="allowed.test", reason="ok")


@test()
def absolute_form_and_host_must_agree(t):
    """A proxy request names the host twice."""
    data, _ = t.send(get("allowed.test", "http://denied.test/", "Connection: close"), port=80)
    assert data.startswith(b"HTTP/1.1 403 "), data
    t.logged(verdict="deny", reason=("bad_http", "policy", "name_changed", "bad_name"))


@test(core=True)
def no_host(t):
    is_forbidden(t, get(None, version="1.0"), port=80)
    t.logged(reason="no_host", proto="http", verdict="deny")


@test()
def address_as_host_is_denied(t):
    host = t.server("site")
    is_forbidden(t, get(f"[{host}]" if t.family == 6 else host), port=80)
    t.logged(verdict="deny", reason=("no_host", "policy", "bad_name"))


@test(core=True)
def bad_http(t):
    for request in (
        b"GET / HTTP/1.1\r\nHost: allowed.test\r\nHost: denied.test\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: allowed.test\r\nHost: allowed.test\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : allowed.test\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: allowed.test\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: allowed.test\r\nX: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: allowed.test\r\nContent-Length: 1\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: allowed.test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"GET / HTTP/1.1\r\nHost: allowed.test\r\nContent-Length: -1\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: allowed.test\r\n\r\n",
    ):
        data, _ = t.send(request, port=80)
        assert data.startswith(b"HTTP/1.1 403 "), (request, data[:100])
        line = t.logged(verdict="deny")
        assert line["reason"] == "bad_http", (request, line)


@test(core=True)
def later_request_for_another_name_is_name_changed(t):
    # after the first answer, and pipelined with the first request: often, for what may race
    for acked in [True] + [False] * 20:
        with t.raw_server(answer_requests, port=80) as server:
            with t.connect("raw", 80) as sock:
                sock.sendall(get("raw.test"))
                if acked:
                    assert read_answer(sock)[1] == b"raw.test 0"
                sock.sendall(get("denied.test"))
                data, _ = tls.read_to_end(sock)
            assert b"denied.test 0" not in data, data
            assert b"403" in data, data
            assert server.accepted <= 1
        t.sluice.quiet()
        reasons = [line["reason"] for line in t.lines()]
        assert "name_changed" in reasons and len(reasons) <= 2, reasons


@test(core=True)
def later_requests_for_the_same_name_pass(t):
    body = bytes(i & 255 for i in range(5000))
    with t.raw_server(answer_requests, port=80), t.connect("raw", 80) as sock:
        for i in range(20):
            sock.sendall(get("raw.test", f"/{i}"))
            assert read_answer(sock)[1] == b"raw.test 0"
            sock.sendall(get("RAW.test", "/", f"Content-Length: {len(body)}") + body)
            assert read_answer(sock)[1] == b"RAW.test 5000"
            tls.send_pieces(sock, tls.cut(get("raw.test", f"/cut/{i}"), 30), until)
            assert read_answer(sock)[1] == b"raw.test 0"
        sock.sendall(get("raw.test") * 5)  # pipelined
        for i in range(5):
            assert read_answer(sock)[1] == b"raw.test 0"


@test()
def request_hidden_in_a_body_is_no_request(t):
    """What looks like a head is body, and what follows the body is a head."""
    inner = get("denied.test")
    with t.raw_server(answer_requests, port=80), t.connect("raw", 80) as sock:
        sock.sendall(get("raw.test", "/", f"Content-Length: {len(inner)}") + inner)
        assert read_answer(sock)[1] == b"raw.test %d" % len(inner)
        sock.sendall(get("raw.test", "/", f"Content-Length: {len(inner)}") + inner + inner)
        data, _ = tls.read_to_end(sock)
        assert b"denied.test" not in data.split(b"HTTP/1.1 403")[0], data
        assert b"HTTP/1.1 403" in data, data


@test()
def chunked_bodies_are_followed(t):
    chunks = b"5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nTrailer: x\r\n\r\n"
    head = get("raw.test", "/", "Transfer-Encoding: chunked")

    def server(sock):
        want = head + chunks + get("raw.test")
        assert tls.read_exactly(sock, len(want)) == want
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone" * 2)
        assert tls.read_to_end(sock) == (b"", "fin"), "more came to the server"

    for cuts in (), (len(head) + 2,), range(1, len(head + chunks), 7):
        with t.raw_server(server, port=80), t.connect("raw", 80) as sock:
            tls.send_pieces(sock, tls.cut(head + chunks, *cuts) + [get("raw.test")], until,
                            acked=False)
            for _ in range(2):
                assert read_answer(sock)[1] == b"done"
            sock.sendall(get("denied.test"))
            data, _ = tls.read_to_end(sock)
            assert data.startswith(b"HTTP/1.1 403"), data


def talk(sock):
    """Requests and answers, until the connection is one that the kernel carries."""
    for i in range(TALK):
        sock.sendall(get("raw.test", f"/{i}"))
        assert read_answer(sock)[1] == b"raw.test 0"


@test(core=True)
def another_name_after_a_long_talk_is_denied(t):
    """Also where user space judges what the kernel would otherwise carry."""
    for look in False, True:
        with t.raw_server(answer_requests, port=80), t.connect("raw", 80) as sock:
            if look:  # two heads in one segment are nothing that the kernel judges
                sock.sendall(get("raw.test") * 2)
                for _ in range(2):
                    assert read_answer(sock)[1] == b"raw.test 0"
            talk(sock)
            sock.sendall(get("denied.test"))
            data, _ = tls.read_to_end(sock)
            assert data.startswith(b"HTTP/1.1 403"), data
        t.logged(name="raw.test", reason=("policy", "name_changed"))


@test()
def an_upgrade_with_a_body_is_answered(t):
    """As curl --http2 -d sends it: the server waits for the body, and the body for nobody."""
    def server(sock):
        data = b""
        while not data.endswith(b"\r\n\r\nhello"):
            data += sock.recv(65536)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    with t.raw_server(server, port=80), t.connect("raw", 80) as sock:
        sock.sendall(get("raw.test", "/", "Upgrade: h2c", "Connection: Upgrade",
                         "Content-Length: 5") + b"hello")
        data, _ = tls.read_to_end(sock)
        assert data.endswith(b"ok"), data
    t.logged(name="raw.test", reason="ok")


@test()
def upgrade_makes_the_connection_opaque(t):
    def server(sock):
        data = b""
        while b"\r\n\r\n" not in data:
            data += sock.recv(65536)
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\n"
                     b"Upgrade: x\r\nConnection: Upgrade\r\n\r\n")
        while block := sock.recv(65536):
            sock.sendall(block)

    with t.raw_server(server, port=80), t.connect("raw", 80) as sock:
        sock.sendall(get("raw.test", "/", "Upgrade: x", "Connection: Upgrade"))
        data = b""
        while b"\r\n\r\n" not in data:
            data += sock.recv(1)
        for message in b"\x81\x05hello", b"GET / not http", bytes(range(256)):
            sock.sendall(message)
            assert tls.read_exactly(sock, len(message)) == message
    t.logged(name="raw.test", reason="ok")


@test(ini={"policy.enforce": "no"})
def without_enforcement_a_later_request_goes_on(t):
    """For another host, or with a head that is bad: nothing waits until the client says more."""
    bad = get("raw.test", "/", "Content-Length: 1, 2")
    for before in 1, 12:
        for request in get("denied.test"), bad:
            def server(sock, request=request, before=before):
                for _ in range(before):
                    assert tls.read_exactly(sock, len(get("raw.test"))) == get("raw.test")
                    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n+")
                assert tls.read_exactly(sock, len(request)) == request
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast")

            with t.raw_server(server, port=80), t.connect("raw", 80) as sock:
                for _ in range(before):
                    sock.sendall(get("raw.test"))
                    assert read_answer(sock)[1] == b"+"
                sock.sendall(request)
                assert read_answer(sock)[1] == b"last"
            t.logged(name="raw.test", verdict="deny", enforced=False,
                     reason="name_changed" if request is not bad else "bad_http")
