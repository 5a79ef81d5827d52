# SPDX-License-Identifier: GPL-2.0-or-later
"""
First flights of every shape, what Sluice says of each, and why. test_shapes.py sends them.

A shape is made for a name. `allowed` is the reason given for a name that the policy allows
("ok": the flight reaches the server as it is), `denied` that for a name it does not. What is
said must not depend on how TCP cuts a flight, nor on how its handshake bytes are cut into records
unless the shape is about those (`framed`). variants() makes the ways to cut.
"""

import dataclasses
import struct
import typing

import tls
from tls import application, extension, handshake, record, sni, vector

GREASE = 0x8A8A  # RFC 8701
ECH, PSK, EARLY_DATA, PADDING = 0xFE0D, 41, 42, 21
RECORD_MAX = 16384
FEW = 2000  # bytes
MLKEM = 0x11EC  # X25519MLKEM768: 1184 bytes of ML-KEM and 32 of X25519


@dataclasses.dataclass(frozen=True)
class Shape:
    name: str
    make: typing.Callable  # name (bytes) -> the flight
    why: str
    allowed: str = "ok"
    denied: str = "policy"
    answer: str = "alert"  # what a denied client gets: alert, or rst
    framed: bool = False  # its records are its point: they are not to be cut otherwise


SHAPES = []


def shape(why, allowed="ok", denied=None, answer="alert", framed=False):
    def add(make):
        reason = denied or ("policy" if allowed == "ok" else allowed)
        SHAPES.append(Shape(make.__name__, make, why, allowed, reason, answer, framed))
        return make
    return add


# --- building blocks ------------------------------------------------------------------------

def u16(*numbers):
    return b"".join(n.to_bytes(2, "big") for n in numbers)


def usual(*versions):
    """Extensions that every client of today sends, but for the name."""
    out = extension(43, vector(u16(*(versions or (0x0304, 0x0303))), 1))
    out += extension(10, vector(u16(0x1D, 0x17))) + extension(13, vector(u16(0x0403, 0x0804)))
    return out + extension(51, vector(u16(0x1D) + vector(bytes(range(1, 33)))))


def hello(name, extensions=b"", **how):
    return record(handshake(sni(name) + usual() + extensions, **how))


def records(payload):
    """A message in as few records as may be."""
    return b"".join(record(payload[i:i + RECORD_MAX]) for i in range(0, len(payload), RECORD_MAX))


def patched(data, at, value):
    return data[:at] + value + data[at + len(value):]


def lied(data, at, size, more):
    """The number of `size` bytes at `at`, larger by `more`."""
    return patched(
        data, at, (int.from_bytes(data[at:at + size], "big") + more).to_bytes(size, "big"))


def name_at(data, name):
    """Where the length of the name stands."""
    return data.index(vector(name))


# --- what honest clients send ---------------------------------------------------------------

@shape("RFC 8446 4.1.2")
def plain(name):
    return hello(name)


@shape("RFC 5246 7.4.1.2: TLS 1.2 has no supported_versions")
def tls_1_2(name):
    return record(handshake(sni(name) + extension(10, vector(u16(0x1D)))))


@shape("RFC 8446 4.2.11 and 2.3: resumption; application data follows in the same segment")
def early_data(name):
    identity = vector(bytes(200)) + bytes(4)
    psk = vector(identity) + vector(vector(bytes(32), 1))
    extensions = extension(45, b"\1\1") + extension(EARLY_DATA, b"") + extension(PSK, psk)
    return hello(name, extensions) + application(bytes(400))


@shape("RFC 8446 4.2.11: the other way to resume, a ticket of TLS 1.2 (RFC 5077)")
def session_ticket(name):
    return hello(name, extension(35, bytes(range(192))))


@shape("draft-ietf-tls-ecdhe-mlkem: a hybrid key share makes 1.5 KB, two segments of most paths")
def post_quantum(name):
    share = u16(MLKEM) + vector(bytes(1216)) + u16(0x1D) + vector(bytes(32))
    extensions = extension(10, vector(u16(MLKEM, 0x1D))) + extension(51, vector(share))
    return record(handshake(sni(name) + extension(43, vector(u16(0x0304), 1)) + extensions))


