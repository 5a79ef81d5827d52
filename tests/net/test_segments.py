# SPDX-License-Identifier: GPL-2.0-or-later
"""
What TCP leaves to its reader. A segment may begin with bytes that came before: TCP queues it as it
is, recv() skips the repetition, and a verdict program is handed it. Whoever carries, the server
gets each byte once, and of two copies the one that came first.

Every repetition here is made of other bytes than the first copy, so that a byte that comes twice
or from the wrong copy shows. All of it holds without a daemon as well (--mode plain).
"""

import contextlib
import random
import socket
import threading

import rawtcp
import tls
from case import test
from rawtcp import ACK, FIN, PSH

ROUND, ROUNDS = 100, 30  # so many that the kernel carries in the end
OPENING = tls.handmade_hello(b"raw.test") + tls.application(b"the flow is opaque from here on")
ANSWER = b"This is the answer."
JUST_BEFORE_WRAP = 0xffffffff - len(OPENING) - 150  # of the sequence number, in what is repeated
SMALL, LONG, LONGEST = 7, 5000, 20000  # lengths of what is repeated: more than 4095, than 16 KB


def payload(size):
    return random.Random(size).randbytes(size)


def other(data):
    """As long, and different in each byte."""
    return bytes(byte ^ 0xff for byte in data)


def repeat(stream, start, known, end):
    """The bytes of a segment from start to end, of which all before `known` came already."""
    return other(stream[start:known]) + stream[known:end]


class Server:
    """Takes the opening, echoes some rounds, takes the body, answers, and wants the end."""

    def __init__(self, rounds, size):
        self.rounds, self.size = rounds, size
        self.opening = self.body = None
        self.rest = None

    @staticmethod
    def serve_opening(sock, rounds):
        opening = tls.read_exactly(sock, len(OPENING))
        sock.sendall(b"+")
        for _ in range(rounds):
            sock.sendall(tls.read_exactly(sock, ROUND))
        return opening

    def __call__(self, sock):
        self.opening = self.serve_opening(sock, self.rounds)
        self.body = tls.read_exactly(sock, self.size)
        sock.sendall(ANSWER)
        self.rest = tls.read_to_end(sock)


def carried_and_overlaps(t):
    """What the kernel has carried up and down, and how often something was cut off."""
    if t.mode != "on":
        return 0, 0, 0
    stats = t.sluice.stats()
    return stats["bytes_up_kernel"], stats["bytes_down_kernel"], stats["overlaps"]


@contextlib.contextmanager
def client_wire(t):
    wire = rawtcp.Wire(t.lab, "client", t.family)
    with contextlib.closing(wire):
        yield wire


def opened(t, wire, rounds, isn):
    """A connection whose flow is open, and after some rounds carried by the kernel; and how many
    bytes that took."""
    tcp = rawtcp.connect(wire, t.server("raw"), 443, isn, seconds=10 * t.scale)
    tcp.say(0, OPENING)
    assert tcp.read_exactly(1) == b"+"
    at = len(OPENING)
    for i in range(rounds):
        message = payload(ROUND + i)[:ROUND]
        tcp.send(at, message)
        assert tcp.read_exactly(ROUND) == message
        at += ROUND
    return tcp, at


def body_arrives(t, body, send, rounds, isn=0x1000, overlaps=1):
    """
    send(flow), with places counted in the body, gives the server all of it. overlaps: how many
    segments TCP queues that begin with bytes from before.
    """
    server = Server(rounds, len(body))
    with t.raw_server(server), client_wire(t) as wire:
        tcp, begin = opened(t, wire, rounds, isn)
        with tcp:
            before = carried_and_overlaps(t)
            send(Shifted(tcp, begin))
            assert tcp.read_exactly(len(ANSWER)) == ANSWER
            after = carried_and_overlaps(t)
            if not tcp.has_ended:
                tcp.send(begin + len(body), flags=ACK | FIN)
            assert tcp.read_to_end() == (b"", "fin")
    assert server.opening == OPENING
    assert server.body == body, difference(server.body, body)
    assert server.rest == (b"", "fin"), f"{len(server.rest[0])} bytes too many, {server.rest[1]}"
    if t.mode == "on":
        assert after[2] - before[2] == overlaps, f"{after[2] - before[2]} overlaps were cut off"
        if rounds:
            assert after[0] > before[0], "the kernel has not carried"
    t.logged(name="raw.test", reason="ok")


