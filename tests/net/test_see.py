# SPDX-License-Identifier: GPL-2.0-or-later
"""What sluicectl shows of the traffic: tail, top, flows, explain."""

import json
import re
import select
import signal
import socket
import subprocess

import tls
from case import is_allowed, is_denied, test

EACH = {"families": (4,), "daemon": False}


class Follower:
    """`tail` over the control socket: when it is there, it is told of what happens from now on."""

    def __init__(self, t, *words):
        self.t, self.buffer, self.events = t, b"", []
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20 * t.scale)
        self.sock.connect(t.sluice.socket)
        self.sock.sendall(" ".join(("-j", "tail", *words)).encode() + b"\n")
        assert tls.read_exactly(self.sock, 3) == b"ok\n"

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.sock.close()

    def read(self):
        """Waits for more; the events so far."""
        self.buffer += self.sock.recv(1 << 16)
        *lines, self.buffer = self.buffer.split(b"\n")
        self.events += [json.loads(line) for line in lines]
        return self.events

    def wait(self, count):
        """That many events, and not one more that has come by then."""
        while len(self.events) < count:
            self.read()
        assert len(self.events) == count, self.events
        return self.events


# --- tail -----------------------------------------------------------------------------------

@test(core=True)
def tail_tells_of_open_deny_and_end(t):
    """A connection is told of while it is open: its end may be hours away."""
    with Follower(t) as tail, t.raw_server(tls.read_to_end):
        with t.connect("raw") as sock:
            sock.sendall(tls.handmade_hello(b"raw.test"))
            opened = tail.wait(1)[0]
            t.fields(opened, event="open", client=t.client("client"), name="raw.test", port=443,
                     verdict="allow", reason="ok", rule="base", group="all", proto="tls",
                     dst=t.server("raw"), connected=True, enforced=True)
            is_denied(t, tls.handmade_hello(b"denied.test"), source="second")
            t.fields(tail.wait(2)[1], event="deny", client=t.client("second"), name="denied.test",
                     verdict="deny", reason="policy", connected=False)
        ended = tail.wait(3)[2]
        t.fields(ended, event="end", client=t.client("client"), name="raw.test",
                 client_port=opened["client_port"])
        assert ended["bytes_up"] >= opened["bytes_up"] and ended["bytes_up"] > 0, ended
    assert set(ended) - {"event"} == set(t.lines()[0]), "not what the access log has"


@test(families=(4,))
def tail_tells_only_what_is_asked_for(t):
    with Follower(t, "denied") as denied, Follower(t, "client", t.client("second")) as client, \
            Follower(t, "name", ".tree.test") as name:
        is_denied(t, tls.handmade_hello(b"denied.test"))
        is_denied(t, tls.handmade_hello(b"denied.tree.test"))
        is_allowed(t, "n.tree.test", source="second")
        t.sluice.quiet()
        is_denied(t, tls.handmade_hello(b"secret.tree.test"), source="second")
        assert [e["name"] for e in denied.wait(3)] == ["denied.test", "denied.tree.test",
                                                       "secret.tree.test"]
        assert [e["event"] for e in client.wait(3)] == ["open", "end", "deny"]
        assert [e["event"] for e in name.wait(4)] == ["deny", "open", "end", "deny"]


@test(**EACH)
def tail_and_top_know_what_would_be_denied(t):
    t.own(changes={"policy.enforce": "no"})
    with Follower(t, "denied") as tail:
        is_allowed(t, "denied.test", role="denied")
        for event, word in zip(tail.wait(2), ("open", "end")):
            t.fields(event, event=word, name="denied.test", verdict="deny", reason="policy",
                     enforced=False, connected=True)
    assert t.sluice.ask("top", "names")["names"] == [
        {"name": "denied.test", "count": 1, "over": 0, "denied": 0, "reported": 1}]