@shape("RFC 8701: reserved values, wherever they may stand")
def grease(name):
    extensions = extension(GREASE, b"") + sni(name)
    extensions += extension(43, vector(u16(GREASE, 0x0304, 0x0303), 1))
    extensions += extension(10, vector(u16(GREASE, 0x1D)))
    extensions += extension(51, vector(u16(GREASE) + vector(b"\0") + u16(0x1D) + vector(bytes(32))))
    return record(handshake(extensions + extension(0x1A1A, b"\0"), ciphers=u16(GREASE, 0x1301)))


@shape("draft-ietf-tls-esni: the outer name is what the server is told, and what is judged")
def ech_outer(name):
    ech = b"\0" + u16(1, 1) + b"\7" + vector(bytes(32)) + vector(bytes(208))
    return hello(name, extension(ECH, ech))


@shape("RFC 7685: padding")
def padded(name):
    return hello(name, extension(PADDING, bytes(600)))


@shape("RFC 8446 D.4: an empty session id")
def no_session_id(name):
    return hello(name, session=b"")


@shape("RFC 6066 3: server_name may be the last extension")
def name_last(name):
    return record(handshake(usual() + sni(name)))


@shape("as many extensions as there are; the name comes behind them")
def many_extensions(name):
    return record(handshake(b"".join(extension(0x2000 + i, bytes(8)) for i in range(40)) + usual()
                            + sni(name)))


@shape("RFC 8446 5.1: up to 16,384 bytes in a record")
def full_record(name):
    room = 16384 - len(hello(name, extension(PADDING, b""))) + 5
    return hello(name, extension(PADDING, bytes(room)))


@shape("RFC 8446 5.1: a message may go on in the next record")
def larger_than_a_record(name):
    return records(handshake(sni(name) + usual() + extension(PADDING, bytes(20000))))


@shape("RFC 8446 5.1: a record for every byte", framed=True)
def records_of_one_byte(name):
    return tls.reframe(hello(name), [1] * 4000)


@shape("the type and length of the message in a record of their own", framed=True)
def message_head_apart(name):
    return tls.reframe(hello(name), [4])


@shape("RFC 8446 5.1: versions of the record are ignored")
def record_version(name):
    return record(handshake(sni(name) + usual()), version=0x0303)


@shape("RFC 6066 3: names have no case, RFC 4343")
def upper_case(name):
    return hello(name.upper())


@shape("RFC 1034 3.1: the dot of the root; RFC 6066 forbids it, and clients send it")
def trailing_dot(name):
    return hello(name + b".")


@shape("RFC 8446 D.4: ChangeCipherSpec comes before early data")
def early_data_behind_ccs(name):
    ccs = record(b"\1", 20, 0x0303)
    return hello(name, extension(EARLY_DATA, b"")) + ccs + application(bytes(300))


@shape("_ is in no host's name, and in names all the same (RFC 8552)")
def underscore(name):
    return hello(b"_a._b." + name)


@shape("RFC 5891: names in other scripts come as A-labels")
def punycode(name):
    return hello(b"xn--mller-kva." + name)


@shape("RFC 1035 2.3.4: the longest label, 63 bytes")
def longest_label(name):
    return hello(b"x" * 63 + b"." + name)


@shape("RFC 1035 2.3.4: the longest name, 253 bytes as text")
def longest_name(name):
    label = b"y" * 49 + b"."
    return hello(b"x" + (label * 6)[-(252 - len(name)):] + name)


# --- what is no name, or no name that is allowed --------------------------------------------

@shape("RFC 6066 3: no server_name", allowed="no_sni")
def no_name(_name):
    return record(handshake(usual()))


@shape("no extensions at all, as before RFC 3546", allowed="no_sni")
def no_extensions(_name):
    return record(handshake(None))


@shape("RFC 6066 3: that is how a server answers, not how a client asks", allowed="bad_tls")
def empty_extension(_name):
    return record(handshake(extension(0, b"") + usual()))


