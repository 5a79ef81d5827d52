# SPDX-License-Identifier: GPL-2.0-or-later
"""
What a retransmission may bring: bytes that have arrived already, in one segment with new ones.
TCP takes the new ones alone. A client of our own makes the segments, over a raw socket.
"""

import contextlib
import random
import socket
import struct

import tls
from case import test

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


class Segments:
    """One TCP connection by hand, from a port whose kernel-made resets are dropped."""

    def __init__(self, t, role, port):
        self.t, self.port, self.source_port = t, port, random.randrange(20000, 30000)
        self.here, self.there = t.client("client"), t.server(role)
        self.seq, self.ack, self.acked = random.randrange(1 << 32), 0, 0
        v6 = ":" in self.here
        self.iptables = "ip6tables" if v6 else "iptables"
        self.rule = ("OUTPUT", "-p", "tcp", "--sport", str(self.source_port), "--tcp-flags", "RST",
                     "RST", "-m", "mark", "!", "--mark", "7", "-j", "DROP")
        self.family = socket.AF_INET6 if v6 else socket.AF_INET
        with t.lab.client.entered():
            self.sock = socket.socket(self.family, socket.SOCK_RAW, socket.IPPROTO_TCP)
        self.sock.setsockopt(socket.SOL_SOCKET, 36, 7)  # SO_MARK: our own RST passes
        self.sock.bind((self.here, 0))
        self.sock.settimeout(0.2)

    def __enter__(self):
        self.t.lab.client.run(self.iptables, "-w", "-A", *self.rule)
        self.send(SYN)
        self.seq += 1
        self.wait(lambda: self.ack, "an answer to the SYN")
        self.send(ACK)
        return self

    def __exit__(self, *_):
        self.send(RST | ACK)
        self.sock.close()
        self.t.lab.client.run(self.iptables, "-w", "-D", *self.rule)

    def _checksum(self, segment):
        addresses = b"".join(socket.inet_pton(self.family, a) for a in (self.here, self.there))
        data = addresses + struct.pack("!II", len(segment), socket.IPPROTO_TCP) + segment
        total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
        while total >> 16:
            total = (total & 0xffff) + (total >> 16)
        return ~total & 0xffff

    def send(self, flags, data=b"", back=0):
        """data begins `back` bytes before what is next."""
        def segment(checksum):
            return struct.pack("!HHIIBBHHH", self.source_port, self.port,
                               (self.seq - back) % (1 << 32), self.ack % (1 << 32), 5 << 4, flags,
                               65535, checksum, 0) + data
        self.sock.sendto(segment(self._checksum(segment(0))), (self.there, 0))

    def say(self, data, back=0):
        """Sends and waits until it is acknowledged."""
        self.send(PSH | ACK, data, back)
        self.seq += len(data) - back
        self.wait(lambda: self.acked == self.seq % (1 << 32), "an acknowledgement")

    def _receive(self):
        with contextlib.suppress(TimeoutError):
            packet = self.sock.recv(65536)
            segment = packet if self.family == socket.AF_INET6 else packet[(packet[0] & 15) * 4:]
            source, to, seq, acked, offset, flags = struct.unpack_from("!HHIIBB", segment)
            if (source, to) != (self.port, self.source_port):
                return
            assert not flags & RST, "a reset came"
            size = len(segment) - (offset >> 4) * 4
            self.acked = acked
            if flags & SYN:
                self.ack = seq + 1
            elif size and seq == self.ack % (1 << 32):
                self.ack += size
                self.send(ACK)

    def wait(self, condition, what):
        def looked():
            if not condition():
                self._receive()
            return condition()
        self.t.until(looked, 10, what)


@test(core=True, plain=True)
def overlapping_retransmissions_are_not_repeated(t):
    stream = random.Random(7).randbytes(3000)
    got = []

    def server(sock):
        tls.read_record(sock)
        tls.read_record(sock)
        got.append(tls.read_exactly(sock, len(stream)))
        with contextlib.suppress(ConnectionResetError):
            got.append(sock.recv(100000))

    with t.raw_server(server):
        with Segments(t, "raw", 443) as client:
            client.say(tls.handmade_hello(b"raw.test") + tls.application(b"opaque"))
            client.say(stream[:1000])
            client.say(stream[1000:1500])
            client.say(stream[1200:2000], back=300)  # new bytes behind old ones
            client.say(stream[500:2500], back=1500)
            client.say(stream[2500:])
            t.until(lambda: got, 10, "the server has the stream")
    assert got[0] == stream, "the server was sent some bytes twice"
    assert got[1:] in ([], [b""]), f"{len(got[1])} bytes too many came"
    if t.sluice:
        t.logged(name="raw.test", reason="ok")
