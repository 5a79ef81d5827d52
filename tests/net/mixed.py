# SPDX-License-Identifier: GPL-2.0-or-later
"""
Hellos that mix the shapes of shapes.py at random, each with a name of its own, cut at random into
records and segments; and an OpenSSL server behind the gateway (oracle.c) that says what name it
was asked for. What Sluice logs as allowed and what the server saw must be the same names.
"""

import collections
import random
import socket
import subprocess

import shapes
import tls
from netns import until
from tls import extension, record, sni, vector
from shapes import u16

PORT = 443
ALLOWED, DENIED = b".mix.raw.test", b".mix.unlisted.test"
ANSWER_SECONDS = 20


# --- hellos ---------------------------------------------------------------------------------

def odd_case(source, name):
    return bytes(c ^ 32 if source.random() < 0.5 and chr(c).isalpha() else c for c in name)


# Ways to write a name, and how often.
NAMES = (
    (60, lambda source, name: name),
    (12, odd_case),
    (6, lambda source, name: name + b"."),
    (4, lambda source, name: b"_x." + name),
    (4, lambda source, name: b"xn--mller-kva." + name),
    (3, lambda source, name: b"x" * source.choice((62, 63, 64)) + b"." + name),
    (2, lambda source, name: (b"y" * 49 + b".") * 5 + name),
    (2, lambda source, name: name + b"\0.example"),
    (2, lambda source, name: name.replace(b".", b"..", 1)),
    (2, lambda source, name: "\u00e4.".encode() + name),
    (2, lambda source, name: name + b":443"),
    (1, lambda source, name: name.replace(b".", b"\0", 1)),
)

# Extensions, and how often each is there.
EXTENSIONS = (
    (0.9, lambda s: extension(
        10, vector(u16(*s.sample((shapes.MLKEM, 0x1D, 0x17, 0x18, shapes.GREASE), 3))))),
    (0.9, lambda s: extension(13, vector(u16(0x0403, 0x0804, 0x0401, 0x0601)))),
    (0.6, lambda s: extension(51, vector(u16(0x1D) + vector(s.randbytes(32))))),
    (0.2, lambda s: extension(51, vector(u16(shapes.MLKEM) + vector(bytes(1216)) + u16(0x1D)
                                         + vector(s.randbytes(32))))),
    (0.7, lambda s: extension(
        43, vector(u16(*s.sample((0x0304, 0x0303, 0x0302, shapes.GREASE, 0x7F1C), 2)), 1))),
    (0.5, lambda s: extension(16, vector(vector(b"h2", 1) + vector(b"http/1.1", 1)))),
    (0.5, lambda s: extension(35, s.randbytes(s.choice((0, 192))))),
    (0.4, lambda s: extension(45, b"\1\1")),
    (0.4, lambda s: extension(5, b"\1\0\0\0\0")),
    (0.4, lambda s: extension(23, b"")),
    (0.3, lambda s: extension(0xFF01, b"\0")),
    (0.3, lambda s: extension(shapes.GREASE, b"")),
    (0.2, lambda s: extension(28, u16(0x4001))),
    (0.2, lambda s: extension(27, b"\2\0\2")),
    (0.2, lambda s: extension(18, b"")),
    (0.2, lambda s: extension(11, b"\1\0")),
    (0.2, lambda s: extension(shapes.ECH, b"\0" + u16(1, 1) + b"\7" + vector(s.randbytes(32)) +
                              vector(s.randbytes(144)))),
    (0.2, lambda s: extension(0xBABA, b"\0")),
    (0.2, lambda s: extension(shapes.PADDING, bytes(s.choice((1, 100, 700, 3000, 17000))))),
    (0.05, lambda s: extension(shapes.EARLY_DATA, b"")),
    (0.03, lambda s: extension(0, b"")),
    (0.03, lambda s: sni(b"second" + ALLOWED)),
    (0.02, lambda s: extension(14, u16(2, 1) + b"\0")),
)
PSK = extension(shapes.PSK, vector(vector(bytes(80)) + bytes(4)) + vector(vector(bytes(32), 1)))


def pick(source, weighted):
    weights, choices = zip(*weighted)
    return source.choices(choices, weights)[0]


def message(source, number):
    """A handshake message, mostly one that a server can read."""
    name = b"n%d" % number + (DENIED if source.random() < 0.1 else ALLOWED)
    found = [make(source) for share, make in EXTENSIONS if source.random() < share]
    if source.random() > 0.04:
        found.append(sni(pick(source, NAMES)(source, name)))
    source.shuffle(found)
    if source.random() < 0.1:
        found.insert(len(found) if source.random() < 0.8 else 0, PSK)
    if source.random() < 0.02:
        found.append(source.choice(found))
    return tls.handshake(
        b"".join(found), legacy=source.choice((0x0303,) * 12 + (0x0301, 0x0304, 0x0300)),
        session=source.randbytes(
            source.choice((0, 32, 32, 32, 32, 16, 33)) if source.random() < 0.3 else 32),
        ciphers=u16(*source.sample((shapes.GREASE, 0x1301, 0x1302, 0xC02B, 0xC02F, 0x00FF), 4)),
        random=source.randbytes(32))


