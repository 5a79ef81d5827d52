# SPDX-License-Identifier: GPL-2.0-or-later
"""
Conversations with a second hello in them, at random, and an OpenSSL server behind the gateway
(witness.c) that tells on which names it acts and what reached it.

The first hello always asks for an allowed name, a new one. Nothing else may ever be acted on, and
what reaches the server is how the client's bytes begin. A conversation that a client may well have
(`honest`) gets all of its bytes to the server; if one does not, it is repeated past the gateway,
where it must.
"""

import collections
import dataclasses
import multiprocessing
import random
import socket
from concurrent import futures

import mixed
import shapes
import tls
from tls import CCS, SECP256, WARNING, X25519, application, extension, record, sni, vector
from witness import Witness

PORT, PAST = 443, 4433  # at the second no connection is redirected
ALLOWED, DENIED = b".two.raw.test", b".two.unlisted.test"
PATIENCE_S = 60
SHARE = 50  # conversations that a process takes in one go
EARLY_MAX = 16384  # bytes of early data that OpenSSL skips
UNKNOWN = 0xBABA
ANSWERS = {"retry": ("retry",), "hello": ("hello",), "any": ("retry", "hello")}
SMALL_BUFFER = 2304  # the least that Linux has


@dataclasses.dataclass
class Conversation:
    """steps: lists of pieces to send, and the answers to wait for in between. buffer: of what is
    received, 0: as the system has it."""
    number: int
    name: bytes
    steps: list = dataclasses.field(default_factory=list)
    honest: bool = True
    buffer: int = 0
    second: str = "same"


# --- what is said ---------------------------------------------------------------------------

def first_name(source, number):
    """With what the witness is to do in it."""
    how = b""
    if source.random() < 0.3:
        how += b"-p%d" % source.choice((1, 2, 3, 5, 40))
    if source.random() < 0.15:
        how += b"-a%d" % source.choice((1, 2, 3))
    return b"n%d%s" % (number, how) + ALLOWED


def extensions(source, tls_1_3, shares, more=()):
    found = [extension(10, vector(shapes.u16(X25519, SECP256))),
             extension(13, vector(shapes.u16(0x0403, 0x0804)))]
    if tls_1_3:
        found += [extension(43, vector(shapes.u16(0x0304, 0x0303), 1)), tls.key_shares(*shares)]
    found += more
    source.shuffle(found)
    return b"".join(found)


class Hellos:
    """The hellos of one client: they have the same random, session and ciphers."""

    def __init__(self, source):
        self.source = source
        self.same = {"random": source.randbytes(32), "session": source.randbytes(32)}
        self.tls_1_3 = source.random() < 0.88

    def message(self, name, shares, more=(), last=b"", legacy=0x0303):
        more = [*more, sni(name)] if name else more
        data = extensions(self.source, self.tls_1_3, shares, more) + last
        return tls.handshake(data, legacy=legacy, **self.same)


def in_segments(source, data):
    count = source.choice((1,) * 6 + (2, 2, 3, 10))
    places = source.sample(range(1, len(data)), min(count, len(data)) - 1)
    return tls.cut(data, *sorted(places))


def cut_anywhere(source, message, likely):
    """The message in pieces for records; `likely` is a place at which it is often cut."""
    places = set(source.sample(range(1, len(message)), source.choice((0, 0, 0, 1, 1, 2, 5))))
    if source.random() < 0.15:
        places |= set(range(1, source.randrange(2, 8)))
    if likely and source.random() < 0.7:
        places = {p for p in places if p <= likely and source.random() < 0.5} | {likely}
    return tls.cut(message, *sorted(places))


def between(source, c, early):
    """What may stand between the hellos."""
    found = [CCS] * source.choice((0, 1, 1, 1, 2))
    found += [WARNING] * source.choice((0, 0, 0, 0, 1, 2))
    if early and source.random() < 0.7:
        most = EARLY_MAX // 4 if source.random() < 0.9 else EARLY_MAX
        found += [application(source.randbytes(source.randrange(1, most)))
                  for _ in range(source.randrange(1, 4))]
        c.honest &= sum(len(r) - 5 for r in found if r[0] == tls.APPLICATION) <= EARLY_MAX
    if source.random() < 0.05:
        c.honest = False
        found.append(source.choice((record(b"\x14\0\0\1x"), record(b"\2\0\0\1x"),
                                    record(b"\1"), application(b"x"), application(b""),
                                    record(b"x", 24), record(b"\2\x28", tls.ALERT))))
    source.shuffle(found)
    return found


