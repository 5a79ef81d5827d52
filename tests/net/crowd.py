# SPDX-License-Identifier: GPL-2.0-or-later
"""Many connections at once, by the program crowd (see crowd.c): its server and its clients."""

import json
import os
import subprocess
import sys
import time

import tls
from case import get
from lab import CLIENTS, SERVERS, pick

ORDER_BYTES = 56  # struct order in crowd.c
SOURCES = "client", "second"
STILL = 0.5  # seconds without a change, after which a queue is called static


def tls_opening(name, _up=0):
    """A hello, and the head of the application data record that the order is."""
    return tls.handmade_hello(name.encode()) + tls.application(bytes(ORDER_BYTES))[:5]


def http_opening(name, up=0):
    """A head whose body is the order and what goes up behind it."""
    return get(name, "/", f"Content-Length: {ORDER_BYTES + up}")


class Crowd:
    """One process of the program. What it says is a dict; see look() in crowd.c."""

    def __init__(self, t, ns, *arguments):
        self.lab = t.lab
        self.process = t.lab.start(ns, [*self.program(t), *arguments], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        self.last = {"final": False}

    @staticmethod
    def program(t):
        return [os.path.join(t.build, "tests", "net", "crowd")]

    def tell(self, words):
        try:
            self.process.stdin.write(words + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended; its last line is there to be read

    def _line(self):
        line = self.process.stdout.readline()
        assert line, f"crowd ended with {self.process.wait()} and no last line"
        self.last = json.loads(line)
        return self.last

    def look(self):
        if self.last["final"]:
            return self.last
        self.tell("look")
        return self._line()

    def end(self):
        """What it says when its connections have ended; waits for that."""
        while not self.last["final"]:
            self._line()
        self.close()
        return self.last

    def close(self):
        """A server, or whatever is not to be waited for."""
        if self.process.stdin.closed:
            return
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.lab.processes.stop(self.process)
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Flood(Crowd):
    """Hostile clients, by flood.py, which speaks as crowd does; when this returns all are open."""

    def __init__(self, t, kind, count, domain="-", source="second", role="site", port=None):
        port = port or (80 if kind in ("head", "crumbs") else 443)
        super().__init__(
            t, t.lab.client, t.server(role), port, t.client(source), kind, count, domain)
        self._line()

    @staticmethod
    def program(_t):
        return [
            sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "flood.py")]


def server(t, port=443, role="raw"):
    crowd = Crowd(t, t.lab.server, "serve", pick(SERVERS[role], t.family or 4), str(port))
    assert crowd._line() == {"final": False}
    crowd.last = {"final": False}
    return crowd


def clients(t, opening, *options, port=443, role="raw", sources=SOURCES):
    """Connections with this opening; options as of `crowd drive`."""
    where = [word for s in sources for word in ("-b", pick(CLIENTS[s], t.family or 4))]
    return Crowd(t, t.lab.client, "drive", pick(SERVERS[role], t.family or 4), str(port),
                 opening.hex(), *map(str, options), *where)


def all_well(said, count):
    """Every connection came to its end with every byte."""
    assert said["done"] == count and said["started"] == count, said
    assert not said["fin"] + said["rst"] + said["refused"] + said["wrong"], said


def all_served(t, server, count):
    """The server, too, has had the end of every connection, and every byte before it."""
    t.until(lambda: server.look()["open"] == 0, 20, "the server's connections have ended")
    all_well(server.look(), count)


def standstill(t, sender):
    """Waits until the sender gets rid of nothing more for a while; what it says then."""
    seen, since = None, 0

    def still():
        nonlocal seen, since
        now = sender.look()
        state = now["out"], now["queued"]
        if state != seen:
            seen, since = state, time.monotonic()
        return now if time.monotonic() - since > STILL * t.scale else None

    return t.until(still, 60, "the sender stands still")
