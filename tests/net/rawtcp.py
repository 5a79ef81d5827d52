# SPDX-License-Identifier: GPL-2.0-or-later
"""
TCP by hand: every segment with the sequence number, bytes and flags that a test wants.

A Wire is an address beside the gateway that no kernel owns, so no kernel answers for it: the
gateway is told which link it is at, and a packet socket there takes and gives whole frames. A
Tcp is one connection of it, which acknowledges what it gets, and sends only what it is told to.
Places in the stream are counted from its first byte, not in sequence numbers.

One skb can be longer than the link's packets: such a frame is given to the kernel as one that is
yet to be cut into packets (GSO), and on these links nobody cuts it. Its bytes are in pages, those
of a short frame in the linear part.
"""

import itertools
import json
import socket
import struct
import time

from lab import pick

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32

# (IPv4, IPv6), namespace, link in it, the gateway's link
PLACES = {
    "client": (("10.77.1.99", "fd77:1::63"), "client", "c0", "g0"),
    "server": (("10.77.2.99", "fd77:2::63"), "server", "s0", "g1"),
}
SOL_PACKET, PACKET_VNET_HDR = 263, 15
VNET = struct.Struct("=BBHHHH")  # flags, GSO type, lengths of headers and segment, checksum
NEEDS_CSUM, GSO_NONE, GSO_TCPV4, GSO_TCPV6 = 1, 0, 1, 4
MSS = 1400  # with any header below the links' MTU
SCALE = 7  # of the window that we offer
MASK = 0xffffffff

_ports = itertools.count(20000)


def folded_sum(data):
    """The Internet checksum before its complement."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xffff:
        total = (total & 0xffff) + (total >> 16)
    return total


class Wire:
    def __init__(self, lab, place, family):
        addresses, ns, link, far = PLACES[place]
        ns = getattr(lab, ns)
        self.family = family
        self.address = pick(addresses, family)
        self.kind = 0x0800 if family == 4 else 0x86dd
        here, there = self._mac(ns, link), self._mac(lab.gateway, far)
        self.ether = there + here + struct.pack("!H", self.kind)
        ns.sysctl("ipv4/ip_forward", 0)  # what is not its own must not come back
        lab.gateway.run("ip", "neigh", "replace", self.address, "lladdr", here.hex(":"), "dev", far,
                        "nud", "permanent")
        self.sock = ns.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        self.sock.bind((link, self.kind))

    @staticmethod
    def _mac(ns, link):
        shown = json.loads(ns.run("ip", "-j", "link", "show", "dev", link).stdout)
        return bytes.fromhex(shown[0]["address"].replace(":", ""))

    def close(self):
        self.sock.close()

    def packed(self, address):
        return socket.inet_pton(socket.AF_INET if self.family == 4 else socket.AF_INET6, address)

    # --- out ---

    def send(self, peer, head, data):
        """head: a TCP header whose checksum is 0."""
        length = len(head) + len(data)
        source, target = self.packed(self.address), self.packed(peer)
        pseudo = source + target + struct.pack("!II", length, socket.IPPROTO_TCP)
        big = len(data) > MSS
        total = folded_sum(pseudo if big else pseudo + head + data)
        checksum = total if big else total ^ 0xffff
        head = head[:16] + struct.pack("!H", checksum) + head[18:]
        ip = self._ip_header(source, target, length)
        self.sock.send(self._vnet(len(ip), len(head), big) + self.ether + ip + head + data)

    def _ip_header(self, source, target, length):
        if self.family == 6:
            return struct.pack("!IHBB", 6 << 28, length, socket.IPPROTO_TCP, 64) + source + target
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0x4000, 64, socket.IPPROTO_TCP, 0)
        checksum = folded_sum(head + source + target) ^ 0xffff
        return head[:10] + struct.pack("!H", checksum) + source + target

    def _vnet(self, ip_len, tcp_len, big):
        if not big:
            return VNET.pack(0, GSO_NONE, 0, 0, 0, 0)
        start = len(self.ether) + ip_len
        kind = GSO_TCPV4 if self.family == 4 else GSO_TCPV6
        return VNET.pack(NEEDS_CSUM, kind, start + tcp_len, MSS, start, 16)

    # --- in ---

    def receive(self, seconds):
        """The next segment that is for us: (peer, TCP header and data); None: none in that time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.sock.settimeout(left)
            try:
                frame = self.sock.recv(1 << 17)
            except TimeoutError:
                break
            segment = self._segment(frame[VNET.size + len(self.ether):])
            if segment:
                return segment
        return None

    def _segment(self, packet):
        size = 4 if self.family == 4 else 16
        if self.family == 4:
            begin, at, proto = (packet[0] & 15) * 4, 12, packet[9]
            end = struct.unpack_from("!H", packet, 2)[0]
        else:
            begin, at, proto = 40, 8, packet[6]
            end = begin + struct.unpack_from("!H", packet, 4)[0]
        source, target = packet[at:at + size], packet[at + size:at + 2 * size]
        if proto != socket.IPPROTO_TCP or target != self.packed(self.address):
            return None
        family = socket.AF_INET if self.family == 4 else socket.AF_INET6
        return socket.inet_ntop(family, source), packet[begin:end]


