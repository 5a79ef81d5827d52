# SPDX-License-Identifier: GPL-2.0-or-later
"""
An attacker that races (racer.c, attack.c), real servers behind the gateway that write down what
they acted on, and the comparison of that with what was judged.

Each connection has two names of its own, with its number and its kind: one that is allowed, under
which it begins, and one that is hidden behind it and denied, by the policy or because it is
another. What a server saw must be
in the log as the name of a connection that was allowed.
"""

import json
import os
import re
import socket
import subprocess
import time

import tls
from case import get
from lab import CLIENTS, SERVERS, pick
from netns import until

ALLOWED, DENIED = "race.raw.test", "race.unlisted.test"
HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = ("honest", "urgent", "paced", "length", "chunked", "pipelined", "upgrade", "preface",
         "hello",
         "second", "two-faced")
ENDS = "fin", "rst", "left", "late", "refused"
READY_SECONDS = 60
EXTRA = 20  # lines in the log, of connections that are no attack
LOOK_SECONDS = 0.05  # between two looks at what was seen, while the attack goes on


class Witness:
    """One server, and what it wrote down. ports: {what it speaks: (port, share)}"""

    name, ports = "", {}

    def __init__(self, t):
        self.t, self.lab = t, t.lab
        self.path = t.lab.path(f"{self.name}.seen")
        self.address = pick(SERVERS["raw"], t.family)
        self.mark, self.known = 0, []
        with open(self.path, "wb") as out:
            self.process = t.lab.start(t.lab.server, self.command(), stdin=subprocess.PIPE,
                                       stdout=out,
                                       stderr=subprocess.DEVNULL, cwd=HERE,
                                       env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        until(self.listens, READY_SECONDS, f"{self.name} listens")

    def command(self):
        raise NotImplementedError

    def listens(self):
        assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}"
        return all(self._connects(port) for port, _ in self.ports.values())

    def _connects(self, port):
        sock = self.lab.server.socket(socket.AF_INET6 if self.t.family == 6 else socket.AF_INET)
        with sock:
            return sock.connect_ex((self.address, port)) == 0

    @staticmethod
    def name_in(line):
        return line

    def more(self):
        """The names that were written down since the last call."""
        with open(self.path, "rb") as f:
            f.seek(self.mark)
            data = f.read()
        data = data[:data.rfind(b"\n") + 1]
        self.mark += len(data)
        names = [self.name_in(line) for line in data.decode("latin-1").splitlines()]
        names = [normalised(name) for name in names if name and name.endswith(".test")]
        self.known += names
        return names

    def stop(self):
        self.process.stdin.close()
        self.lab.processes.stop(self.process)