def difference(got, wanted):
    at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), len(got))
    return f"other bytes from {at} of {len(wanted)} on"


class Shifted:
    """A connection whose places are counted from the body's beginning."""

    def __init__(self, tcp, begin):
        self.tcp, self.begin = tcp, begin

    def say(self, at, data, **how):
        self.tcp.say(self.begin + at, data, **how)

    def send(self, at, data=b"", **how):
        self.tcp.send(self.begin + at, data, **how)

    def probe(self, at, data=b"", **how):
        self.tcp.probe(self.begin + at, data, **how)


def in_both_stages(t, body, send, **how):
    """Just opened, where user space carries, and after many rounds, where the kernel does."""
    for rounds in 0, ROUNDS:
        body_arrives(t, body, send, rounds, **how)


# --- segments that repeat ------------------------------------------------------------------------

def repeated(body, lengths):
    """Segments, each of which repeats so many bytes of the ones before, and 300 new ones."""
    def send(flow):
        known = len(body) - 300 * len(lengths)
        for at in range(0, known, rawtcp.MSS):
            flow.say(at, body[at:min(at + rawtcp.MSS, known)])
        for length in lengths:
            flow.say(known - length, repeat(body, known - length, known, known + 300))
            known += 300
    return send


@test(core=True, plain=True)
def few_bytes_are_repeated(t):
    lengths = 1, SMALL, 200
    body = payload(900 + 300 * len(lengths))
    in_both_stages(t, body, repeated(body, lengths), overlaps=len(lengths))


@test(core=True, plain=True)
def all_but_the_last_byte_is_repeated(t):
    body = payload(1001)

    def send(flow):
        flow.say(0, body[:1000])
        flow.say(0, repeat(body, 0, 1000, 1001))
    in_both_stages(t, body, send)


@test(core=True, plain=True)
def long_segments_are_repeated(t):
    """One skb that repeats more than the program can cut off in one go."""
    lengths = rawtcp.MSS, 4095, 4096, LONG, LONGEST
    body = payload(LONGEST + 300 * len(lengths))
    in_both_stages(t, body, repeated(body, lengths), overlaps=len(lengths))


@test(core=True, plain=True)
def sequence_numbers_wrap_in_what_is_repeated(t):
    lengths = 200, 1000
    body = payload(900 + 300 * len(lengths))
    for rounds in 0, ROUNDS:
        body_arrives(t, body, repeated(body, lengths), rounds, overlaps=len(lengths),
                     isn=JUST_BEFORE_WRAP - rounds * ROUND - 600)


@test(core=True, plain=True)
def exact_duplicates_are_nothing(t):
    """TCP itself throws away what is old as a whole: the program never sees it."""
    body = payload(900)

    def send(flow):
        flow.say(0, body[:600])
        flow.probe(0, other(body[:600]))
        flow.probe(100, other(body[100:300]))
        flow.probe(599, other(body[599:600]))  # as old systems ask whether we are still there
        flow.say(600, body[600:])
    in_both_stages(t, body, send, overlaps=0)


@test(core=True, plain=True)
def hole_is_filled_with_overlaps_on_both_sides(t):
    body = payload(1000)

    def send(flow):
        flow.say(0, body[:100])
        flow.probe(500, body[500:800])  # out of order
        flow.probe(300, body[300:600])  # and again, over its beginning
        flow.say(50, repeat(body, 50, 100, 350))  # over what came and over what waits
        flow.say(800, body[800:])
    # 50 to 350 after 100; 300 to 600 after 350; 500 to 800 after 600
    in_both_stages(t, body, send, overlaps=3)


@test(core=True, plain=True)
def hole_is_filled_exactly(t):
    body = payload(1000)

    def send(flow):
        flow.probe(300, body[300:600])
        flow.probe(600, body[600:1000])
        flow.probe(300, body[300:600])
        flow.say(0, body[:300])
    in_both_stages(t, body, send, overlaps=0)