def damaged(source, data):
    """A length that lies, or some bytes that are others."""
    out = bytearray(data)
    for _ in range(source.choice((1, 1, 2))):
        i = source.randrange(len(out))
        out[i] = source.randrange(256) if source.random() < 0.5 else (
            out[i] + source.choice((1, 255))) % 256
    return bytes(out)


def in_records(source, data):
    size = source.choice((len(data),) * 5 + (len(data) // 2 + 1, len(data) // 3 + 1, 100, 7, 1))
    size = min(size, shapes.RECORD_MAX)
    if len(data) // size > 3000:
        size = 1000
    version = source.choice((0x0301, 0x0301, 0x0303, 0x0300))
    return b"".join(record(data[i:i + size], version=version) for i in range(0, len(data), size))


def flight(source, number):
    """One hello as it goes onto the wire."""
    data = message(source, number)
    if source.random() < 0.08:
        data = damaged(source, data)
    data = in_records(source, data)
    if source.random() < 0.04:
        data = damaged(source, data)
    if source.random() < 0.1:
        data += record(b"\1", 20, 0x0303) * source.randrange(2) + tls.application(
            source.randbytes(99))
    return data


def segments(source, data):
    """The flight in pieces."""
    count = source.choice((1,) * 10 + (2,) * 5 + (3, 3, 5, 20))
    if source.random() < 0.01 and len(data) < 2000:
        count = len(data)
    places = source.sample(range(1, len(data)), min(count, len(data)) - 1)
    return tls.cut(data, *sorted(places))


# --- the server that knows ------------------------------------------------------------------

class Oracle:
    """oracle.c in the server's place. names(): what it was asked for."""

    def __init__(self, t):
        self.lab, self.path = t.lab, t.lab.path("oracle.names")
        argv = [f"{t.build}/tests/net/oracle", t.server("raw"), PORT, t.lab.path("cert.pem"),
                t.lab.path("key.pem")]
        with open(self.path, "wb") as out:
            self.process = t.lab.start(t.lab.server, argv, stdin=subprocess.PIPE, stdout=out)
        until(self.lines, 20, "the oracle is ready")

    def lines(self):
        with open(self.path, encoding="ascii") as f:
            return f.read().splitlines()

    def names(self, count):
        """When it has had so many connections."""
        until(lambda: len(self.lines()) > count,
              ANSWER_SECONDS, f"the oracle has answered {count} times")
        return self.lines()[1:]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.lab.processes.stop(self.process)


def normalised(name):
    return name.lower().removesuffix(".")


def problems(judged, seen):
    """judged: the log's lines; seen: what the server was asked for. What does not fit together."""
    allowed = collections.Counter(line["name"] for line in judged if line["connected"])
    asked = collections.Counter(normalised(name) for name in seen if name[0] != "!")
    refused = len(seen) - sum(asked.values())
    found = [f"the server was asked for {name!r}, which was not judged" for name in asked - allowed]
    missing = allowed - asked
    if sum(missing.values()) != refused:
        found.append(f"{refused} hellos refused by the server, not asked for: {dict(missing)}")
    return found


def compare(t, count, seed=1):
    """Sends so many. (connections by reason, those that the server refused by why, problems)"""
    source = random.Random(f"{seed} {t.mode} {t.family}")
    with Oracle(t) as oracle:
        t.lines()
        for number in range(count):
            data = flight(source, number)
            pieces = segments(source, data)
            with t.connect("raw", PORT) as sock:
                finish(t, sock, pieces)
        t.sluice.quiet()
        judged = t.lines()
        seen = oracle.names(sum(line["connected"] for line in judged))
    reasons = collections.Counter(line["reason"] for line in judged)
    found = problems(judged, seen)
    if oracle.process.returncode not in (0, -15):
        found.append(f"the oracle ended with {oracle.process.returncode}")
    if len(judged) != count:
        found.append(f"{len(judged)} lines in the log for {count} connections")
    return reasons, collections.Counter(name[1:] for name in seen if name[0] == "!"), found


def finish(t, sock, pieces):
    """Sends; what comes back is enough when there is anything. A flight that is not whole ends
    with FIN, so that nobody has to wait for more of it."""
    try:
        if tls.send_pieces(sock, pieces, t.until, acked=len(pieces) < 4):
            sock.shutdown(socket.SHUT_WR)
        sock.recv(1)
    except TimeoutError:
        raise  # neither an answer nor an end
    except OSError:
        pass  # ended in the middle