class Nginx(Witness):
    """Of a hello it says whose certificate it would have shown, if that is not to be had."""

    name, ports = "nginx", {"http": (8001, 10), "tls": (8002, 4)}

    def command(self):
        path, at = self.lab.path, self.address if self.t.family == 4 else f"[{self.address}]"
        temp = "".join(f"{kind}_temp_path {path('tmp')};" for kind in
                       ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(path("witness.conf"), "w", encoding="ascii") as f:
            f.write(f"""
user root; worker_processes 1; daemon off; pid {path("witness.pid")};
error_log {path("nginx.seen")} error;
events {{ worker_connections 2048; }}
http {{
    {temp}
    log_format seen "seen $http_host";
    access_log {path("nginx.seen")} seen;
    map $ssl_server_name $certificate {{
        ~^n {path("cert.pem")}; default /nowhere/$ssl_server_name;
    }}
    server {{
        listen {at}:8001 backlog=1024; listen {at}:8002 ssl backlog=1024;
        ssl_certificate $certificate; ssl_certificate_key {path("key.pem")};
        ssl_protocols TLSv1.2 TLSv1.3;
        location / {{ return 200 "seen\\n"; }}
    }}
}}
""")
        return ["nginx", "-e", path("nginx.seen"), "-c", path("witness.conf")]

    @staticmethod
    def name_in(line):
        found = re.match(r"seen (\S+)$", line) or re.search(
            r'cannot load certificate "/nowhere/([^"]+)"', line)
        return found and found[1]


class Node(Witness):
    name, ports = "Node", {"http": (8003, 10), "live": (8003, 1), "tls": (8004, 4)}

    def command(self):
        return ["node", os.path.join(HERE, "witness.js"), self.address, 8003, 8004,
                self.lab.path("cert.pem"),
                self.lab.path("key.pem")]


class Hypercorn(Witness):
    name, ports = "hypercorn", {"http": (8005, 1), "h2c": (8005, 1)}

    def command(self):
        at = self.address if self.t.family == 4 else f"[{self.address}]"
        return ["hypercorn", "--bind", f"{at}:8005", "--backlog", "1024", "witness_app:app"]


class OpenSSL(Witness):
    name, ports = "OpenSSL", {"tls": (443, 10)}

    def command(self):
        return [f"{self.t.build}/tests/net/oracle", self.address, 443, self.lab.path("cert.pem"),
                self.lab.path("key.pem")]

    @staticmethod
    def name_in(line):
        return None if line.startswith("!") else line


def normalised(name):
    return name.lower().removesuffix(".")


class Witnesses:
    """All the servers, while the with-block lasts."""

    def __init__(self, t):
        self.t, self.all = t, []

    def __enter__(self):
        try:
            for kind in Nginx, Node, Hypercorn, OpenSSL:
                self.all.append(kind(self.t))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for witness in self.all:
            witness.stop()

    def ports(self):
        return [word for w in self.all for what, (port, share) in w.ports.items()
                for word in ("-p", f"{what}:{port}:{share}")]

    def more(self):
        return [name for w in self.all for name in w.more()]

    def settle(self):
        """All that was sent has reached them, and each has seen a name that was sent after it.
        hypercorn may hold a connection whose client has gone, in the middle of a request."""
        late = [port for port, _ in Hypercorn.ports.values()]
        self.t.until(lambda: all(flow["port"] in late for flow in self.t.sluice.ask("flows")), 20,
                     "the connections have ended")
        for witness in self.all:
            for what, (port, _) in witness.ports.items():
                name = f"sure-{what}-{port}.{ALLOWED}"
                send = tls.handmade_hello(name.encode()) if what == "tls" else get(
                    name, "/", "Connection: close")
                with self.t.connect("raw", port) as sock:
                    sock.sendall(send)
                    until(lambda w=witness, n=name: n in w.more(), READY_SECONDS,
                          f"{witness.name} has seen {name}")


class Race:
    """One run of the attacker through the daemon of a Case."""

    def __init__(self, t, count, **options):
        """options: seed, first, only (kinds), seconds, concurrent; see racer.c."""
        self.t, self.first_seen = t, {}
        with Witnesses(t) as witnesses:
            t.lines()
            self._drive(witnesses, self._command(witnesses, count, **options))
            witnesses.settle()
        t.sluice.quiet()
        self.judged = t.lines()
        witnesses.more()
        self.seen = {w.name: w.known for w in witnesses.all}

    def _command(self, witnesses, count, seed=1, first=0, only=(), seconds=600, concurrent=32):
        t = self.t
        sources = [word for role in CLIENTS for word in ("-b", pick(CLIENTS[role], t.family))]
        kinds = [word for kind in only for word in ("-o", kind)]
        return t.lab.client.command([f"{t.build}/tests/net/racer", t.server("raw"), ALLOWED, DENIED,
                                     "-n", count,
                                     "-s", seed, "-i", first, "-t", seconds, "-c", concurrent,
                                     *witnesses.ports(), *sources, *kinds])

    def _drive(self, witnesses, command):
        begin = time.monotonic()
        process = self.t.lab.processes.start(command, stdout=subprocess.PIPE, text=True)
        try:
            while process.poll() is None:
                self._look(witnesses.more(), begin)
                time.sleep(LOOK_SECONDS)
            said = process.stdout.read()
        finally:
            self.t.lab.processes.stop(process)
        if process.returncode:
            raise RuntimeError(f"racer ended with {process.returncode}")
        self.drive = json.loads(said)

    def _look(self, names, begin):
        """When was a name of each kind first seen that is hidden?"""
        for name in names:
            found = re.match(r"h(\d+)-([a-z-]+)\.", name)
            # whose name may be that one
            if found and (name.endswith(DENIED) or found[2] != "hello"):
                self.first_seen.setdefault(found[2], (name, found[1], time.monotonic() - begin))

    # --- the verdict ---

    @property
    def connections(self):
        return sum(kind["made"] for kind in self.drive["kinds"].values())

    def got_through(self):
        """{server: [names that it saw, and nobody allowed]}"""
        allowed = {line["name"] for line in self.judged if line["connected"]}
        return {server: [n for n in names if n not in allowed or n.endswith(DENIED)]
                for server, names in self.seen.items()}

    def problems(self):
        found = [f"{server} was asked for {name}, which was not allowed"
                 for server, names in self.got_through().items() for name in names]
        ended = sum(kind[end] for kind in self.drive["kinds"].values() for end in ENDS)
        if ended != self.connections:
            found.append(f"{ended} of {self.connections} connections have ended")
        if len(self.judged) > self.connections + EXTRA:
            found.append(f"{len(self.judged)} lines in the log for {self.connections} connections")
        return found

    def text(self):
        """What is worth knowing of it, but for the problems."""
        kinds = ", ".join(f"{name} {kind['made']} ({kind['answered']} answered)"
                          for name, kind in self.drive["kinds"].items() if kind["made"])
        seen = ", ".join(f"{server} {len(names)}" for server, names in self.seen.items())
        through = {name for names in self.got_through().values() for name in names}
        first = "".join(f", the first of {kind} in connection {number} after {seconds:.1f} s"
                        for kind, (name, number, seconds) in self.first_seen.items()
                        if name in through)
        rate = self.connections / self.drive["seconds"]
        return (f"{self.connections} connections at {rate:.0f} a second: {kinds}; "
                f"seen by servers: {seen}; {len(through)} disagreements{first}")