# --- FIN -----------------------------------------------------------------------------------------

@test(core=True, plain=True)
def fin_in_a_segment_that_repeats(t):
    body = payload(600)

    def send(flow):
        flow.say(0, body[:400])
        flow.send(300, repeat(body, 300, 400, 600), flags=ACK | PSH | FIN)
    in_both_stages(t, body, send)


@test(core=True, plain=True)
def fin_behind_nothing_but_repetition(t):
    """A sender that has not seen our acknowledgement puts its last bytes and its FIN together."""
    body = payload(600)

    def send(flow):
        flow.say(0, body)
        flow.send(400, other(body[400:]), flags=ACK | PSH | FIN)
    in_both_stages(t, body, send)


@test(core=True, plain=True)
def fin_comes_before_a_hole_is_filled(t):
    body = payload(600)

    def send(flow):
        flow.say(0, body[:200])
        flow.probe(400, body[400:], flags=ACK | PSH | FIN)
        flow.send(100, repeat(body, 100, 200, 450))
    in_both_stages(t, body, send, overlaps=2)


# --- the first flight ----------------------------------------------------------------------------

ALLOWED, DENIED = b"raw.test", b"bad.name"  # as long as each other
HELLO, OTHER_HELLO = tls.handmade_hello(ALLOWED), tls.handmade_hello(DENIED)
NAME_AT = HELLO.index(ALLOWED)
RECORD = tls.application(payload(300))


def flights(first, second):
    """
    Segments (place, bytes) of a hello: the name is in both copies, `first`'s comes first. Cut
    behind the name, so that the hello is not whole; or whole, with what follows overlapping it.
    """
    cut = NAME_AT + len(ALLOWED) + 3
    yield (0, first[:cut]), (NAME_AT - 4, second[NAME_AT - 4:] + RECORD)
    yield (0, first[:cut]), (0, second + RECORD)
    yield (0, first[:cut]), (1, second[1:cut + 1]), (2, second[2:] + RECORD)
    yield (0, first), (NAME_AT - 4, second[NAME_AT - 4:] + RECORD)
    yield (0, first), (0, second + RECORD)
    yield (0, first + RECORD[:50]), (NAME_AT, second[NAME_AT:] + RECORD)
    yield (0, first + RECORD[:50]), (len(first) - 9, second[-9:] + other(RECORD[:50]) + RECORD[50:])


@contextlib.contextmanager
def held(t, hold):
    """The daemon meanwhile sees nothing: what comes is queued before it accepts."""
    if not (hold and t.sluice):
        yield
        return
    with t.sluice.standing_still():
        yield


def send_flight(t, wire, segments, hold):
    tcp = rawtcp.connect(wire, t.server("raw"), 443, seconds=10 * t.scale)
    with held(t, hold):
        for at, data in segments:
            if tcp.was_reset or tcp.ended:
                break  # it has been answered already
            tcp.probe(at, data)
    return tcp


@test(core=True, plain=True, seconds=60)
def name_of_the_first_copy_is_allowed(t):
    for hold in False, True:
        for segments in flights(HELLO, OTHER_HELLO):
            got = []

            def server(sock):
                got.append(tls.read_exactly(sock, len(HELLO) + len(RECORD)))
                sock.sendall(ANSWER)
                got.append(tls.read_to_end(sock))

            with t.raw_server(server), client_wire(t) as wire:
                with send_flight(t, wire, segments, hold) as tcp:
                    assert tcp.read_exactly(len(ANSWER)) == ANSWER
                    tcp.send(len(HELLO) + len(RECORD), flags=ACK | FIN)
                    assert tcp.read_to_end() == (b"", "fin")
            assert got[0] == HELLO + RECORD, difference(got[0], HELLO + RECORD)
            assert got[1] == (b"", "fin"), f"{len(got[1][0])} bytes too many, {got[1][1]}"
            t.logged(name=ALLOWED.decode(), reason="ok", verdict="allow")


