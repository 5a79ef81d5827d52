# SPDX-License-Identifier: GPL-2.0-or-later
"""
What a test is and what it has in its hands.

    @test(core=True, ini={"timeouts.hello": "500ms"})
    def silent_client_is_timed_out(t): ...

A test is run once for each mode (fastpath on and off) and family that it does not exclude,
against a daemon with that configuration, which tests of the same configuration share.
"""

import contextlib
import itertools
import re
import signal
import subprocess

import tls
from lab import CLIENTS, SERVERS, pick
from netns import run, tool, until
from servers import NAMES, ONE_FAMILY, RawServer
from sluice import Sluice

TESTS = []
MODES = ("on", "off")
_numbers = itertools.count(1)


class Test:
    def __init__(self, function, core=False, modes=MODES, families=(4, 6), ini=None, daemon=True,
                 plain=False, seconds=30, alone=False):
        self.function, self.core, self.plain, self.alone = function, core, plain, alone
        self.modes, self.families = modes, families
        self.ini, self.daemon, self.seconds = ini or {}, daemon, seconds
        self.name = function.__name__
        self.topic = function.__module__.removeprefix("test_")

    def changes(self, scale):
        return self.ini(scale) if callable(self.ini) else self.ini


def test(**attributes):
    """
    core       also run inside the emulated machine of tests/vm
    modes      of the daemon; (None,) for a test that starts its own in a mode it chooses
    families   4, 6; (None,) when it makes no difference
    ini        changes to the configuration: {"section.key": value}, or a function of the
               machine's slowness that returns them
    daemon     False: no daemon is running, the test starts its own
    plain      it also holds when nothing is between client and server
    seconds    hard limit
    alone      it looks at the whole machine, or needs much of it: not beside other tests
    """
    def register(function):
        TESTS.append(Test(function, **attributes))
        return function
    return register


def short_timeouts(scale):
    wait = f"{int(500 * scale)}ms"
    return {"timeouts.hello": wait, "timeouts.connect": wait}


