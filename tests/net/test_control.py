# SPDX-License-Identifier: GPL-2.0-or-later
"""Configuration, signals, sluicectl: what the administrator touches."""

import json
import os
import re
import signal
import socket
import stat
import threading

import tls
from case import is_allowed, is_denied, test
from netns import run, until

ONCE = {"modes": (None,), "families": (None,), "daemon": False}
EACH = {"families": (4,), "daemon": False}


def line_of(text, needle):
    return text[:text.index(needle)].count("\n") + 1


# --- sluiced -t -----------------------------------------------------------------------------

@test(**ONCE)
def good_configuration_passes_the_check(t):
    sluice = t.own("auto", start=False)
    done = sluice.test()
    assert done.returncode == 0, done.stderr


@test(**ONCE)
def mistakes_are_told_with_file_and_line(t):
    """-t says where and exits 1; the daemon itself does not start."""
    sluice = t.own("auto", start=False)
    with open(sluice.ini_path, encoding="utf-8") as f:
        good = f.read()
    for before, after in (
        ("fastpath = auto", "fastpaht = auto"),
        ("fastpath = auto", "fastpath = maybe"),
        ("workers = 2", "workers = -2"),
        ("workers = 2", "workers = many"),
        ("[timeouts]", "[timeout]"),
        ("hello = 20s", "hello = 20 parsecs"),
        ("hello = 20s", "hello ="),
        ("default = deny", "default = denny"),
        ("private_networks = 10.77.0.0/16", "private_networks = 10.77.0.0/33"),
        ("private_networks = 10.77.0.0/16", "private_networks = 10.77.0.1/16"),
        ("networks = 10.77.1.16/28", "networks = 10.77.1/28"),
        ("allow = .allowed.test", "allow = allowed..test"),
        ("allow = .allowed.test", "allow = " + "a" * 64 + ".test"),
        ("allow = .allowed.test", "allow = file:/nonexistent/list"),
        ("clients = narrow", "clients = nobody"),
        ("ports = 8043", "ports = 80430"),
        ("ports = 8043", "ports = http"),
        ("nameservers = 10.77.2.53", "nameservers = dns.test"),
        ("log_format = json", "log_format = xml"),
        ("[policy]", "[policy"),
        ("default = deny", "default deny"),
    ):
        assert before in good, before
        text = good.replace(before, after, 1)
        sluice.write(text)
        done = sluice.test()
        place = f"{sluice.ini_path}:{line_of(text, after)}:"
        assert done.returncode == 1, f"{after!r}: exit {done.returncode}"
        assert place in done.stderr, f"{after!r}: no {place} in {done.stderr!r}"
    assert sluice.run_to_end() == 1
    assert place in sluice.stderr(), sluice.stderr()
    sluice.check_stderr()


@test(**ONCE)
def mistakes_in_a_list_are_told_with_its_name_and_line(t):
    path = t.lab.path("names.list")
    with open(path, "w", encoding="ascii") as f:
        f.write("# names\nallowed.test\n\nbad..name\n")
    sluice = t.own("auto", {"rule listed.allow": f"file:{path}"}, start=False)
    done = sluice.test()
    assert done.returncode == 1 and f"{path}:4:" in done.stderr, (done.returncode, done.stderr)


@test(**ONCE)
def missing_file_and_bad_options(t):
    sluice = t.own("auto", start=False)
    program = sluice.program("sluiced")
    done = run([program, "-t", "-f", t.lab.path("nothing.ini")], check=False)
    assert done.returncode == 1 and "nothing.ini" in done.stderr, done
    assert run([program, "-V"], check=False).returncode == 0
    assert "0.1.0" in run([program, "-V"]).stdout
    assert run([program, "--nonsense"], check=False).returncode not in (0, -6, -11)


@test(**ONCE)
def busy_listener_is_told(t):
    """Another program has the port: no start, and the address in the message."""
    with t.lab.gateway.socket(socket.AF_INET) as other:
        other.bind(("0.0.0.0", 3129))
        other.listen()
        sluice = t.own("off", start=False)
        assert sluice.run_to_end() == 1
        assert "3129" in sluice.stderr(), sluice.stderr()


# --- sluicectl ------------------------------------------------------------------------------