@test(core=True, seconds=60)
def name_of_the_first_copy_is_denied(t):
    for hold in False, True:
        for segments in flights(OTHER_HELLO, HELLO):
            before = t.lab.packets("raw", t.family)
            with client_wire(t) as wire, send_flight(t, wire, segments, hold) as tcp:
                data, end = tcp.read_to_end()
            assert data == tls.ACCESS_DENIED_ALERT, f"answer {data[:100]!r}, {end}"
            t.logged(name=DENIED.decode(), reason="policy", verdict="deny")
            assert t.lab.packets("raw", t.family) == before, "the server got packets"


@test(core=True, plain=True)
def request_head_is_repeated(t):
    """HTTP: the second head overlaps the end of the first request."""
    body = payload(300)
    first = f"POST /1 HTTP/1.1\r\nHost: raw.test\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    second = b"GET /2 HTTP/1.1\r\nHost: raw.test\r\n\r\n"
    stream = first + body + second
    got = []

    def server(sock):
        got.append(tls.read_exactly(sock, len(stream)))
        sock.sendall(ANSWER)
        got.append(tls.read_to_end(sock))

    for known in 20, len(first), len(first) + 100, len(first) + len(body):
        got.clear()
        with t.raw_server(server, port=80), client_wire(t) as wire:
            with rawtcp.connect(wire, t.server("raw"), 80, seconds=10 * t.scale) as tcp:
                tcp.say(0, stream[:known])
                tcp.say(known - 20, repeat(stream, known - 20, known, len(stream)))
                assert tcp.read_exactly(len(ANSWER)) == ANSWER
                tcp.send(len(stream), flags=ACK | FIN)
                assert tcp.read_to_end() == (b"", "fin")
        assert got == [stream, (b"", "fin")], difference(got[0], stream)
        t.logged(name="raw.test", reason="ok")


# --- from the first byte to the last -------------------------------------------------------------