class Case:
    """One run of one test."""

    def __init__(self, lab, build, sluice, mode, family, scale, core):
        self.lab, self.build, self.sluice = lab, build, sluice
        self.mode, self.family, self.scale, self.core = mode, family, scale, core
        self._mark = sluice.log.mark() if sluice else 0
        self._own = []

    # --- addresses and names ---

    def server(self, role):
        return pick(SERVERS[role], self.family or 4)

    def client(self, role):
        return pick(CLIENTS[role], self.family or 4)

    def url(self, scheme, name, path="/", port=None):
        return f"{scheme}://{name}{f':{port}' if port else ''}{path}"

    @staticmethod
    def fresh(domain):
        """A name below `domain` that nobody used before."""
        return f"n{next(_numbers)}.{domain}"

    # --- connections ---

    def connect(self, role="site", port=443, source="client", **options):
        options.setdefault("timeout", 8 * self.scale)
        return self.lab.connect(self.server(role), port, source=self.client(source), **options)

    @contextlib.contextmanager
    def whole_network(self):
        """The client gets all addresses of a /64 of IPv6: an iterator of them."""
        lab, net = self.lab, "fd77:3::/64"
        local = ["local", net, "dev", "lo"]
        there = [net, "via", CLIENTS["client"][1], "dev", "g0"]
        lab.client.run("ip", "-6", "route", "add", *local)
        lab.client.sysctl("ipv6/ip_nonlocal_bind", 1)
        lab.gateway.run("ip", "-6", "route", "add", *there)
        try:
            yield (f"fd77:3::{host:x}" for host in itertools.count(1))
        finally:
            lab.gateway.run("ip", "-6", "route", "del", *there)
            lab.client.sysctl("ipv6/ip_nonlocal_bind", 0)
            lab.client.run("ip", "-6", "route", "del", *local)

    def tls_client(self, name, **options):
        return tls.Client(self.lab.path("ca.pem"), name, **options)

    def https(self, name, role="site", port=443, source="client"):
        """A whole HTTPS request; the text of the answer."""
        client = self.tls_client(name)
        with self.connect(role, port, source) as sock:
            sock.sendall(client.first_flight())
            client.finish(sock)
            return client.request(sock, name)

    def send(self, data, role="site", port=443, source="client", acked=True):
        """Sends, and reads to the end: (bytes, how it ended). data: bytes, or a list of pieces,
        each for a segment of its own (tls.send_pieces)."""
        return self.send_to(self.server(role), port, data, source, acked)

    def send_to(self, address, port, data, source="client", acked=True):
        pieces = [data] if isinstance(data, bytes) else data
        try:
            sock = self.lab.connect(address, port, self.client(source), 8 * self.scale)
        except ConnectionResetError:  # accepted and reset before connect() had returned
            return b"", "rst"
        with sock:
            return tls.exchange(sock, pieces, self.until, acked)

    def raw_server(self, handler, port=443):
        return RawServer(self.lab, self.family or 4, port, handler)

    def until(self, condition, seconds, what):
        return until(condition, seconds * self.scale, what)

    # --- programs ---

    def run(self, *argv, timeout=60, hosts=None, **options):
        """A program in the client namespace that finds the test names in its hosts file."""
        names = {n.lstrip("."): self.server(role) for n, role in NAMES.items()}
        names.update({n: self.server("site") for n in ONE_FAMILY})
        path = self.lab.hosts_file({**names, **(hosts or {})})
        return run(self.lab.client_command(argv, path), timeout=timeout * self.scale,
                   check=options.pop("check", False), **options)

    def curl(self, *arguments, **options):
        return self.run("curl", "-sS", "--max-time", str(60 * self.scale), "--cacert",
                        self.lab.path("ca.pem"), *arguments, **options)

    def pipe(self, argv, consume):
        """Runs a program in the client namespace and gives its output to consume(block).
        (exit status, what it wrote to stderr)"""
        names = {n.lstrip("."): self.server(role) for n, role in NAMES.items()}
        command = self.lab.client_command(argv, self.lab.hosts_file(names))
        process = self.lab.processes.start(command, stdout=subprocess.PIPE,
                                           stderr=subprocess.PIPE)
        while block := process.stdout.read(1 << 20):
            consume(block)
        err = process.stderr.read().decode(errors="replace")
        status = process.wait()
        process.stdout.close()
        process.stderr.close()
        self.lab.processes.forget(process)
        return status, err

    @staticmethod
    def tool(name):
        return tool(name)

    # --- the daemon ---

    def own(self, mode=None, changes=None, **options):
        """A daemon of this test alone; ended with it."""
        sluice = Sluice(self.lab, self.build, mode or self.mode, changes, self.scale, **options)
        self._own.append(sluice)
        self.sluice = sluice
        self._mark = sluice.log.mark()
        return sluice

    def finish(self):
        """Ends the test's own daemons; those that are running must end well."""
        for sluice in self._own:
            if sluice.process and sluice.process.poll() is None:
                sluice.stop()
        self._own = []

    def abandon(self):
        for sluice in self._own:
            sluice.kill()
        self._own = []

    # --- the access log ---

    def lines(self):
        """
        The log's lines since the last call. A sentinel, a connection that is denied, is sent
        and awaited, so that what was due before it is there; it shows that others are served.
        """
        if not self.sluice:
            return []
        name = self.fresh("sentinel.test")
        hello = tls.handmade_hello(name.encode())
        with self.connect("site", 443, "second") as sock:
            sock.sendall(hello)
            with contextlib.suppress(ConnectionResetError):
                sock.recv(1)  # the alert, or without enforcement a server's answer
        found, here = [], self._mark

        def seen():
            nonlocal here
            more, here = self.sluice.log.read(here)
            found.extend(more)
            return any(line["name"] == name for line in found)

        until(seen, 20 * self.scale, "the log has the line of the sentinel")
        self._mark = here
        return [line for line in found if not line["name"].endswith(".sentinel.test")]

    def logged(self, **fields):
        """Waits until all connections ended; the log's only new line, which has these fields."""
        if not self.sluice:
            return {}
        self.sluice.quiet()
        lines = self.lines()
        assert len(lines) == 1, f"one log line expected, not {len(lines)}: {lines}"
        self.fields(lines[0], **fields)
        return lines[0]

    @staticmethod
    def fields(line, **fields):
        for key, value in fields.items():
            allowed = value if isinstance(value, (set, tuple)) else (value,)
            assert line.get(key) in allowed, f"log: {key} is not {value!r} in {line}"

    def forget_log(self):
        """What is written until now; lines() also knows what is due and not yet written."""
        if self.sluice:
            self._mark = self.sluice.log.mark()


# --- verdicts as a client sees them ---------------------------------------------------------

def is_allowed(t, name, **where):
    answer = t.https(name, **where)
    assert answer.startswith("HTTP/1.1 200"), f"{name}: {answer[:200]!r}"
    return answer


def is_denied(t, hello, **where):
    """The whole answer is one access_denied alert, and then FIN."""
    data, end = t.send(hello, **where)
    assert data == tls.ACCESS_DENIED_ALERT, f"answer {data[:100]!r}, {end}"
    assert end == "fin", f"ended with {end}"


def is_reset(t, data, **where):
    answer, end = t.send(data, **where)
    assert (answer, end) == (b"", "rst"), f"answer {answer[:100]!r}, {end}"


def is_forbidden(t, request, **where):
    """HTTP 403, whole, and then the end. Returns the text."""
    data, end = t.send(request, **where)
    text = data.decode("latin-1")
    assert re.match(r"HTTP/1\.[01] 403 ", text), f"answer {text[:200]!r}, {end}"
    assert end == "fin", f"ended with {end}"
    return text


def get(name, path="/", *headers, version="1.1"):
    lines = [f"GET {path} HTTP/{version}", *([f"Host: {name}"] if name else []), *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@contextlib.contextmanager
def limit(seconds):
    """SIGALRM after that: a hang is a failure."""
    def ring(number, frame):
        raise AssertionError(f"not finished after {seconds:.0f} s")
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
