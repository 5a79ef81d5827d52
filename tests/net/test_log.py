# SPDX-License-Identifier: GPL-2.0-or-later
"""
The access log: no client forges a line, a rotation loses none, and whatever becomes of the place
where it goes, only lines are lost, counted and told; never traffic, nor the daemon's end.
"""

import contextlib
import glob
import gzip
import json
import os
import re
import shutil
import signal
import socket
import threading

import tls
from case import get, is_allowed, is_denied, is_forbidden, test
from netns import run
from sluice import TRACED, render

HERE = os.path.dirname(os.path.abspath(__file__))
CONTRIB = os.path.join(HERE, "../../contrib")
ONE = {"modes": ("off",), "families": (4,), "daemon": False}  # a disk knows neither

# Ten fields, as Squid's tools split them; nothing but printable ASCII, and none is empty.
SQUID = re.compile(r" *\d+\.\d{3} +\d+ (?P<client>[0-9a-f.:]+) (?P<result>TCP_[A-Z]+/\d{3}) \d+ "
                   r"CONNECT (?P<target>[!-~]+):(?P<port>\d+) - HIER_(DIRECT/[0-9a-f.:]+|NONE/-) -")


def raw_lines(path):
    """The whole lines of a log."""
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as f:
        return f.read().split(b"\n")[:-1]
    return []


def denied(t, count=1, name=b"denied.test"):
    for _ in range(count):
        is_denied(t, tls.handmade_hello(name))


def lost(sluice):
    return sluice.stats()["log_lost"]


# --- forging ---------------------------------------------------------------------------------

MEAN = [b"a\n1700000000.123 1 10.9.9.9 TCP_TUNNEL/200 0 CONNECT x:443 - HIER_DIRECT/10.9.9.9 -\n"
        b"b.test",
        b'a","verdict":"allow","x":"b.test', b'a"}\n{"name":"b.test', b"a\r\nb.test", b"a\\",
        b"a%0ab.test", b"%", "ü.test".encode(), b"\x1b[2J.test", b"a\0b.test", b" ", b"a b.test",
        b"\xe2\x80\xa8.test", b"denied.test\0.allowed.test", b"\xff" * 253,
        b"a:443 - HIER_DIRECT/x -"]


def every_byte():
    return [b"a%cb.test" % byte for byte in range(256)]


def as_logged(name):
    """A name of a client's as the log has it: in lower case, or nothing if it is none."""
    return name.decode().lower() if re.fullmatch(rb"[A-Za-z0-9_.-]+", name) else ""


def hostile(t):
    """Every connection in turn, and what name the log may have for it."""
    for name in MEAN + every_byte():
        is_denied(t, tls.handmade_hello(name))
        yield as_logged(name), ("bad_name", "policy")
        if b"\r\n" in name:
            continue  # two headers
        t.send(b"GET / HTTP/1.1\r\nHost: " + name + b"\r\n\r\n", port=80)
        host = as_logged(name.strip(b" \t")) if b":" not in name else None  # it may have a port
        yield host, ("bad_name", "bad_http", "no_host", "policy")


@test(ini={"sluice.workers": "1"}, seconds=60)  # so that lines stand in the order of connections
def no_client_forges_a_line(t):
    """In JSON. Each connection has one line, in order, and its name comes back from it."""
    expected = list(hostile(t))
    t.sluice.quiet()
    lines = t.lines()
    assert len(lines) == len(expected), f"{len(lines)} lines for {len(expected)} connections"
    for line, (name, reasons) in zip(lines, expected):
        assert line["verdict"] == "deny" and line["reason"] in reasons, (name, line)
        assert line["client"] == t.client("client"), line
        assert name is None or line["name"] == name or (line["reason"] == "bad_http" and
                                                        not line["name"]), (name, line)
    assert sum(bool(line["name"]) for line in lines) > 100, "no name got through"