@shape("RFC 6066 3: a list has one entry", allowed="bad_tls")
def empty_list(_name):
    return record(handshake(extension(0, vector(b"")) + usual()))


@shape("RFC 6066 3: HostName<1..2^16-1>", allowed="bad_tls")
def empty_name(_name):
    return record(handshake(sni(b"") + usual()))


@shape("RFC 6066 3: literal addresses are not permitted; judged by address rules", allowed="policy")
def ipv4_literal(_name):
    return hello(b"10.77.2.4")


@shape("as above; a colon is in no name", allowed="bad_name")
def ipv6_literal(_name):
    return hello(b"fd77:2::4")


@shape("RFC 6066 3: one name of each type; servers differ in which they take", allowed="bad_tls")
def two_names(name):
    names = b"".join(b"\0" + vector(n) for n in (name, b"other." + name))
    return record(handshake(extension(0, vector(names)) + usual()))


@shape("RFC 8446 4.2: no extension twice", allowed="bad_tls")
def two_server_names(name):
    return record(handshake(sni(name) + sni(b"other." + name) + usual()))


@shape("the same name twice is as wrong", allowed="bad_tls")
def same_server_name_twice(name):
    return record(handshake(sni(name) + usual() + sni(name)))


@shape("RFC 6066 3: only host_name was ever defined", allowed="bad_tls")
def other_name_type(name):
    return record(handshake(sni(name, kind=1) + usual()))


@shape("CVE-2009-2408: it ends at the NUL for one, and goes on for another", allowed="bad_name")
def nul_in_name(name):
    return hello(name + b"\0.example")


@shape("RFC 6066 3: ASCII only", allowed="bad_name")
def raw_utf8(name):
    return hello("m\u00fcller.".encode() + name)


@shape("RFC 1035 2.3.4: 63 bytes", allowed="bad_name")
def long_label(name):
    return hello(b"x" * 64 + b"." + name)


@shape("RFC 1035 2.3.4: 253 bytes as text", allowed="bad_name")
def long_name(name):
    label = b"y" * 49 + b"."
    return hello((label * 6)[:254 - len(name)] + name)


@shape("two dots", allowed="bad_name")
def empty_label(name):
    return hello(b"a.." + name)


@shape("a space is in no name", allowed="bad_name")
def space(name):
    return hello(b"a b." + name)


@shape("RFC 3986 3.2: not even with a port", allowed="bad_name")
def with_port(name):
    return hello(name + b":443")


# --- versions -------------------------------------------------------------------------------

@shape("min_version = 1.2; RFC 8996", allowed="tls_version")
def ssl_3(name):
    return record(handshake(sni(name), legacy=0x0300), version=0x0300)


@shape("min_version = 1.2; RFC 8996", allowed="tls_version")
def tls_1_0(name):
    return record(handshake(sni(name), legacy=0x0301))


@shape("min_version = 1.2; RFC 8996", allowed="tls_version")
def tls_1_1(name):
    return record(handshake(sni(name), legacy=0x0302))


@shape("supported_versions counts, RFC 8446 4.2.1, whatever legacy_version says",
       allowed="tls_version")
def tls_1_1_in_the_extension(name):
    return record(handshake(sni(name) + extension(43, vector(u16(0x0302, 0x0301), 1))))


@shape("only versions nobody knows", allowed="tls_version")
def unknown_versions(name):
    return record(handshake(sni(name) + extension(43, vector(u16(GREASE, 0x0399), 1))))


# --- lengths that lie -----------------------------------------------------------------------

@shape("shorter than the message in it", allowed="bad_tls", framed=True)
def record_is_shorter(name):
    return lied(hello(name), 3, 2, -1) + b"\0"


@shape("empty records of handshake are forbidden, RFC 8446 5.1", allowed="bad_tls", framed=True)
def empty_record(name):
    return record(b"") + hello(name)


@shape("RFC 8446 5.1: record_overflow", allowed="bad_tls", framed=True)
def record_overflow(name):
    room = 16385 - len(hello(name, extension(PADDING, b""))) + 5
    return hello(name, extension(PADDING, bytes(room)))