@test(**EACH)
def tail_tells_what_the_daemon_did(t):
    sluice = t.own()
    with Follower(t) as tail, Follower(t, "denied") as denied:
        assert sluice.ctl("deny", ".allowed.test", "for", "1h").returncode == 0
        is_denied(t, tls.handmade_hello(b"allowed.test"))
        assert sluice.ctl("reload").returncode == 0
        sluice.write("nonsense")
        assert sluice.ctl("reload").returncode == 1
        events = tail.wait(4)
        assert [e["event"] for e in events] == ["change", "deny", "reload", "reload"], events
        assert "deny .allowed.test until" in events[0]["text"], events
        t.fields(events[1], rule="runtime", name="allowed.test")
        assert f"{sluice.ini_path}: " in events[2]["text"], events
        assert "failed" in events[3]["text"] and f"{sluice.ini_path}:1:" in events[3]["text"]
        assert [e["event"] for e in denied.wait(1)] == ["deny"]
    sluice.write()


def long_name(t):
    """With it an event takes the most room."""
    return t.fresh(".".join(["x" * 60] * 3) + ".denied.test").encode()


@test(families=(4,), seconds=60)
def stalled_tail_costs_nobody_anything(t):
    """It does not read: others are served as before, another follower has all, and it has itself
    what the buffers held and is told how many it missed."""
    count = 1200
    with Follower(t) as stalled, Follower(t) as reader:
        for _ in range(count):
            is_denied(t, tls.handmade_hello(long_name(t)))
            reader.read()
        is_allowed(t, "allowed.test")
        t.sluice.quiet()
        assert [e["event"] for e in reader.wait(count + 2)] == ["deny"] * count + ["open", "end"]
        assert t.sluice.ctl("status").returncode == 0
        came = lost = 0
        while came + lost < count + 2:
            stalled.read()
            came = sum(e["event"] != "lost" for e in stalled.events)
            lost = sum(e["lost"] for e in stalled.events if e["event"] == "lost")
        assert came + lost == count + 2 and lost > 0, (came, lost)
        is_denied(t, tls.handmade_hello(b"denied.test"))
        assert stalled.wait(len(stalled.events) + 1)[-1]["name"] == "denied.test"


def start_tail(t, *words):
    """The program itself, once a line that it has printed shows that it follows."""
    process = t.lab.processes.start([t.sluice.program("sluicectl"), "-s", t.sluice.socket, "tail",
                                     *words], stdout=subprocess.PIPE)

    def follows():
        is_denied(t, tls.handmade_hello(b"denied.test"))
        return select.select([process.stdout], [], [], 0.05)[0]

    t.until(follows, 10, "sluicectl tail prints a line")
    line = process.stdout.readline().decode()
    assert f" deny {t.client('client')} denied.test:443 - policy rule=" in line, line
    return process


@test(**EACH)
def sluicectl_tail_ends_with_the_daemon_or_when_told(t):
    sluice = t.own()
    tails = [start_tail(t), start_tail(t, "denied", "name", "denied.test")]
    tails[1].send_signal(signal.SIGINT)
    assert tails[1].wait(10 * t.scale) == 0
    sluice.stop()
    assert tails[0].wait(10 * t.scale) == 0
    for tail in tails:
        tail.stdout.close()
        t.lab.processes.forget(tail)
    assert sluice.ctl("tail").returncode == 3


# --- top ------------------------------------------------------------------------------------

def counts(t, kind):
    """{name or client: count}, in the order shown"""
    key = kind.removesuffix("s")
    return {row[key]: row["count"] for row in t.sluice.ask("top", kind)[kind]}


@test(**EACH)
def top_shows_denied_names_and_clients(t):
    """Most first; what has no name stands there with the address it wanted, and whom a destination
    refused does not."""
    t.own()
    for name, times, source in (("denied.test", 3, "client"), ("denied.tree.test", 2, "client"),
                                ("denied.test", 1, "second")):
        for _ in range(times):
            is_denied(t, tls.handmade_hello(name.encode()), source=source)
    is_allowed(t, "allowed.test")
    t.send(b"\0\1\2\3\n\n", source="agent")
    t.send(tls.handmade_hello(b"closed.test"), role="closed", source="agent")
    t.until(lambda: t.sluice.ask("top")["denied"] == 7, 5, "all are counted")
    assert list(counts(t, "names").items()) == [("denied.test", 4), ("denied.tree.test", 2),
                                                (t.server("site"), 1)]
    assert list(counts(t, "clients").items()) == [(t.client("client"), 5), (t.client("second"), 1),
                                                  (t.client("agent"), 1)]
    assert t.sluice.ask("top", "names", "1") == {
        "window_s": t.sluice.ask("top")["window_s"], "denied": 7, "reported": 0,
        "names": [{"name": "denied.test", "count": 4, "over": 0, "denied": 4, "reported": 0}]}
    text = t.sluice.ctl("top").stdout
    assert re.search(r"^ +4 +0 +4 +0  denied\.test$", text, re.MULTILINE), text
    assert re.search(r"^ +5 +0 +5 +0  10\.77\.1\.2$", text, re.MULTILINE), text