@test(families=(6,), daemon=False, seconds=60)
def no_client_forges_a_line_in_squids_format(t):
    path = t.lab.path(f"forged-{t.mode}.log")
    sluice = t.own(changes={"sluice.log_format": "squid", "sluice.access_log": path,
                            "sluice.workers": "1"})
    expected = list(hostile(t))
    denied(t, name=b"last.test")
    t.until(
        lambda: any(b" last.test:443 " in line for line in raw_lines(path)), 20, "the last line")
    sluice.quiet()
    lines = [SQUID.fullmatch(line.decode("ascii")) for line in raw_lines(path)]
    assert len(lines) == len(expected) + 1, f"{len(lines)} lines for {len(expected) + 1}"
    for line, (name, _) in zip(lines, expected):
        assert line and line["result"] == "TCP_DENIED/403", (name, line)
        assert line["client"] == t.client("client"), line
        assert name is None or line["target"] in (name, f"[{t.server('site')}]"), (name, line)
    os.unlink(path)


# --- rotation --------------------------------------------------------------------------------

def rotated(t, state, conf):
    run(["logrotate", "-f", "-s", state, conf],
        env={**os.environ, "PATH": f"{t.build}:{os.environ['PATH']}:/usr/sbin:/sbin"})


def all_lines(path):
    """Of the log and what was rotated, compressed or not."""
    lines = []
    for name in glob.glob(path + "*"):
        with (gzip.open if name.endswith(".gz") else open)(name, "rb") as f:
            data = f.read()
        assert not data or data.endswith(b"\n"), f"{name} ends within a line"
        lines += data.splitlines()
    return [json.loads(line) for line in lines]


@test(families=(4,), daemon=False, seconds=60)
def rotation_under_load_loses_no_line(t):
    """By logrotate, with the snippet that we ship, and a daemon that has given up its rights."""
    folder = t.lab.path("nobody-log")  # to take its socket away at the end
    os.makedirs(folder, exist_ok=True)
    shutil.chown(folder, "nobody")
    path = t.lab.path("rotated.log")
    sluice = t.own(changes={"sluice.user": "nobody", "sluice.access_log": path,
                            "sluice.control": f"{folder}/sock"})
    with open(f"{CONTRIB}/logrotate/sluice", encoding="ascii") as f:
        snippet = f.read()
    for ours, here in (("/var/log/sluice/access.log", path),
                       ("create 0640 sluice", "create 0640 nobody"),
                       ("--reuid=sluice", "--reuid=nobody"),
                       ("sluicectl status", f"sluicectl -s {sluice.socket} status")):
        assert ours in snippet, ours
        snippet = snippet.replace(ours, here)
    conf, state = t.lab.path("logrotate.conf"), t.lab.path("logrotate.state")
    with open(conf, "w", encoding="ascii") as f:
        f.write(snippet)
    sent, stop = [0] * 3, threading.Event()

    def load(i):
        while not stop.is_set():
            denied(t, name=b"n%d.denied.test" % i)
            sent[i] += 1

    threads = [threading.Thread(target=load, args=(i,)) for i in range(len(sent))]
    for thread in threads:
        thread.start()
    try:
        for _ in range(6):
            before = sum(sent)
            t.until(
                lambda: sum(sent) > before + 50 and os.path.getsize(path), 20, "load, and lines")
            rotated(t, state, conf)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    sluice.quiet()
    mode = os.stat(path).st_mode & 0o777
    assert mode == 0o640, f"{mode:o}"
    t.until(lambda: len(all_lines(path)) >= sum(sent), 20, "the last line")
    lines = all_lines(path)
    assert len(lines) == sum(sent) and lost(sluice) == 0, (len(lines), sent)
    assert len(glob.glob(path + ".*.gz")) == 5, glob.glob(path + "*")
    assert "cannot reopen" not in sluice.stderr(), sluice.stderr()
    sluice.stop()
    for name in glob.glob(path + "*"):
        os.unlink(name)


# --- disks -----------------------------------------------------------------------------------

@contextlib.contextmanager
def small_disk(t, size):
    folder = t.lab.path("disk")
    os.makedirs(folder, exist_ok=True)
    run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder])
    try:
        yield folder
    finally:
        run(["umount", "-l", folder])
        os.rmdir(folder)


def count_whole(lines):
    """Those that are whole; the others must be the beginning of one, not two joined."""
    whole = 0
    for line in lines:
        try:
            json.loads(line)
            whole += 1
        except ValueError:
            assert line.startswith(b'{"time":') and line.count(b'{"time":') == 1, line
    return whole


