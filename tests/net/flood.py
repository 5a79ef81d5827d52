#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
A hostile client, as a process of its own: it holds many connections that never come to a verdict,
and opens another for each that is ended, up to a limit.

  silent   says nothing
  drip     a hello, a byte at a time, the connections in turn
  crumbs   a request's head of 59,000 bytes, a byte at a time, as fast as may be
  half     59,000 bytes of a hello of 60,000, and nothing more
  head     59,000 bytes of a request's head
  names    a hello for a name that nobody has asked for, below the domain given

It writes a line of JSON when all are open, and another for each "look" on its standard input;
"stop" or the end of the input ends it, and so does LIMIT_S.
"""

import errno
import json
import os
import resource
import select
import socket
import sys
import time

if __name__ == "__main__":  # as a program; beside a test it is not
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import tls  # noqa: E402

PARTS = 59000
DRIPS = {"drip": 5000, "crumbs": 20000}  # bytes a second, of all connections
HEAD = b"GET / HTTP/1.1\r\nX: " + b"x" * PARTS
TICK_S = 0.02
LIMIT_S = 120
IP_BIND_ADDRESS_NO_PORT = 24
AT_ONCE = 256  # that are being connected
REOPENED_MAX = 100000


def opening(kind, domain, number):
    if kind == "half":
        whole = b"\1" + (60000).to_bytes(3, "big") + bytes(60000)
        return b"".join(tls.record(whole[i:i + 16384]) for i in range(0, 60000, 16384))[:PARTS]
    if kind == "head":
        return HEAD
    if kind == "names":
        return tls.handmade_hello(f"n{os.getpid()}-{number}.{domain}".encode())
    return b""


class Client:
    def __init__(self, address, port, source, kind, count, domain):
        self.address, self.port, self.source = address, port, source
        self.kind, self.count, self.domain = kind, count, domain
        self.drops = HEAD if kind == "crumbs" else tls.handmade_hello(b"n.unlisted.test", pad=100)
        self.poller = select.epoll()
        self.coming = {}  # descriptor: socket that is not connected yet
        self.held = {}  # descriptor: [socket, bytes dripped]
        self.opened = self.failed = 0
        self.turn = iter(())

    def open(self):
        """Without waiting: a SYN that finds a full queue is sent again after a second, or three."""
        sock = socket.socket(socket.AF_INET6 if ":" in self.address else socket.AF_INET)
        try:
            # the port is chosen by connect(), which knows for whom, and has many more to choose
            # from
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((self.source, 0))
            sock.setblocking(False)
            error = sock.connect_ex((self.address, self.port))
        except OSError as failure:
            error = failure.errno
        if error not in (0, errno.EINPROGRESS):
            self.failed += 1
            sock.close()
            return
        self.coming[sock.fileno()] = sock
        self.poller.register(sock, select.EPOLLOUT)

    def connected(self, fd):
        sock = self.coming.pop(fd)
        try:
            sock.setblocking(True)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(opening(self.kind, self.domain, self.opened))
        except OSError:
            self.failed += 1
            sock.close()
            return
        self.opened += 1
        self.held[fd] = [sock, 0]
        self.poller.modify(fd, select.EPOLLIN | select.EPOLLRDHUP)

    def fill(self):
        """As many as are missing, so many at once."""
        while (len(self.coming) < AT_ONCE and len(self.held) + len(self.coming) < self.count
               and self.opened + self.failed < REOPENED_MAX):
            failed = self.failed
            self.open()
            if self.failed > failed:
                return

    def reap(self, wait):
        for fd, _ in self.poller.poll(wait, 4096):
            if fd in self.coming:
                self.connected(fd)
            else:
                self.held.pop(fd)[0].close()

    def drip(self, bytes_now):
        for _ in range(bytes_now):
            fd = next(self.turn, None)
            if fd is None:
                self.turn = iter(list(self.held))
            if fd not in self.held:
                continue
            place = self.held[fd]
            try:
                place[0].send(self.drops[place[1]:place[1] + 1])
                place[1] = min(place[1] + 1, len(self.drops) - 2)  # it never ends
            except OSError:
                pass  # its end is told of by epoll

    def say(self):
        print(json.dumps({"final": False, "held": len(self.held), "opened": self.opened,
                          "failed": self.failed}), flush=True)

    def run(self):
        end = time.monotonic() + LIMIT_S
        while len(self.held) < self.count and time.monotonic() < end:
            self.fill()
            self.reap(TICK_S)
        self.say()
        commands = select.poll()
        commands.register(0, select.POLLIN | select.POLLHUP)
        while time.monotonic() < end:
            if commands.poll(0):
                if sys.stdin.readline().strip() != "look":
                    return
                self.say()
            self.reap(TICK_S)
            self.fill()
            self.drip(int(DRIPS.get(self.kind, 0) * TICK_S))


def main():
    address, port, source, kind, count, domain = sys.argv[1:]
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    Client(address, int(port), source, kind, int(count), domain).run()


if __name__ == "__main__":
    main()