# --- flows ----------------------------------------------------------------------------------

def opened(t, name, source, size):
    """A connection to the raw server that has said so many bytes behind its hello."""
    sock = t.connect("raw", source=source)
    sock.sendall(tls.handmade_hello(name) + tls.application(b"x" * size))
    return sock


@test()
def flows_are_filtered_and_sorted(t):
    with t.raw_server(tls.read_to_end), opened(t, b"raw.test", "client", 10), \
            opened(t, b"b.raw.test", "client", 3000), opened(t, b"a.raw.test", "second", 500):
        t.until(lambda: sorted(f["bytes_up"] > 500 for f in t.sluice.ask("flows")) ==
                [False, True, True], 5, "the bytes are there")

        def names(*words):
            return [f["name"] for f in t.sluice.ask("flows", *words)]

        assert sorted(names()) == ["a.raw.test", "b.raw.test", "raw.test"]
        assert names("client", t.client("second")) == ["a.raw.test"]
        assert names("name", "raw.test") == ["raw.test"]
        assert names("sort", "name", "name", "*.raw.test") == ["a.raw.test", "b.raw.test"]
        assert names("sort", "up") == ["b.raw.test", "a.raw.test", "raw.test"]
        assert names("sort", "up", "limit", "1", "client", t.client("client")) == ["b.raw.test"]
        assert names("name", "none.test") == []
        text = t.sluice.ctl("flows", "sort", "bytes", "limit", "2").stdout.splitlines()
        assert len(text) == 3 and "b.raw.test" in text[1] and "a.raw.test" in text[2], text


@test(families=(4,))
def bad_words_are_told(t):
    for words, complaint in ((("flows", "nonsense"), "unknown word 'nonsense'"),
                             (("flows", "limit", "0"), "'0' is not a number"),
                             (("flows", "sort"), "is missing"),
                             (("tail", "client", "10.0.0.1/8"), "'10.0.0.1/8' is not an address"),
                             (("tail", "name", "a*b"), "'a*b' is not NAME"),
                             (("top", "rules"), "'rules' is not names")):
        done = t.sluice.ctl(*words)
        assert done.returncode == 1 and complaint in done.stderr, (words, done)


# --- explain --------------------------------------------------------------------------------

@test(**EACH)
def explain_names_list_and_line(t):
    path = t.lab.path("explain.list")
    with open(path, "w", encoding="ascii") as f:
        f.write("# names\n\n.listed.test\n")
    sluice = t.own(changes={"rule listed.allow": f"file:{path}", "rule listed.clients": "agents"})
    assert sluice.ask("explain", t.client("agent"), "www.listed.test") == {
        "verdict": "allow", "group": "agents", "rule": "listed", "default": False,
        "enforced": True,
        "where": f"{path}:3: .listed.test", "file": path, "line": 3, "entry": ".listed.test"}
    text = sluice.ctl("explain", t.client("agent"), "www.listed.test").stdout
    assert f"where: {path}:3: .listed.test\n" in text, text
    assert sluice.ask("explain", t.client("client"), "www.listed.test") == {
        "verdict": "deny", "group": "all", "rule": "default", "default": True,
        "enforced": True,
        "where": f"default: no entry; [policy] default = deny in {sluice.ini_path}",
        "file": "", "line": 0, "entry": ""}
    answer = sluice.ask("explain", t.client("client"), "203.0.113.9")
    assert "address" in answer["where"] and answer["default"], answer