@test(**ONE)
def full_disk_loses_lines_not_traffic(t):
    """Whole ones, which are counted; that it is full is said once, and once that it works again,
    as it does without being told to open the log again."""
    with small_disk(t, "64k") as disk:
        path = f"{disk}/access.log"
        sluice = t.own(changes={"sluice.access_log": path})
        denied(t)
        t.until(lambda: raw_lines(path), 10, "a line")
        with open(f"{disk}/filler", "wb", buffering=0) as f, contextlib.suppress(OSError):
            while f.write(bytes(4096)):
                pass
        sent = 1
        while not lost(sluice):
            denied(t)
            sent += 1
        is_allowed(t, "allowed.test")
        sluice.quiet()
        denied(t, 20)
        sent += 21
        t.until(lambda: lost(sluice) + count_whole(raw_lines(path)) == sent, 10,
                "all are accounted for")
        assert sluice.stderr().count("No space left on device; lines are being lost") == 1
        assert "works again" not in sluice.stderr()
        os.unlink(f"{disk}/filler")
        denied(t, 20)
        sent += 20
        t.until(lambda: lost(sluice) + count_whole(raw_lines(path)) == sent, 10,
                "all are accounted for")
        assert count_whole(raw_lines(path)) >= 21
        assert sluice.stderr().count(
            f"works again; {lost(sluice)} lines were lost") == 1, sluice.stderr()
        sluice.stop()


@test(**ONE)
def disk_errors_lose_lines_not_traffic(t):
    """strace makes every write to the log fail."""
    sluice = t.own()
    for error, text in ("EIO", "Input/output error"), ("EDQUOT", "Disk quota exceeded"):
        before, told = lost(sluice), sluice.stderr().count(text)
        tracer = sluice.traced("/dev/null", "-P", sluice.log.path, "-e", "trace=write",
                               "-e", f"inject=write:error={error}")
        denied(t, 3)
        is_allowed(t, "allowed.test")
        t.until(lambda: lost(sluice) == before + 4, 10, "four are lost")
        tracer.send_signal(signal.SIGINT)
        tracer.wait(20 * t.scale)
        t.lab.processes.forget(tracer)
        t.forget_log()
        denied(t)
        t.logged(name="denied.test")
        assert error != "EIO" or sluice.stderr().count(text) == told + 1, sluice.stderr()


@test(**ONE)
def disk_that_hangs_does_not_hold_up_the_end(t):
    """strace makes every write to the log take a minute."""
    # it ends as it is traced
    sluice = t.own(wrap=["env", f"ASAN_OPTIONS={TRACED['ASAN_OPTIONS']}"])
    tracer = sluice.traced("/dev/null", "-P", sluice.log.path, "-e", "trace=write",
                           "-e", "inject=write:delay_enter=60000000")
    denied(t, 5)
    is_allowed(t, "allowed.test")
    assert sluice.ctl("reload").returncode == 0
    sluice.signal(signal.SIGUSR1)
    sluice.signal(signal.SIGTERM)
    t.until(lambda: "the last 6 lines are lost" in sluice.stderr(), 20, "it gives up")
    # the delay is strace's, which keeps the process until then
    tracer.kill()
    tracer.wait(20 * t.scale)
    t.lab.processes.forget(tracer)
    assert sluice.wait(20) == 0, sluice.stderr()


# --- readers that sleep ------------------------------------------------------------------------

@test(**ONE)
def sleeping_syslog_loses_lines_not_traffic(t):
    path = t.lab.path("syslog")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sleeper:
        sleeper.bind(path)
        sleeper.setblocking(False)
        sluice = t.own(changes={"sluice.access_log": f"syslog:{path}"})
        denied(t, 40)
        is_allowed(t, "allowed.test")
        sluice.quiet()
        assert sluice.ctl("reload").returncode == 0
        sluice.stop()
        got = 0
        with contextlib.suppress(BlockingIOError):
            while message := sleeper.recv(65536):
                head, line = message.split(b": ", 1)
                assert re.fullmatch(
                    rb"<30>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d sluiced\[\d+\]", head), head
                assert json.loads(line)["client"] == t.client("client"), line
                got += 1
    told = re.search(r"the last (\d+) lines are lost", sluice.stderr())
    assert told and got and got + int(told[1]) == 41, (got, sluice.stderr())
    os.unlink(path)