def second_name(source, c):
    c.second = source.choices(("same", "written otherwise", "allowed", "denied", "none"),
                              (40, 5, 15, 25, 15))[0]
    return {"same": c.name, "written otherwise": c.name.upper() + b".", "none": None,
            "allowed": b"other" + ALLOWED, "denied": b"n%d" % c.number + DENIED}[c.second]


def second_hello(source, c, hellos):
    name = second_name(source, c)
    legacy = source.choice((0x0303,) * 4 + (0x0403, 0x0403, 0x0301))
    last, likely = b"", None
    if source.random() < 0.6:  # an extension that nobody knows, perhaps with a hello in it
        inner = source.randbytes(source.randrange(40))
        decoy = hellos.message(c.name, (X25519,)) if source.random() < 0.7 else b""
        last = extension(UNKNOWN, inner + decoy)
        likely = len(decoy)
    message = hellos.message(name, (X25519,), last=last, legacy=legacy)
    pieces = cut_anywhere(source, message, likely and len(message) - likely)
    records = [record(piece, version=source.choice((0x0303, 0x0303, 0x0301))) for piece in pieces]
    c.honest &= c.second in ("same", "written otherwise")
    if source.random() < 0.04:
        records[-1] = record(pieces[-1] + hellos.message(c.name, (X25519,)))
        c.honest = False
    if source.random() < 0.08:
        records.insert(source.randrange(len(records) + 1), source.choice((CCS, WARNING)))
        c.honest = False
    return records


def behind(source, c, hellos):
    """What follows when all hellos have been said, for whoever still looks."""
    third = hellos.message(b"n%d" % c.number + DENIED, (X25519,))
    return source.choice((
        [], [], [record(third, version=0x0303)], [CCS, record(third, version=0x0303)],
        [application(source.randbytes(300)), record(third, version=0x0303)],
        [record(b"\x0b\0\1\0" + b"\1" * 100), record(b"\1" * 156)],  # a certificate in two records
        [CCS, record(b"\1" + source.randbytes(39), version=0x0303)],  # a sealed Finished
        [application(source.randbytes(17))]))


def waits(source, c, follows, answer, early):
    """Of what follows a client with early data says some before it has the answer; the rest."""
    at = source.randrange(len(follows) + 1) if early else 0
    if at:
        c.steps.append(in_segments(source, b"".join(follows[:at])))
    c.steps.append(answer)
    return follows[at:]


def conversation(seed, number):
    """The same for the same numbers: c.honest says whether a client may say it so."""
    source = random.Random(f"{seed} {number}")
    c = Conversation(number, first_name(source, number))
    hellos = Hellos(source)
    shares = source.choice(((), (), (SECP256,), (SECP256,), (X25519,)))
    early = source.random() < 0.45
    retried = hellos.tls_1_3 and X25519 not in shares
    answer = "retry" if retried else "hello"
    first = hellos.message(c.name, shares, [extension(shapes.EARLY_DATA, b"")] if early else ())
    pieces = cut_anywhere(source, first, None) if source.random() < 0.2 else [first]
    c.steps.append(in_segments(source, b"".join(map(record, pieces))))
    follows = between(source, c, early) if source.random() < 0.9 else []
    follows += second_hello(source, c, hellos) if retried or source.random() < 0.5 else []
    if source.random() < 0.6:
        follows = waits(source, c, follows, answer, early)
    follows += behind(source, c, hellos)
    if follows:
        c.steps.append(in_segments(source, b"".join(follows)))
    c.honest |= not retried and c.steps[1:2] == ["hello"]
    if answer not in c.steps and source.random() < 0.5:
        c.steps.append("any")  # else the client's end comes right behind, before the answer
    c.buffer = SMALL_BUFFER if source.random() < 0.05 else 0
    return c