@test(core=True, families=(4,))
def every_verb_answers(t):
    for verb in "status", "stats", "flows":
        done = t.sluice.ctl(verb)
        assert done.returncode == 0 and done.stdout, (verb, done)
        json.loads(t.sluice.ctl("-j", verb).stdout)
    status = t.sluice.ask("status")
    assert status["fastpath"] == t.mode and status["pid"] == t.sluice.pid, status
    assert status["enforce"] is True
    assert t.sluice.ctl("reload").returncode == 0


@test(core=True, families=(4,))
def exit_codes(t):
    assert t.sluice.ctl("status").returncode == 0
    for words in (), ("nonsense",), ("explain",), ("explain", "10.77.1.2"), ("status", "x", "y"):
        assert t.sluice.ctl(*words).returncode == 2, words
    program = t.sluice.program("sluicectl")
    for words in ("-s", t.lab.path("no.sock"), "status"), ("-s", t.lab.path("no.sock"), "reload"):
        assert run([program, *words], check=False).returncode == 3, words
    assert t.sluice.ctl("explain", "nonsense", "allowed.test").returncode == 1


@test(families=(4,))
def explain_says_what_the_policy_does(t):
    for client, name, verdict, rule in (
        ("10.77.1.2", "www.allowed.test", "allow", "base"),
        ("10.77.1.2", "denied.test", "deny", "default"),
        ("10.77.1.2", "denied.tree.test", "deny", "base"),
        ("10.77.1.2", "TIE.test.", "deny", "tie-deny"),
        ("10.77.1.17", "agents.test", "allow", "agents"),
        ("10.77.1.18", "agents.test", "deny", None),
        ("fd77:1::a:3", "narrow.test", "allow", "narrow"),
        ("10.77.1.2", "ports.test:8043", "allow", "ports"),
        ("10.77.1.2", "ports.test:443", "deny", None),
    ):
        answer = t.sluice.ask("explain", client, name)
        assert answer["verdict"] == verdict, (client, name, answer)
        assert rule is None or answer["rule"] == rule, (client, name, answer)
        done = t.sluice.ctl("explain", client, name)
        assert done.returncode == 0 and verdict in done.stdout, done
    text = t.sluice.ctl("explain", "10.77.1.2", "denied.tree.test").stdout
    assert re.search(re.escape(t.sluice.ini_path) + r":\d+", text), text


@test()
def flows_shows_open_connections(t):
    with t.connect() as sock:
        sock.sendall(tls.handmade_hello(b"raw.test")[:40])
        flows = t.until(lambda: t.sluice.ask("flows"), 5, "a flow")
        assert len(flows) == 1 and flows[0]["client"] == t.client("client"), flows
        assert flows[0]["state"] == "hello", flows
    with t.raw_server(tls.read_to_end), t.connect("raw") as sock:
        sock.sendall(tls.handmade_hello(b"raw.test"))
        flows = t.until(lambda: [f for f in t.sluice.ask("flows") if f["state"] == "open"],
                        5, "an open flow")
        assert flows[0]["name"] == "raw.test" and flows[0]["rule"] == "base", flows
        assert "raw.test" in t.sluice.ctl("flows").stdout


@test(families=(4,))
def control_socket_is_not_for_everyone(t):
    assert stat.S_IMODE(os.stat(t.sluice.socket).st_mode) & 0o007 == 0


@test(families=(4,))
def control_socket_survives_nonsense(t):
    for data in b"", b"\n", b"x" * 5000, b"\0\xff\n", b"status", b"-j\n", b"explain " * 99 + b"\n":
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(20)
            sock.connect(t.sluice.socket)
            try:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                tls.read_to_end(sock)
            except OSError:
                pass
    holders = []
    try:
        for _ in range(50):  # idle ones do not lock others out for ever
            sock = socket.socket(socket.AF_UNIX)
            holders.append(sock)
            sock.settimeout(1)
            try:
                sock.connect(t.sluice.socket)
            except OSError:
                break
        is_allowed(t, "allowed.test")
    finally:
        for sock in holders:
            sock.close()
    t.until(lambda: t.sluice.ctl("status").returncode == 0, 10, "sluicectl is answered")


# --- reload ---------------------------------------------------------------------------------

def verdict_is(t, name, allowed):
    """By a connection, not by asking."""
    answer, _ = t.send(tls.handmade_hello(name.encode()) + tls.record(b"\2\50", 21, 0x303))
    return (answer != tls.ACCESS_DENIED_ALERT) == allowed