def overlapping_rounds(tcp, begin, exchange):
    """Messages of which each repeats half of the one before."""
    message, at = b"", begin
    for i in range(ROUNDS):
        before, message = message, payload(ROUND + i)[:ROUND]
        half = before[len(before) // 2:]
        tcp.send(at - len(half), other(half) + message)
        exchange(message)
        at += ROUND
    return at


@test(core=True, plain=True)
def every_message_of_the_client_repeats(t):
    server = Server(ROUNDS, 0)
    with t.raw_server(server), client_wire(t) as wire:
        tcp, at = opened(t, wire, 0, 0x1000)
        with tcp:
            def echo(message):
                assert tcp.read_exactly(ROUND) == message
            at = overlapping_rounds(tcp, at, echo)
            assert tcp.read_exactly(len(ANSWER)) == ANSWER
            tcp.send(at, flags=ACK | FIN)
            assert tcp.read_to_end() == (b"", "fin")
    assert server.rest == (b"", "fin")
    t.logged(name="raw.test", reason="ok")


@test(core=True, ini={"policy.destination": "original"})
def every_message_of_the_server_repeats(t):
    """
    The upstream's socket enters the map in the middle of its stream, and whatever skb is the first
    then begins before what user space has read.
    """
    wire = rawtcp.Wire(t.lab, "server", t.family)
    with contextlib.closing(wire), t.lab.connect(wire.address, 443, t.client("client")) as sock:
        sock.settimeout(10 * t.scale)
        sock.sendall(OPENING)
        with rawtcp.accept(wire, 443, 0xffffff00, 10 * t.scale) as tcp:
            assert tcp.read_exactly(len(OPENING)) == OPENING

            def exchange(message):
                assert tls.read_exactly(sock, ROUND) == message
                sock.sendall(message)
                assert tcp.read_exactly(ROUND) == message

            before = carried_and_overlaps(t)
            at = overlapping_rounds(tcp, 0, exchange)
            after = carried_and_overlaps(t)
            tcp.send(at - 9, other(b"the last."), flags=ACK | FIN)
            assert tls.read_to_end(sock) == (b"", "fin")
            sock.close()
            assert tcp.read_to_end() == (b"", "fin")
    if t.mode == "on":
        assert after[1] - before[1] > ROUND, "the kernel has not carried"
        assert after[2] > before[2], "nothing was cut off"
    t.logged(name="raw.test", reason="ok")


# --- urgent data ---------------------------------------------------------------------------------

def urgent_arrives(t, stream, mark, send):
    """
    All bytes of the stream stay in line, which is what the server asks its TCP for as well; and it
    is not the FIN that makes the last arrive. send(flow, wait) sends it; wait() until the server
    has all that comes before the mark.
    """
    def server(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        Server.serve_opening(sock, rounds)
        start = tls.read_exactly(sock, mark)
        sock.sendall(b"+")
        got.append(start + tls.read_exactly(sock, len(stream) - mark))
        sock.sendall(ANSWER)
        got.append(tls.read_to_end(sock))

    for rounds in 0, ROUNDS:
        got = []
        with t.raw_server(server), client_wire(t) as wire:
            tcp, begin = opened(t, wire, rounds, 0x1000)
            with tcp:
                send(Shifted(tcp, begin), lambda: tcp.read_exactly(1))
                assert tcp.read_exactly(len(ANSWER)) == ANSWER
                tcp.send(begin + len(stream), flags=ACK | FIN)
                assert tcp.read_to_end() == (b"", "fin")
        assert got == [stream, (b"", "fin")], got
        t.logged(name="raw.test", reason="ok")


@test(core=True, plain=True)
def urgent_byte_stays_in_line(t):
    """recv() stops at the mark: what is behind it need not arrive before something follows."""
    stream = b"0123456789abcdef"

    def send(flow, wait):
        flow.say(0, stream[:10], urgent=6)
        wait()
        flow.say(10, stream[10:])
    urgent_arrives(t, stream, 5, send)


@test(core=True, plain=True, modes=("on",))
def urgent_twice_before_it_is_read(t):
    """
    When another urgent byte comes, TCP skips one that nobody has read: also if it was passed up
    long ago, and then its count of what was read is wrong and it does not tell of the last byte.
    """
    stream = b"0123456789z"

    def send(flow, wait):
        with held(t, True):
            flow.say(0, stream[:4], urgent=1)
            flow.say(4, stream[4:10], urgent=3)
        wait()
        flow.say(10, stream[10:])
    urgent_arrives(t, stream, 6, send)


# --- a closed window -----------------------------------------------------------------------------

def fill(tcp, begin, stream):
    """Sends what the window takes until it is closed; the place then."""
    at = begin
    while True:
        tcp.until(lambda: tcp.acked >= at, "all is acknowledged")
        size = min(tcp.window, LONGEST, begin + len(stream) - at)
        if tcp.window == 0:
            return at
        assert size, "the window never closes"
        tcp.send(at, stream[at - begin:at - begin + size])
        at += size


@test(core=True, plain=True)
def probes_of_a_closed_window_are_not_taken(t):
    """Whichever way a sender asks whether there is room by now, and overlaps after that."""
    stream = payload(8 << 20)
    for rounds in 0, ROUNDS:
        got, go = [], threading.Event()

        def server(sock):
            Server.serve_opening(sock, rounds)
            go.wait(60)
            got.append(tls.read_to_end(sock))
            sock.sendall(ANSWER)

        with t.raw_server(server), client_wire(t) as wire:
            tcp, begin = opened(t, wire, rounds, 0x1000)
            with tcp:
                with held(t, True):
                    at = fill(tcp, begin, stream)
                    known = at - begin
                    tcp.probe(at - 1)
                    tcp.probe(at - 1, other(stream[known - 1:known]))
                    tcp.probe(at, other(stream[known:known + 1]))
                    tcp.probe(at - 50, other(stream[known - 50:known + 50]))
                    assert (tcp.acked, tcp.window) == (at, 0), "more was taken"
                go.set()
                tcp.until(lambda: tcp.window > 1000, "the window opens")
                tcp.say(at - 50, repeat(stream, known - 50, known, known + 900))
                tcp.send(at + 900, flags=ACK | FIN)
                assert tcp.read_to_end() == (ANSWER, "fin")
        assert got[0][1] == "fin" and got[0][0] == stream[:known + 900], \
            difference(got[0][0], stream[:known + 900])
        t.logged(name="raw.test", reason="ok")
