# SPDX-License-Identifier: GPL-2.0-or-later
"""
TLS from the client's side, with the bytes in our hands: a real client over memory, so that
its hello can be sent in any shape, and hellos made by hand for what no library would send.
"""

import fcntl
import select
import socket
import ssl
import struct
import termios

HANDSHAKE, ALERT, APPLICATION = 22, 21, 23
CHANGE_CIPHER_SPEC = 20
ACCESS_DENIED = 49
ACCESS_DENIED_ALERT = bytes((ALERT, 3, 3, 0, 2, 2, ACCESS_DENIED))
CCS = bytes((CHANGE_CIPHER_SPEC, 3, 3, 0, 1, 1))
WARNING = bytes((ALERT, 3, 3, 0, 2, 1, 90))  # user_canceled, which says nothing
SERVER_HELLO = 2
RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
X25519, SECP256 = 0x1D, 0x17
SIOCOUTQ, SIOCOUTQNSD = termios.TIOCOUTQ, 0x894B
SPINS = 200


# --- records and extensions -----------------------------------------------------------------

def record(payload, kind=HANDSHAKE, version=0x0301):
    return struct.pack("!BHH", kind, version, len(payload)) + payload


def application(payload):
    return record(payload, APPLICATION, 0x0303)


def payload_of(records):
    """What the records carry, put together."""
    out, at = b"", 0
    while at < len(records):
        length = struct.unpack_from("!H", records, at + 3)[0]
        out += records[at + 5:at + 5 + length]
        at += 5 + length
    return out


def reframe(records, sizes):
    """The same handshake bytes in records of the given sizes; the last takes the rest."""
    payload, out, at = payload_of(records), b"", 0
    for size in sizes:
        if at >= len(payload):
            break
        out += record(payload[at:at + size])
        at += size
    return out + (record(payload[at:]) if at < len(payload) else b"")


def vector(data, size=2):
    return len(data).to_bytes(size, "big") + data


def extension(kind, data):
    return struct.pack("!H", kind) + vector(data)


def sni(name, kind=0):
    return extension(0, vector(bytes([kind]) + vector(name)))


def handshake(extensions=b"", legacy=0x0303, session=bytes(32), ciphers=b"\x13\x01\xc0\x2b",
              methods=b"\0", tail=b"", random=bytes(range(32))):
    """A ClientHello, RFC 8446 4.1.2, without its record. extensions None: no such block at all."""
    body = legacy.to_bytes(2, "big") + random + vector(session, 1) + vector(ciphers)
    body += vector(methods, 1)
    if extensions is not None:
        body += vector(extensions)
    return b"\x01" + vector(body + tail, 3)


def handmade_hello(name=None, versions=(0x0304, 0x0303), extensions=b"", pad=0, **how):
    """A ClientHello message in one record. name: bytes, or None for no server_name; the rest is
    for handshake()."""
    ext = sni(name) if name is not None else b""
    if versions:
        ext += extension(43, vector(b"".join(v.to_bytes(2, "big") for v in versions), 1))
    ext += extension(10, vector(b"\x00\x1d\x00\x17"))
    ext += extension(13, vector(b"\x04\x03\x08\x04"))
    ext += extension(51, vector(b"\x00\x1d" + vector(bytes(range(1, 33)))))
    ext += extensions
    if pad:
        ext += extension(21, bytes(pad))
    return record(handshake(ext, **how))


def key_shares(*groups):
    """The extension, with a share for each of the groups; without any, the wish for a retry."""
    size = {X25519: 32, SECP256: 65}
    shares = (g.to_bytes(2, "big") + vector(bytes((4,)) * size[g]) for g in groups)
    return extension(51, vector(b"".join(shares)))


def server_hello(random):
    """The message of a server that says nothing but this; random = RETRY: a wish for a retry."""
    body = b"\x03\x03" + random + vector(bytes(32), 1) + b"\x13\x01\0"
    share = extension(51, X25519.to_bytes(2, "big"))
    return bytes((SERVER_HELLO,)) + vector(body + vector(extension(43, b"\3\4") + share), 3)


# --- sending in pieces ----------------------------------------------------------------------

def _queued(sock, request):
    return struct.unpack("i", fcntl.ioctl(sock, request, b"\0\0\0\0"))[0]


def unacknowledged(sock):
    """Bytes that the peer may not have, and that would be sent again."""
    return _queued(sock, SIOCOUTQ)


def _answered(sock, seconds=0):
    """Whether the peer has said something, or has ended."""
    poller = select.poll()
    poller.register(sock, select.POLLIN | select.POLLRDHUP)
    return bool(poller.poll(seconds * 1000))