def changed(t):
    return verdict_is(t, "unlisted.test", True) and verdict_is(t, "allowed.test", False)


CHANGE = {"rule new.allow": "unlisted.test", "rule new.deny": "allowed.test"}


@test(core=True, **EACH)
def reload_changes_verdicts(t):
    sluice = t.own()
    assert verdict_is(t, "unlisted.test", False) and verdict_is(t, "allowed.test", True)
    sluice.rewrite(CHANGE)
    done = sluice.ctl("reload")
    assert done.returncode == 0, done
    assert changed(t)
    reasons = {line["name"]: line["reason"] for line in t.lines()}
    assert reasons == {"unlisted.test": "ok", "allowed.test": "policy"}, reasons
    sluice.rewrite({"rule new.allow": None, "rule new.deny": "unlisted.test"})
    assert sluice.ctl("reload").returncode == 0
    assert verdict_is(t, "unlisted.test", False) and verdict_is(t, "allowed.test", True)


@test(core=True, **EACH)
def sighup_reloads(t):
    sluice = t.own()
    assert not changed(t)
    sluice.rewrite(CHANGE)
    sluice.signal(signal.SIGHUP)
    t.until(lambda: changed(t), 10, "the new policy decides")


@test(**EACH)
def bad_reload_keeps_the_old_policy(t):
    sluice = t.own()
    with open(sluice.ini_path, encoding="utf-8") as f:
        good = f.read()
    bad = good.replace("default = deny", "default = allow").replace(
        "[resolver]", "[resolver]\nnonsense = 1")
    sluice.write(bad)
    place = f"{sluice.ini_path}:{line_of(bad, 'nonsense')}:"
    done = sluice.ctl("reload")
    assert done.returncode == 1 and place in done.stdout + done.stderr, done
    assert verdict_is(t, "unlisted.test", False) and verdict_is(t, "allowed.test", True)
    sluice.signal(signal.SIGHUP)
    t.until(lambda: sluice.stderr().count(place) >= 2, 10, "the daemon says why, twice")
    assert verdict_is(t, "unlisted.test", False) and verdict_is(t, "allowed.test", True)


@test(**EACH)
def reload_keeps_open_connections(t):
    def echo(sock):
        tls.read_record(sock)
        tls.read_record(sock)
        while block := sock.recv(1000):
            sock.sendall(block)

    sluice = t.own()
    with t.raw_server(echo), t.connect("raw") as sock:
        sock.sendall(tls.handmade_hello(b"raw.test") + tls.application(b"x"))
        before = tls.application(b"before")
        for i in range(5):
            sock.sendall(before)
            assert tls.read_exactly(sock, len(before)) == before
            sluice.rewrite({"rule base.allow": "allowed.test" if i % 2 else "other.test"})
            assert sluice.ctl("reload").returncode == 0
        sock.sendall(b"after")
        assert tls.read_exactly(sock, 5) == b"after"
    assert verdict_is(t, "raw.test", False)


@test(**EACH)
def many_reloads_lose_nothing(t):
    """Connections all the while: each has the old verdict or the new, and none is dropped."""
    sluice = t.own()
    for i in range(30):
        sluice.rewrite({"rule flip.allow" if i % 2 else "rule flip.deny": "unlisted.test",
                        "rule flip.deny" if i % 2 else "rule flip.allow": None})
        assert sluice.ctl("reload").returncode == 0
        assert verdict_is(t, "unlisted.test", bool(i % 2)), f"after reload {i}"
        assert verdict_is(t, "allowed.test", True)
    sluice.quiet()
    count = len(sluice.descriptors())
    assert sluice.ctl("reload").returncode == 0
    t.until(lambda: len(sluice.descriptors()) <= count, 5, "no descriptor is left by a reload")


# --- logs -----------------------------------------------------------------------------------

@test(**EACH)
def sigusr1_reopens_the_log(t):
    sluice = t.own()
    is_allowed(t, "allowed.test")
    t.logged(name="allowed.test")
    old = sluice.log.path + ".1"
    os.rename(sluice.log.path, old)
    size = os.path.getsize(old)
    sluice.signal(signal.SIGUSR1)
    until(lambda: os.path.exists(sluice.log.path), 10 * t.scale, "a new log")
    t.forget_log()
    is_denied(t, tls.handmade_hello(b"denied.test"))
    t.logged(name="denied.test", reason="policy")
    assert os.path.getsize(old) == size
    os.unlink(old)


