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
import signal
import threading

import rawtcp
import tls
from case import test
from rawtcp import ACK, FIN, PSH, URG
from servers import RawServer

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

    def __call__(self, sock):
        self.opening = tls.read_exactly(sock, len(OPENING))
        sock.sendall(b"+")
        for _ in range(self.rounds):
            sock.sendall(tls.read_exactly(sock, ROUND))
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