# --- the client -----------------------------------------------------------------------------

def talk(c, sock):
    """Says it, as far as it comes, and reads to the end: what was sent."""
    sent = bytearray()
    try:
        for step in c.steps:
            if isinstance(step, str):
                if tls.await_answer(sock) not in ANSWERS[step]:
                    break
                continue
            for piece in step:
                sent += piece
                sock.sendall(piece)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):
            pass
    except TimeoutError:
        raise  # neither an answer nor an end
    except OSError:
        pass  # ended in the middle
    return bytes(sent)


def connect(target, port, c):
    address, source = target
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    sock.settimeout(PATIENCE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if c.buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, c.buffer)
    sock.bind((source, 0))
    sock.connect((address, port))
    return sock


def run_some(work):
    """In a process of its own: [(conversation, what it sent, whether it hung)]"""
    seed, numbers, target, namespace, port = work
    done = []
    with namespace.entered():
        for number in numbers:
            c = conversation(seed, number)
            try:
                with connect(target, port, c) as sock:
                    done.append((c, talk(c, sock), False))
            except TimeoutError:
                done.append((c, b"", True))
    return done


def run_all(t, seed, numbers, port, jobs):
    target = t.server("raw"), t.client("client")
    work = [(seed, numbers[i:i + SHARE], target, t.lab.client, port)
            for i in range(0, len(numbers), SHARE)]
    with futures.ProcessPoolExecutor(jobs, multiprocessing.get_context("fork")) as pool:
        return [one for some in pool.map(run_some, work) for one in some]


# --- what comes of it -----------------------------------------------------------------------

def by_name(visits):
    """{the first name: visit}; who asked for none is nobody of ours."""
    return {visit.names[0]: visit for visit in visits if visit.names}


def got_past(c, sent, visit):
    """What the server should not have seen, or None."""
    name = c.name.decode()
    others = [other for other in visit.names if mixed.normalised(other) != name]
    if others:
        return f"{name}: the server acted on {others}, {c.second}, {visit.events}"
    if not visit.begins(sent):
        return f"{name}: {visit.size} bytes reached the server that were not sent"
    return None


def compare(t, count, seed=1, jobs=2):
    """Has so many conversations. (counter of what happened, problems)"""
    seed = f"{seed} {t.mode} {t.family}"
    facts, problems, held = collections.Counter(), [], []
    with Witness(t, PORT, PAST) as witness:
        t.lines()
        done = run_all(t, seed, range(count), PORT, jobs)
        t.sluice.quiet()
        judged = {line["name"]: line for line in t.lines()}
        seen = by_name(witness.visits(sum(line["connected"] for line in judged.values())))
        for c, sent, hung in done:
            visit, line = seen.get(c.name.decode()), judged.get(c.name.decode(), {"reason": "none"})
            facts[line["reason"]] += 1
            facts["honest"] += c.honest
            facts["retried"] += bool(visit and "retry" in visit.answers)
            past = visit and got_past(c, sent, visit)
            if past:
                problems.append(f"{past}, {line['reason']}")
            if hung or (c.honest and not (visit and visit.is_all_of(sent))):
                held.append((c, line["reason"], hung))
        problems += held_up(t, seed, held, witness, jobs)
    return facts, problems


def held_up(t, seed, held, witness, jobs):
    """Honest ones that did not come through: unless they do past the gateway, they are none."""
    numbers = [c.number for c, _, _ in held]
    direct = {c.number: (sent, hung) for c, sent, hung in run_all(t, seed, numbers, PAST, jobs)}
    seen = by_name(witness.visits(len(numbers), which=1))
    problems = []
    for c, reason, hung in held:
        sent, _ = direct[c.number]
        visit = seen.get(c.name.decode())
        honest = visit and visit.is_all_of(sent)
        problems.append(f"{c.name.decode()}: {'hung' if hung else 'held up'}, {reason}, {c.second}"
                        f"{'' if honest else ', and past the gateway it does not go on either'}")
    return problems