class Tcp:
    """One connection. Made by connect() or accept(), and left with a reset if it has not ended."""

    def __init__(self, wire, own_port, peer, peer_port, isn, seconds):
        self.wire, self.peer, self.seconds = wire, peer, seconds
        self.ports = own_port, peer_port
        self.base = (isn + 1) & MASK  # sequence number of our first byte
        self.sent = 0  # places up to there
        self.acked, self.window, self.heard = 0, 0, 0  # what the peer has said, segments of it
        self.their_base, self.scale = None, 0
        self.received = bytearray()
        self.taken = 0  # of received, by read_exactly()
        self.ended = self.was_reset = self.has_ended = False

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.was_reset or (self.ended and self.has_ended):
            return
        for place in {self.acked, self.sent}:  # only what is next for the peer resets
            self.send(place, flags=RST | ACK)

    # --- opening ---

    def _open(self, flags):
        options = struct.pack("!BBHBBBB", 2, 4, MSS, 1, 3, 3, SCALE)
        self._put((self.base - 1) & MASK, flags, b"", options=options)

    def _opened(self, seq, head):
        self.their_base = (seq + 1) & MASK
        at = 20
        while at < len(head) and head[at] != 0:
            if head[at] == 1:
                at += 1
                continue
            if head[at] == 3:
                self.scale = head[at + 2]
            at += head[at + 1]

    # --- sending ---

    def _put(self, seq, flags, data, urgent=0, options=b""):
        ack = 0
        if self.their_base is not None:
            ack = (self.their_base + len(self.received) + self.ended) & MASK
        head = struct.pack("!HHIIBBHHH", *self.ports, seq, ack, (20 + len(options)) << 2, flags,
                           0xffff, 0, urgent)
        self.wire.send(self.peer, head + options, data)

    def send(self, at, data=b"", flags=ACK | PSH, urgent=0):
        """urgent: how many of the bytes there are up to the urgent one; 0: it is none."""
        self.has_ended |= bool(flags & FIN)
        self.sent = max(self.sent, at + len(data) + bool(flags & FIN))
        self._put((self.base + at) & MASK, flags | (URG if urgent else 0), data, urgent)

    def say(self, at, data, **how):
        """Sends and waits until all of it is acknowledged."""
        self.send(at, data, **how)
        self.wait_acked(at + len(data))

    def probe(self, at, data=b"", **how):
        """Sends something, and waits for whatever is said to it."""
        before = self.heard
        self.send(at, data, **how)
        self.until(lambda: self.heard > before, "something is said to the segment")

    # --- receiving ---

    def until(self, condition, what):
        end = time.monotonic() + self.seconds
        while not condition():
            left = end - time.monotonic()
            segment = self.wire.receive(left) if left > 0 else None
            if not segment:
                raise AssertionError(f"not within {self.seconds:.0f} s: {what}; acknowledged are "
                                     f"{self.acked}, received {len(self.received)}")
            self._take(*segment)

    def take(self, received):
        self._take(*received)

    def _take(self, peer, segment):
        ports = struct.unpack_from("!HH", segment)
        if peer != self.peer or ports != self.ports[::-1]:
            return
        seq, ack, offset, flags, window = struct.unpack_from("!IIBBH", segment, 4)
        size = (offset >> 4) * 4
        self.heard += 1
        if flags & RST:
            self.was_reset = True
            return
        if flags & SYN:
            self._opened(seq, segment[:size])
            self.window = window
            self.send(0, flags=ACK)
            return
        self.window = window << self.scale
        if flags & ACK:
            self.acked = (ack - self.base) & MASK
        self._take_bytes(seq, segment[size:], flags & FIN)

    def _take_bytes(self, seq, data, fin):
        place = (seq - self.their_base) & MASK
        old = len(self.received) - place
        if not data and not fin:
            return
        if 0 <= old <= len(data) and not self.ended:
            self.received += data[old:]
            self.ended = bool(fin)
        self.send(self.acked, flags=ACK)

    def wait_acked(self, count):
        self.until(lambda: self.acked >= count or self.was_reset, f"{count} bytes are acknowledged")
        assert not self.was_reset, f"reset, {self.acked} of {count} bytes are acknowledged"

    def read_exactly(self, size):
        """The first bytes that came, and takes them away from what read_to_end() gives."""
        self.until(lambda: len(self.received) - self.taken >= size or self.was_reset or self.ended,
                   f"{size} bytes come")
        data = bytes(self.received[self.taken:self.taken + size])
        assert len(data) == size, f"the end after {len(data)} of {size} bytes"
        self.taken += size
        return data

    def read_to_end(self):
        """(bytes, "fin" or "rst")"""
        self.until(lambda: self.ended or self.was_reset, "the end comes")
        data = bytes(self.received[self.taken:])
        self.taken = len(self.received)
        return data, "rst" if self.was_reset else "fin"


def half_open(wire, peer, port, isn=0x1000, seconds=20):
    """Has sent its SYN. What wire.receive() returns then, take() answers."""
    tcp = Tcp(wire, next(_ports), peer, port, isn, seconds)
    tcp._open(SYN)
    return tcp


def connect(wire, peer, port, isn=0x1000, seconds=20):
    tcp = half_open(wire, peer, port, isn, seconds)
    tcp.until(lambda: tcp.their_base is not None or tcp.was_reset, "the connection is open")
    assert not tcp.was_reset, "refused"
    return tcp


def accept(wire, port, isn=0x2000, seconds=20):
    """The next connection to that port."""
    end = time.monotonic() + seconds
    while segment := wire.receive(end - time.monotonic()):
        peer, data = segment
        peer_port, own_port, seq = struct.unpack_from("!HHI", data)
        if own_port == port and data[13] & (SYN | ACK | RST) == SYN:
            tcp = Tcp(wire, port, peer, peer_port, isn, seconds)
            tcp._opened(seq, data[:(data[12] >> 4) * 4])
            tcp._open(SYN | ACK)
            return tcp
    raise AssertionError(f"nobody connects within {seconds:.0f} s")