@shape("an empty record inside the hello: RFC 8446 5.1", allowed="bad_tls", framed=True)
def empty_record_between(name):
    data = handshake(sni(name) + usual())
    return record(data[:20]) + record(b"") + record(data[20:])


@shape("RFC 8446 5.1: no other record inside a message", allowed="bad_tls", framed=True)
def alert_between(name):
    data = handshake(sni(name) + usual())
    return record(data[:20]) + record(b"\1\0", tls.ALERT) + record(data[20:])


@shape("nor ChangeCipherSpec", allowed="bad_tls", framed=True)
def ccs_between(name):
    data = handshake(sni(name) + usual())
    return record(data[:20]) + record(b"\1", 20) + record(data[20:])


@shape("more than 64 KB: no client has that much to say", allowed="bad_tls", framed=True)
def larger_than_64k(name):
    extensions = sni(name) + usual() + extension(PADDING, bytes(60000))
    return records(handshake(extensions, ciphers=u16(0x1301) * 4000))


@shape("bytes behind the message: another one would begin there", allowed="bad_tls")
def message_is_shorter(name):
    return lied(hello(name), 6, 3, -1)


@shape("RFC 8446 4.1.2: legacy_session_id<0..32>", allowed="bad_tls")
def session_id_too_long(name):
    return hello(name, session=bytes(33))


@shape("suites are of two bytes", allowed="bad_tls")
def odd_ciphers(name):
    return hello(name, ciphers=b"\x13\x01\xc0")


@shape("RFC 8446 4.1.2: cipher_suites<2..2^16-2>", allowed="bad_tls")
def no_ciphers(name):
    return hello(name, ciphers=b"")


@shape("RFC 5246 7.4.1.2: compression_methods<1..2^8-1>", allowed="bad_tls")
def no_compression_methods(name):
    return hello(name, methods=b"")


@shape("bytes behind the extensions", allowed="bad_tls")
def bytes_behind_extensions(name):
    return hello(name, tail=b"\0")


@shape("longer than what is left", allowed="bad_tls")
def extensions_too_long(name):
    data = hello(name)
    return lied(data, 5 + 4 + 2 + 32 + 33 + 6 + 2, 2, 1)


@shape("an extension that goes beyond the block", allowed="bad_tls")
def extension_too_long(name):
    data = record(handshake(usual() + sni(name)))
    return lied(data, name_at(data, name) - 5, 2, 1)


@shape("the list is longer than its extension", allowed="bad_tls")
def list_too_long(name):
    data = hello(name)
    return lied(data, name_at(data, name) - 3, 2, 1)


@shape("the name is longer than the list", allowed="bad_tls")
def name_too_long(name):
    data = hello(name)
    return lied(data, name_at(data, name), 2, 1)


@shape("the name is shorter than the list: bytes are left", allowed="bad_tls")
def name_too_short(name):
    data = hello(name)
    return lied(data, name_at(data, name), 2, -1)


@shape("RFC 8446 4.2.11: pre_shared_key must be the last extension", allowed="bad_tls")
def psk_not_last(name):
    psk = extension(PSK, vector(vector(bytes(32)) + bytes(4)) + vector(vector(bytes(32), 1)))
    return record(handshake(psk + sni(name) + usual()))


# --- more than a hello ----------------------------------------------------------------------

@shape("another message in the hello's record: nobody sends that", allowed="bad_tls", framed=True)
def second_message_in_the_record(name):
    return record(handshake(sni(name) + usual()) + b"\x0b" + vector(bytes(10), 3))


# --- what is no TLS -------------------------------------------------------------------------

@shape("RFC 5246 E.2: a hello of SSL 2.0 has no name; RFC 6176", allowed="not_tls", answer="rst")
def ssl_2(_name):
    body = b"\1\3\3" + u16(9, 0, 16) + bytes(9) + bytes(16)
    return u16(0x8000 | len(body)) + body


