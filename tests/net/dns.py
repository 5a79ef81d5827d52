# SPDX-License-Identifier: GPL-2.0-or-later
"""
A name server that does as a test says, where dnsmasq would know better:

    with Dns(t.lab, {name: of("10.77.2.2", ttl=0), other: failing(SERVFAIL)}) as dns:
        ...
        dns.asked(name)

What stands beside a name is called with each Question about it and returns the messages to send:
bytes, or (seconds, bytes) for one that is late. It answers over UDP and TCP, IPv4 and IPv6.
"""

import contextlib
import select
import socket
import struct
import threading

from lab import SERVERS

PORT = 5300  # beside dnsmasq
SILENT_PORT = 5301  # takes everything and says nothing
A, CNAME, AAAA = 1, 5, 28
SERVFAIL, NXDOMAIN, REFUSED = 2, 3, 5
TRUNCATED = 0x0200
UDP_MAX = 512  # of a question without EDNS


class Question:
    def __init__(self, message, tcp):
        self.id = struct.unpack_from("!H", message)[0]
        at, labels = 12, []
        while message[at]:
            labels.append(message[at + 1:at + 1 + message[at]])
            at += 1 + message[at]
        self.name = b".".join(labels).decode("latin-1").lower()
        self.kind = struct.unpack_from("!H", message, at + 1)[0]
        self.text = message[12:at + 5]  # as it came, in whatever case
        self.tcp = tcp


def labels(name):
    return b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0"


def record(kind, data, ttl=300, owner=b"\xc0\x0c"):
    return owner + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


def alias(owner, target, ttl=300):
    return record(CNAME, labels(target), ttl, labels(owner))


def reply(q, records=(), rcode=0, flags=0, ident=None, text=None):
    head = struct.pack("!6H", q.id if ident is None else ident, 0x8180 | flags | rcode, 1,
                       len(records), 0, 0)
    return head + (text or q.text) + b"".join(records)


def addresses(q, wanted, ttl=300, owner=b"\xc0\x0c"):
    """Records of those that are of the kind that was asked for."""
    family = socket.AF_INET if q.kind == A else socket.AF_INET6
    return [record(q.kind, socket.inet_pton(family, a), ttl, owner)
            for a in wanted if (":" in a) == (q.kind == AAAA)]


# --- behaviours -----------------------------------------------------------------------------

def of(*wanted, ttl=300, late=0):
    """These addresses; too many for a datagram are told over TCP only."""
    def answer(q):
        message = reply(q, addresses(q, wanted, ttl))
        if len(message) > UDP_MAX and not q.tcp:
            message = reply(q, flags=TRUNCATED)
        return [(late, message) if late else message]
    return answer


def aliased(chain, *wanted):
    """The name is the first of the chain; the addresses are the last one's."""
    def answer(q):
        names = [q.name, *chain]
        records = [alias(a, b) for a, b in zip(names, names[1:])]
        return [reply(q, records + addresses(q, wanted, owner=labels(names[-1])))]
    return answer


def failing(rcode):
    return lambda q: [reply(q, rcode=rcode)]


def silent(q):
    return []


# --- the server -----------------------------------------------------------------------------

class Dns:
    """table: {name: behaviour}; a name that begins with a dot is for all below it."""

    def __init__(self, lab, table):
        self.lab, self.table = lab, dict(table)
        self.questions, self.errors = [], []
        self.sockets, self.listeners, self.quiet = [], [], []
        self.wake, self.woken = socket.socketpair()

    def __enter__(self):
        for address in SERVERS["dns"]:
            self.sockets.append(self.bound(address, PORT, socket.SOCK_DGRAM))
            self.listeners.append(self.bound(address, PORT, socket.SOCK_STREAM))
            self.listeners[-1].listen(64)
            self.quiet.append(self.bound(address, SILENT_PORT, socket.SOCK_DGRAM))
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.wake.send(b"x")
        self.thread.join(30)
        for sock in *self.sockets, *self.listeners, *self.quiet, self.wake, self.woken:
            sock.close()
        if kind is None and self.errors:
            raise AssertionError(f"name server: {self.errors[0]!r}") from self.errors[0]

    def asked(self, name):
        """The questions about it so far."""
        return [q for q in list(self.questions) if q.name == name]

    def bound(self, address, port, kind):
        sock = self.lab.server.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        return sock

    def _serve(self):
        while True:
            ready = select.select([self.woken, *self.sockets, *self.listeners], [], [])[0]
            if self.woken in ready:
                return
            for sock in ready:
                try:
                    self._udp(sock) if sock in self.sockets else self._tcp(sock)
                except Exception as error:  # told at the end
                    self.errors.append(error)

    def _udp(self, sock):
        message, client = sock.recvfrom(4096)
        self._answer(Question(message, False), lambda m: sock.sendto(m, client), client)

    def _tcp(self, listener):
        sock, client = listener.accept()
        with sock:
            sock.settimeout(20)
            head = sock.recv(2, socket.MSG_WAITALL)
            message = sock.recv(struct.unpack("!H", head)[0], socket.MSG_WAITALL)
            self._answer(Question(message, True),
                         lambda m: sock.sendall(struct.pack("!H", len(m)) + m), client)

    def _answer(self, q, send, client):
        q.client = client
        self.questions.append(q)
        for message in self._behaviour(q.name)(q):
            if isinstance(message, tuple):
                threading.Timer(message[0], self._late, (send, message[1])).start()
            else:
                send(message)

    @staticmethod
    def _late(send, message):
        with contextlib.suppress(OSError):  # the test may have ended
            send(message)

    def _behaviour(self, name):
        if name in self.table:
            return self.table[name]
        for known, behaviour in self.table.items():
            if known.startswith(".") and name.endswith(known):
                return behaviour
        return failing(NXDOMAIN)