@test(**ONE)
def missing_syslog_loses_lines_not_traffic(t):
    """And when it comes, it gets what comes then."""
    path = t.lab.path("syslog")
    sluice = t.own(changes={"sluice.access_log": f"syslog:{path}"})
    denied(t, 5)
    t.until(lambda: lost(sluice) == 5, 10, "five are lost")
    assert sluice.stderr().count(f"access log syslog:{path}: No such file or directory") == 1
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(path)
        daemon.settimeout(10 * t.scale)
        denied(t)
        assert json.loads(daemon.recv(65536).split(b": ", 1)[1])["name"] == "denied.test"
        sluice.stop()
    assert "works again; 5 lines were lost" in sluice.stderr()
    os.unlink(path)


@test(**ONE)
def dead_stderr_holds_up_nobody(t):
    """Both logs go to a pipe that is full. Workers, reloads and the end do not wait for it."""
    path = t.lab.path("stderr")
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        sluice = t.own(changes={"sluice.access_log": "stderr"},
                       wrap=["sh", "-c", 'fifo=$1; shift; exec "$@" 2>"$fifo"', "sh", path])
        denied(t, 400)  # more than a pipe has room for
        t.until(lambda: sluice.stats()["reasons"]["policy"] == 400, 10, "all were served")
        for _ in range(3):
            assert sluice.ctl("reload").returncode == 0
        is_allowed(t, "allowed.test")
        sluice.stop()
    finally:
        os.close(reader)
        os.unlink(path)


# --- contrib/suggest ---------------------------------------------------------------------------

@test(daemon=False)
def what_is_suggested_lets_everything_through(t):
    """What was denied, and what enforce = no only reported, by every group, by TLS and HTTP."""
    path = t.lab.path(f"suggest-{t.mode}-{t.family}.log")
    sluice = t.own(changes={"sluice.access_log": path})
    asked = [(source, name, port) for source in ("client", "agent", "narrow")
             for name, port in (("denied.test", 443), ("unlisted.test", 443),
                                ("a.b.unlisted.test", 80), (f"only.{source}.example.net", 443))]
    denied_now, reported = asked[::2], asked[1::2]
    for source, name, port in denied_now:
        if port == 443:
            is_denied(t, tls.handmade_hello(name.encode()), source=source)
        else:
            is_forbidden(t, get(name), port=port, source=source)
    is_denied(t, tls.handmade_hello(b"denied.tree.test"))  # a rule says so: its deny wins
    sluice.rewrite({"policy.enforce": "no"})
    assert sluice.ctl("reload").returncode == 0
    for source, name, port in reported:
        t.send([
            get(name) if port == 80 else tls.handmade_hello(name.encode()) + tls.application(b"x")],
               port=port, source=source)
    sluice.quiet()
    t.until(lambda: len(raw_lines(path)) == len(asked) + 1, 10, "all lines")
    unresolved = sum(json.loads(line)["reason"] == "unresolved" for line in raw_lines(path))
    out = run([f"{CONTRIB}/suggest", path]).stdout
    assert f"; {len(asked) + 1} lines, {len(asked) + 1} denied" in out, out
    assert re.search(r"^allow = denied\.tree\.test ; 1, denied by base$", out, re.M), out
    assert not unresolved or f";   unresolved {unresolved}\n" in out, out
    sluice.rewrite({"policy.enforce": "yes"})
    sluice.write(render(sluice.ini) + out)
    assert sluice.test().returncode == 0, sluice.test().stderr + out
    assert sluice.ctl("reload").returncode == 0
    for source, name, port in asked:
        verdict = sluice.ask("explain", t.client(source), f"{name}:{port}")
        expected = "deny" if "example.net" in name and (source, name, port) in reported else "allow"
        assert verdict["verdict"] == expected, (source, name, port, verdict, out)
    assert sluice.ask("explain", t.client("client"), "unlisted.test:22")["verdict"] == "deny"
    assert sluice.ask(
        "explain", t.client("client"), "only.agent.example.net:443")["verdict"] == "deny"
    for source in "client", "agent", "narrow":
        is_allowed(t, "unlisted.test", source=source)
    sluice.stop()
    os.unlink(path)
