# SPDX-License-Identifier: GPL-2.0-or-later
"""
A request that is denied behind others. What the server has answered to those is the client's, byte
for byte; our page comes only behind an answer that is whole, and never as the answer to another
request. In an open answer the connection ends.
"""

import contextlib
import socket
import threading

import tls
from case import get, test
from test_http import read_answer, talk

PAGE = b"HTTP/1.1 403 "
OK = b"HTTP/1.1 200 OK\r\n"
ALLOWED, DENIED = get("raw.test", "/last"), get("denied.test")
HEAD = ALLOWED.replace(b"GET", b"HEAD", 1)
HALF = b"x" * 50000
LENGTH = OK + b"Content-Length: %d\r\n\r\n" % (2 * len(HALF))
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNK = b"%x\r\n" % (2 * len(HALF)) + HALF


class Server:
    """
    Answers whoever asks for another path than /last as test_http's does. To what comes then it says
    `first` at once. `rest` follows when the client has asked for what it is denied or, with stall,
    when its connection is over. Then it ends its side.
    """

    def __init__(self, requests, first, rest):
        self.requests, self.first, self.rest = requests, first, rest
        self.go_on = threading.Event()
        self.received = b""

    def __call__(self, sock):
        while b"/last" not in (head := self.read_head(sock)):
            body = b"raw.test 0"
            sock.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.received = head + tls.read_exactly(sock, len(self.requests) - len(head))
        sock.sendall(self.first)
        assert self.go_on.wait(60), "the test does not go on"
        with contextlib.suppress(OSError):  # the other side may be gone
            sock.sendall(self.rest)
            sock.shutdown(socket.SHUT_WR)
        self.received += tls.read_to_end(sock)[0]

    @staticmethod
    def read_head(sock):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += tls.read_exactly(sock, 1)
        return head


def is_page(data):
    head, _, body = data.partition(b"\r\n\r\n")
    return head.startswith(PAGE) and b"Content-Length: %d\r\n" % len(body) in head


def check_answer(answer, ends, got, end):
    """ends: the client can tell where the last answer ends."""
    assert end in ("fin", "rst"), end
    if PAGE not in got:
        assert answer.startswith(
            got), f"{len(got)} bytes are no beginning of the answer: {got[-200:]!r}"
        return
    at = got.index(PAGE)
    assert ends and at == len(answer), f"a page at byte {at} of {len(answer)}"
    assert got[:at] == answer and is_page(got[at:]), got[at:]


def deny_behind(t, first, rest=b"", requests=ALLOWED, ends=True, stall=False, before=None,
                together=False, denied=DENIED):
    """
    The requests, and the one that is denied: with the last of them (together), or when `first` has
    come. before: what the client does before all that. Returns what the client got.
    """
    server = Server(requests, first, rest)
    with t.raw_server(server, port=80):
        with t.connect("raw", 80) as sock:
            if before:
                before(sock)
            sock.sendall(requests + (denied if together else b""))
            got = b""
            if not together:
                got = tls.read_exactly(sock, len(first))
                sock.sendall(denied)
            if not stall:
                server.go_on.set()
            more, end = tls.read_to_end(sock)
        server.go_on.set()
    assert server.received == requests, server.received[-200:]
    check_answer(first + rest, ends, got + more, end)
    t.logged(name="raw.test", reason=("policy", "name_changed", "bad_http"))
    return got + more


def deny_behind_both(t, first, rest=b"", **how):
    for together in False, True:
        deny_behind(t, first, rest, together=together, **how)


def whole(t, first, rest=b"", **how):
    """The answer is whole before the connection ends, so the client has all of it."""
    for together in False, True:
        got = deny_behind(t, first, rest, together=together, **how)
        assert got.startswith(first + rest), f"{len(got)} bytes of {len(first + rest)}"


@test(seconds=90)
def denial_in_an_answer_that_stalls(t):
    deny_behind_both(t, LENGTH + HALF, HALF, stall=True)


@test(seconds=90)
def bad_head_behind_an_open_answer(t):
    bad = b"GET / HTTP/1.1\r\nHost : raw.test\r\n\r\n"
    deny_behind_both(t, LENGTH + HALF, HALF, stall=True, denied=bad)
    deny_behind_both(t, b"", LENGTH + HALF + HALF, stall=True, denied=bad)
    deny_behind_both(t, OK + b"\r\n" + b"x" * 138, ends=False, denied=bad)
    whole(t, LENGTH + HALF, HALF, denied=bad)


