# SPDX-License-Identifier: GPL-2.0-or-later
"""TCP flows out of pcap and pcapng files: what each side sent, in the segments it came in."""

import ipaddress
import struct

ETHERNET, SLL, SLL2, NULL, RAW = 1, 113, 276, 0, (12, 14, 101, 228, 229)
MASK = 0xFFFFFFFF


def packets(data):
    """(link type, bytes of a packet)"""
    return _pcapng(data) if data[:4] == b"\n\r\r\n" else _pcap(data)


def _pcap(data):
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    link, at = struct.unpack_from(order + "I", data, 20)[0] & 0xFFFF, 24
    while at + 16 <= len(data):
        size = struct.unpack_from(order + "I", data, at + 8)[0]
        yield link, data[at + 16:at + 16 + size]
        at += 16 + size


def _pcapng(data):
    at, order, links = 0, "<", []
    while at + 12 <= len(data):
        if data[at:at + 4] == b"\n\r\r\n":
            order, links = "<" if data[at + 8] == 0x4D else ">", []
        kind, size = struct.unpack_from(order + "II", data, at)
        if kind == 1:
            links.append(struct.unpack_from(order + "H", data, at + 8)[0])
        elif kind == 6:
            link, _, _, length = struct.unpack_from(order + "IIII", data, at + 8)
            yield links[link], data[at + 28:at + 28 + length]
        elif kind == 3:
            yield links[0], data[at + 12:at + size - 4]
        at += max(size, 12)


def _network(link, p):
    """The IP packet in it, or nothing."""
    if link in RAW:
        return p
    if link == NULL:
        return p[4:]
    at, kind = {ETHERNET: (14, p[12:14]), SLL: (16, p[14:16]), SLL2: (20, p[:2])}.get(
        link, (0, b""))
    while kind in (b"\x81\x00", b"\x88\xa8", b"\x91\x00"):
        kind, at = p[at + 2:at + 4], at + 4
    if kind == b"\x88\x47":  # MPLS, down to the last label
        while at + 4 <= len(p) and not p[at + 2] & 1:
            at += 4
        return p[at + 4:]
    if kind == b"\x88\x64":  # PPPoE
        return p[at + 8:]
    return p[at:] if kind in (b"\x08\x00", b"\x86\xdd") else b""


def _segment(ip):
    """(source, destination, TCP segment), or None. What is in tunnels, too."""
    if len(ip) < 20:
        return None
    if ip[0] >> 4 == 4:
        start, end = (ip[0] & 15) * 4, struct.unpack_from("!H", ip, 2)[0] or len(ip)
        proto, ends = ip[9], (ip[12:16], ip[16:20])
        if ip[6] & 0x1F or ip[7]:
            return None  # a later fragment
    elif ip[0] >> 4 == 6 and len(ip) >= 40:
        start, end, proto, ends = 40, 40 + struct.unpack_from("!H", ip, 4)[0], ip[6], (
            ip[8:24], ip[24:40])
        while proto in (0, 43, 60) and start + 8 <= len(ip):
            proto, start = ip[start], start + 8 + ip[start + 1] * 8
    else:
        return None
    data = ip[start:end]
    if proto in (4, 41):
        return _segment(data)
    if proto == 47 and len(data) >= 4:
        return _segment(_gre(data))
    if proto == 17 and data[:4].find(b"\x08\x68") >= 0:
        return _segment(_gtp(data[8:]))
    return (*ends, data) if proto == 6 and len(data) >= 20 else None


def _gre(data):
    at = 4 + 4 * sum(bool(data[0] & bit) for bit in (0x80, 0x20, 0x10))
    return data[at:]


def _gtp(data):
    return data[12 if data and data[0] & 7 else 8:]


class Side:
    """What one end of a connection sent."""

    def __init__(self, seq):
        self.next, self.segments, self.early = seq, [], {}

    def take(self, seq, data):
        self.early.setdefault(seq, data)
        while ready := [s for s in self.early if (self.next - s) & MASK < 1 << 31]:
            first = min(ready, key=lambda s: (s - self.next + (1 << 31)) & MASK)
            fresh = self.early.pop(first)[(self.next - first) & MASK:]
            if fresh:
                self.segments.append(fresh)
                self.next = (self.next + len(fresh)) & MASK


def flows(data, wanted):
    """{(source, port, destination, port): [[segment, ...], ...]} of the wanted ones: a list for
    each connection. Addresses are text."""
    found, names = {}, {}
    for link, packet in packets(data):
        segment = _segment(_network(link, packet))
        if not segment:
            continue
        source, destination, tcp = segment
        raw = source, destination, tcp[:4]
        if raw not in names:
            ports = struct.unpack("!HH", tcp[:4])
            names[raw] = (str(ipaddress.ip_address(source)), ports[0],
                          str(ipaddress.ip_address(destination)), ports[1])
        key = names[raw]
        if key not in wanted:
            continue
        seq, flags, payload = struct.unpack_from("!I", tcp, 4)[0], tcp[13], tcp[(tcp[12] >> 4) * 4:]
        sides = found.setdefault(key, [])
        if flags & 2:
            if not sides or sides[-1].segments:
                sides.append(Side((seq + 1) & MASK))
            sides[-1].next = (seq + 1) & MASK if not sides[-1].segments else sides[-1].next
            seq += 1
        elif not sides:
            if not payload:  # a keep-alive is one behind
                continue
            sides.append(Side(seq))
        if payload:
            sides[-1].take(seq & MASK, payload)
    return {key: [side.segments for side in sides] for key, sides in found.items()}