def send_pieces(sock, pieces, until, acked=True):
    """
    Each piece in a segment of its own: the next goes when this one was acknowledged (or, with
    acked=False, has left). False: the peer had an answer before the last piece; what it is, is
    still to be read.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    request = SIOCOUTQ if acked else SIOCOUTQNSD

    def gone():
        return _queued(sock, request) == 0 or _answered(sock)

    for i, piece in enumerate(pieces):
        if i and _answered(sock):
            return False
        sock.sendall(piece)
        for _ in range(SPINS):  # a few round trips; waiting takes longer than these
            if gone():
                break
        else:
            until(gone, 20, "a segment of the hello is acknowledged")
    return True


def send_segments(sock, pieces, until):
    """Each piece in a segment of its own, whatever the peer says meanwhile."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in pieces:
        sock.sendall(piece)
        until(lambda: _queued(sock, SIOCOUTQ) == 0, 20, "a segment is acknowledged")


def in_pieces(data, size):
    return [data[i:i + size] for i in range(0, len(data), size)]


def send_all_pieces(sock, pieces, until):
    """The same, whatever the peer says meanwhile."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in pieces:
        sock.sendall(piece)
        until(lambda: _queued(sock, SIOCOUTQNSD) == 0, 20, "a segment has left")


def cut(data, *places):
    """data in pieces, cut at the given offsets."""
    edges = [0, *places, len(data)]
    return [data[a:b] for a, b in zip(edges, edges[1:]) if b > a]


# --- what comes back ------------------------------------------------------------------------

def read_to_end(sock, limit=1 << 24):
    """Everything up to the end, and how it ended: "fin", "rst" or "timeout"."""
    data = b""
    while len(data) < limit:
        try:
            block = sock.recv(65536)
        except ConnectionResetError:
            return data, "rst"
        except (socket.timeout, TimeoutError):
            return data, "timeout"
        if not block:
            return data, "fin"
        data += block
    return data, "limit"


def read_exactly(sock, size):
    data = b""
    while len(data) < size:
        block = sock.recv(size - len(data))
        if not block:
            raise AssertionError(f"end of file after {len(data)} of {size} bytes")
        data += block
    return data


def read_record(sock):
    """(type, payload)"""
    head = read_exactly(sock, 5)
    return head[0], read_exactly(sock, struct.unpack("!H", head[3:])[0])


def await_answer(sock):
    """
    Reads to the server's first answer: "retry", "hello", or None when it ended before it came to
    that. Records of handshake are whole and begin with the message; alerts may stand before it.
    """
    try:
        while True:
            kind, payload = read_record(sock)
            if kind == HANDSHAKE and payload[0] == SERVER_HELLO:
                return "retry" if payload[6:38] == RETRY else "hello"
    except (AssertionError, ConnectionError):
        return None


def exchange(sock, pieces, until, acked=True):
    """Sends the pieces and reads to the end, as read_to_end()."""
    try:
        send_pieces(sock, pieces, until, acked)
    except BrokenPipeError:
        pass  # ended, and reset because we went on: what it said is still to be read
    except ConnectionResetError:
        return b"", "rst"
    return read_to_end(sock)


# --- a real client --------------------------------------------------------------------------

class Client:
    """A TLS client whose bytes we carry. first_flight() first, then finish()."""

    def __init__(self, ca, name, alpn=(), newest=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(ca)
        if newest:
            context.maximum_version = newest
        if alpn:
            context.set_alpn_protocols(list(alpn))
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)

    def first_flight(self):
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()

    def finish(self, sock):
        """The rest of the handshake, after the first flight was sent."""
        self._drive(sock, self.tls.do_handshake)

    def request(self, sock, name, path="/"):
        """One GET; the answer as text."""
        text = f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
        self.tls.write(text.encode())
        answer = b""
        while True:
            try:
                block = self._drive(sock, lambda: self.tls.read(65536))
            except (ssl.SSLZeroReturnError, EOFError):
                return answer.decode("latin-1")
            if not block:
                return answer.decode("latin-1")
            answer += block

    def say(self, sock, data):
        """Sends it; as many bytes of an answer."""
        self.tls.write(data)
        answer = b""
        while len(answer) < len(data):
            answer += self._drive(sock, lambda: self.tls.read(len(data) - len(answer)))
        return answer

    def _drive(self, sock, step):
        while True:
            try:
                result = step()
                sock.sendall(self.outgoing.read())
                return result
            except ssl.SSLWantReadError:
                sock.sendall(self.outgoing.read())
                block = sock.recv(65536)
                if not block:
                    self.incoming.write_eof()
                    raise EOFError("the server closed") from None
                self.incoming.write(block)


def long_alpn(size):
    """ALPN names that make a hello at least `size` bytes larger, with one that servers know."""
    return ["http/1.1"] + [f"test-protocol-{i:04d}-" + "x" * 100 for i in range(size // 120 + 1)]