@test(**EACH)
def squid_format(t):
    path = t.lab.path(f"squid-{t.mode}.log")
    sluice = t.own(changes={"sluice.log_format": "squid", "sluice.access_log": path})
    is_allowed(t, "allowed.test")
    sluice.quiet()  # its line is written at its end, that of a denial at once
    is_denied(t, tls.handmade_hello(b"denied.test"))
    sluice.quiet()

    def lines():
        with open(path, encoding="ascii") as f:
            found = f.read().splitlines()
        return found if len(found) >= 2 else None

    allowed, denied = until(lines, 10, "two lines")
    number = r"\d+\.\d{3} +\d+ 10\.77\.1\.2 "
    assert re.fullmatch(number + r"TCP_TUNNEL/200 [1-9]\d* CONNECT allowed\.test:443 - "
                        r"HIER_DIRECT/10\.77\.2\.2 -", allowed), allowed
    assert re.fullmatch(number + r"TCP_DENIED/403 \d+ CONNECT denied\.test:443 - HIER_NONE/- -",
                        denied), denied


@test(**EACH)
def log_to_stderr(t):
    sluice = t.own(changes={"sluice.access_log": "stderr"})
    is_denied(t, tls.handmade_hello(b"denied.test"))
    t.until(lambda: '"denied.test"' in sluice.stderr(), 5, "the line on stderr")


# --- the end --------------------------------------------------------------------------------

def held_transfer(t, finish):
    """An open connection with half an answer: finish(client socket, send the rest)."""
    go = threading.Event()

    def server(sock):
        tls.read_record(sock)
        sock.sendall(b"a" * 1000)
        go.wait(30)
        try:
            sock.sendall(b"b" * 200000)
        except OSError:
            pass

    try:
        with t.raw_server(server), t.connect("raw") as sock:
            sock.sendall(tls.handmade_hello(b"raw.test"))
            assert tls.read_exactly(sock, 1000) == b"a" * 1000
            finish(sock, go.set)
            go.set()
    finally:
        go.set()


@test(core=True, **EACH)
def sigterm_drains(t):
    sluice = t.own()

    def finish(sock, rest):
        sluice.signal(signal.SIGTERM)
        t.until(lambda: refused(t), 10, "no new connection is taken")
        assert sluice.process.poll() is None, "it did not wait"
        rest()
        assert tls.read_to_end(sock) == (b"b" * 200000, "fin")

    held_transfer(t, finish)
    assert sluice.wait(10) == 0, sluice.stderr()
    sluice.check_stderr()


def refused(t):
    """One that came in before the listener was closed is held by nobody: try again."""
    try:
        t.connect().close()
    except ConnectionRefusedError:
        return True
    except OSError:
        pass
    return False


@test(**EACH)
def drain_has_a_limit(t):
    sluice = t.own(changes={"timeouts.drain": "300ms"})

    def finish(sock, rest):
        sluice.signal(signal.SIGTERM)
        assert sluice.wait(10) == 0, sluice.stderr()

    held_transfer(t, finish)


@test(core=True, **EACH)
def sigterm_twice_ends_at_once(t):
    sluice = t.own()

    def finish(sock, rest):
        sluice.signal(signal.SIGTERM)
        t.until(lambda: "stopping" in sluice.stderr(), 5, "it drains")
        sluice.signal(signal.SIGTERM)
        assert sluice.wait(5) == 0, sluice.stderr()
        assert tls.read_to_end(sock)[1] in ("fin", "rst")

    held_transfer(t, finish)
    sluice.check_stderr()


@test(core=True, **EACH)
def killed_daemon_can_be_started_again(t):
    """What a crash leaves, the socket file and pinned maps, is no obstacle."""
    sluice = t.own()
    is_allowed(t, "allowed.test")
    sluice.kill()
    assert os.path.exists(sluice.socket)
    assert sluice.ctl("status").returncode == 3
    sluice.start()
    is_allowed(t, "allowed.test")
    is_denied(t, tls.handmade_hello(b"denied.test"))
    sluice.stop()
    sluice.start()
    is_allowed(t, "allowed.test")


@test(**EACH)
def second_daemon_is_refused(t):
    sluice = t.own()
    other = t.own(start=False)
    assert other.run_to_end() == 1
    assert other.stderr().strip(), "it does not say why"
    t.sluice = sluice
    is_allowed(t, "allowed.test")