@shape("an alert first", allowed="not_tls", answer="rst")
def alert_first(name):
    return record(b"\2\50", tls.ALERT) + hello(name)


@shape("RFC 6520: a heartbeat first", allowed="not_tls", answer="rst")
def heartbeat_first(name):
    return record(b"\1\0\3abc" + bytes(16), 24) + hello(name)


@shape("application data first", allowed="not_tls", answer="rst")
def data_first(name):
    return application(b"x" * 20) + hello(name)


@shape("RFC 4253 4.2", allowed="not_tls", answer="rst")
def ssh(_name):
    return b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"


@shape("P_CONTROL_HARD_RESET_CLIENT_V2 over TCP", allowed="not_tls", answer="rst")
def openvpn(_name):
    return struct.pack("!HB", 14, 7 << 3) + bytes(13)


@shape("BEP 3", allowed="not_tls", answer="rst")
def bittorrent(_name):
    return b"\x13BitTorrent protocol" + bytes(48)


@shape("a server's hello", allowed="bad_tls", framed=True)
def server_hello(_name):
    return record(b"\2" + vector(u16(0x0303) + bytes(32) + b"\0\x13\x01\0", 3))


@shape("DTLS, RFC 9147 5.3: another record layer", allowed="bad_tls", framed=True)
def dtls(name):
    return record(bytes(8) + handshake(sni(name)), version=0xFEFD)


@shape("RFC 1928 3", allowed="not_tls", answer="rst")
def socks_5(_name):
    return b"\5\1\0"


@shape("PostgreSQL's SSLRequest: it would begin TLS in the middle", allowed="not_tls", answer="rst")
def postgresql(_name):
    return struct.pack("!II", 8, 80877103)


@shape("HAProxy's PROXY protocol: another layer in front, for nobody who listens here",
       allowed="bad_http", answer="page")
def proxy_protocol(name):
    return b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 443\r\n" + hello(name)


@shape("plain HTTP on the port of TLS: judged by its Host, as on port 80", answer="page")
def http(name):
    return b"GET / HTTP/1.1\r\nHost: " + name + b"\r\n\r\n"


# --- the same flight, cut otherwise ---------------------------------------------------------

def cut_records(flight, at):
    """Its hello in two records, the first with `at` bytes of it."""
    end = 0
    while end < len(flight) and flight[end] == tls.HANDSHAKE:
        end += 5 + int.from_bytes(flight[end + 3:end + 5], "big")
    message = tls.payload_of(flight[:end])
    return records(message[:at]) + records(message[at:]) + flight[end:]


def interesting(flight, name):
    """Offsets: in both headers, around the random, the session id, the name, and at the end."""
    found = {1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 43, 44, 76, len(flight) // 2, len(flight) - 1}
    place = flight.find(name)
    if place > 0:
        found |= {place - 9, place - 2, place - 1, place, place + 1, place + len(name) - 1,
                  place + len(name)}
    return sorted(i for i in found if 0 < i < len(flight))


def whole(_shape, flight, _places):
    yield [flight]


def in_three_pieces(_shape, flight, _places):
    yield tls.cut(flight, len(flight) // 3, len(flight) * 2 // 3)


def byte_by_byte(_shape, flight, _places):
    """The first of a long one; the rest of it in small pieces."""
    size = len(flight)
    yield tls.cut(flight, *range(1, min(size, FEW)), *range(FEW, size, 61))


def in_two_pieces(_shape, flight, places):
    for i in places:
        yield tls.cut(flight, i)


def in_two_records(shape, flight, places):
    if shape.framed or flight[:1] != bytes([tls.HANDSHAKE]):
        return
    for i in places:
        if 0 < i - 5 < len(flight) - 5:
            yield [cut_records(flight, i - 5)]


def in_two_records_and_pieces(shape, flight, places):
    for i, (data,) in enumerate(in_two_records(shape, flight, places)):
        yield tls.cut(data, 1 + 13 * i % (len(data) - 1))


CUTS = (whole, in_three_pieces, byte_by_byte, in_two_pieces, in_two_records,
        in_two_records_and_pieces)