@test(seconds=90)
def denial_in_an_answer_that_goes_on(t):
    whole(t, LENGTH + HALF, HALF)


@test(seconds=90)
def denial_in_an_answer_that_ends_by_close(t):
    deny_behind_both(t, OK + b"\r\n" + b"x" * 138, ends=False)
    deny_behind_both(t, OK + b"\r\n" + b"x" * 138, b"y" * 138, ends=False)
    deny_behind_both(t, b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 138, ends=False, stall=True)


@test(seconds=90)
def denial_in_an_answer_cut_short(t):
    """So that a page would fill it up."""
    deny_behind_both(t, LENGTH + HALF, ends=False)
    deny_behind_both(t, OK + b"Content-Length: 300\r\n\r\n" + b"x" * 138, ends=False)
    deny_behind_both(t, OK + b"Content-Le", ends=False)


@test(seconds=90)
def denial_in_a_chunked_answer(t):
    last = b"\r\n0\r\n\r\n"
    deny_behind_both(t, CHUNKED + CHUNK, HALF + last, stall=True)
    deny_behind_both(t, CHUNKED + CHUNK, ends=False)
    deny_behind_both(t, CHUNKED + b"5\r\nhello\r\n", ends=False)
    deny_behind_both(t, CHUNKED + b"5\r\nhello\r\n0\r\n", ends=False)
    whole(t, CHUNKED + CHUNK, HALF + last)


@test(seconds=90)
def denial_behind_interim_answers(t):
    """They come before the one that counts, which is still missing."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    deny_behind_both(t, interim, LENGTH + 2 * HALF, stall=True)
    deny_behind_both(t, interim)
    whole(t, interim, LENGTH + 2 * HALF)


@test(seconds=90)
def denial_behind_the_answer_to_head(t):
    """It has no body, whatever it says; the next one has."""
    whole(t, LENGTH, requests=HEAD)
    whole(t, LENGTH, requests=HEAD, stall=True)
    deny_behind_both(t, LENGTH + LENGTH + HALF, HALF, requests=HEAD + ALLOWED, stall=True)
    deny_behind_both(t, LENGTH + LENGTH + HALF, ends=False, requests=HEAD + ALLOWED)
    whole(t, LENGTH + LENGTH + HALF, HALF, requests=HEAD + ALLOWED)


@test(core=True, seconds=90)
def denial_behind_a_whole_answer_gets_the_page(t):
    answer = LENGTH + HALF + HALF
    for stall in False, True:
        got = deny_behind(t, answer, stall=stall)
        assert is_page(got[len(answer):]), got[len(answer):]


@test(core=True, seconds=90)
def denial_is_no_answer_to_another_request(t):
    """That one has none yet; the server may be as slow as it likes."""
    deny_behind_both(t, b"", LENGTH + HALF + HALF, stall=True)
    deny_behind(t, b"", LENGTH + HALF + HALF, stall=True, requests=ALLOWED * 3)
    deny_behind(t, LENGTH + HALF + HALF, LENGTH + HALF + HALF, stall=True, requests=ALLOWED * 2)
    deny_behind_both(t, b"")  # the server ends, and there will be none
    whole(t, b"", LENGTH + HALF + HALF)


@test(core=True, seconds=90)
def denial_in_an_open_answer_after_a_long_talk(t):
    """Where the kernel carries."""
    deny_behind_both(t, LENGTH + HALF, HALF, stall=True, before=talk)
    deny_behind_both(t, b"", LENGTH + HALF + HALF, stall=True, before=talk)
    deny_behind_both(t, OK + b"\r\n" + b"x" * 138, ends=False, before=talk)
    deny_behind_both(t, LENGTH + HALF, ends=False, before=talk)
    deny_behind_both(t, CHUNKED + CHUNK, ends=False, before=talk)
    whole(t, LENGTH + HALF, HALF, before=talk)


@test(seconds=90)
def denial_in_an_open_answer_after_two_heads_in_one_segment(t):
    """Where user space judges all that follows."""
    def look(sock):
        sock.sendall(get("raw.test") * 2)
        for _ in range(2):
            assert read_answer(sock)[1] == b"raw.test 0"
        talk(sock)

    deny_behind_both(t, LENGTH + HALF, HALF, stall=True, before=look)
    deny_behind_both(t, b"", LENGTH + HALF + HALF, stall=True, before=look)
    deny_behind_both(t, OK + b"\r\n" + b"x" * 138, ends=False, before=look)
    whole(t, LENGTH + HALF, HALF, before=look)
