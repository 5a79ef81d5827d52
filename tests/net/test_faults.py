# SPDX-License-Identifier: GPL-2.0-or-later
"""
What breaks: the daemon, its servers, its resources. Nobody hangs, everyone is told, nothing is
left behind, and afterwards it serves as before. (A plain SIGTERM, its limit, the second one, and
the start after a kill are in test_control.py; resets by a server or client in test_upstream.py;
max_connections in test_badinput.py.)
"""

import contextlib
import resource
import signal
import socket
import threading
import time

import crowd
import tls
from case import get, is_allowed, test
from netns import run, until
from test_kernel import converse, echo, opened

KIB, MIB = 1 << 10, 1 << 20
MESSAGE = 200  # of crowd -m echo
CROWD_PORT = 8000  # where the raw server's is another test server's
MANY = {"sluice.workers": "1", "sluice.max_connections": "40000", "sluice.max_per_client": "20000"}


def echoes(t, count, *options, rounds=5, name="raw.test", **where):
    return crowd.clients(t, crowd.tls_opening(name), "-m", "echo", "-u", rounds * MESSAGE,
                         "-n", count, *options, **where)


def greeted(t, clients, count):
    t.until(lambda: clients.look()["greeted"] == count, 30, f"{count} are open")


def reasons(lines):
    return {reason: sum(line["reason"] == reason for line in lines)
            for reason in {line["reason"] for line in lines}}


# --- the daemon ends ------------------------------------------------------------------------

@test(daemon=False)
def sigterm_lets_every_connection_finish(t):
    """Whatever a connection was about: saying hello, connecting, answering, half closed."""
    sluice = t.own(changes={"timeouts.connect": f"{int(2000 * t.scale)}ms"})

    go = threading.Event()

    def answer(sock):
        kind, payload = tls.read_record(sock)
        while payload not in (b"answer", b"later"):
            kind, payload = tls.read_record(sock)
        assert payload == b"answer" or (tls.read_to_end(sock)[1] == "fin" and go.wait(60))
        sock.sendall(b"a" * 300000)

    with t.raw_server(answer), contextlib.ExitStack() as stack:
        hello, half, moving, hopeless = (stack.enter_context(t.connect(role)) for role in
                                         ("raw", "raw", "raw", "drop"))
        hopeless.sendall(tls.handmade_hello(b"drop.test"))
        for sock in half, moving:
            sock.sendall(tls.handmade_hello(b"raw.test"))
        half.sendall(tls.application(b"later"))
        half.shutdown(socket.SHUT_WR)
        hello.sendall(b"\x16")
        states = ["hello", "connect", "open", "open"]
        t.until(lambda: sorted(f["state"] for f in sluice.ask("flows")) == sorted(states) and
                any(f["bytes_up"] > 100 for f in sluice.ask("flows")), 10, "all stand as wanted")
        sluice.signal(signal.SIGTERM)
        t.until(lambda: "stopping" in sluice.stderr(), 10, "it drains")
        hello.sendall(tls.handmade_hello(b"raw.test")[1:] + tls.application(b"answer"))
        moving.sendall(tls.application(b"answer"))
        for sock in hello, moving:
            assert tls.read_to_end(sock) == (b"a" * 300000, "fin")
        assert tls.read_to_end(hopeless)[1] in ("fin", "rst")
        assert sluice.process.poll() is None, "it did not wait for the last one"
        go.set()
        assert tls.read_to_end(half) == (b"a" * 300000, "fin")
    assert sluice.wait(20) == 0, sluice.stderr()
    sluice.check_stderr()
    found = sluice.log.read(t._mark)[0]
    assert sorted(line["reason"] for line in found) == ["ok", "ok", "ok", "upstream_timeout"], found


ROUNDS, ROUND = 5, tls.application(b"echo")  # so many that the kernel carries
LAST_WORDS = b"z" * 9000


class Ending:
    """A server whose last words and end are with the gateway when `come` counts it."""

    def __init__(self, t):
        self.t, self.go, self.come = t, threading.Event(), []

    def __call__(self, sock):
        tls.read_exactly(sock, len(tls.handmade_hello(b"raw.test")))
        for _ in range(ROUNDS):
            sock.sendall(tls.read_exactly(sock, len(ROUND)))
        assert self.go.wait(60)
        sock.sendall(LAST_WORDS)
        sock.shutdown(socket.SHUT_WR)
        self.t.until(lambda: tls.unacknowledged(sock) == 0, 20, "the gateway has the end")
        self.come.append(sock)
        assert tls.read_to_end(sock) == (b"", "fin")


def conversation(sock):
    sock.sendall(tls.handmade_hello(b"raw.test"))
    for _ in range(ROUNDS):
        sock.sendall(ROUND)
        assert tls.read_exactly(sock, len(ROUND)) == ROUND


@test(core=True, daemon=False, seconds=60)
def time_is_over_when_all_has_come(t):
    """
    The daemon is told to end, with no time for what is open, when each connection's last bytes and
    both its ends are with the gateway, and it has not come to them: they end as if it had.
    """
    count = 60 if t.core else 300
    sluice = t.own(changes={"timeouts.drain": "0", "sluice.workers": "1"})
    ending = Ending(t)
    with t.raw_server(ending), contextlib.ExitStack() as stack:
        socks = [stack.enter_context(t.connect("raw", timeout=30 * t.scale)) for _ in range(count)]
        for sock in socks:
            conversation(sock)
        sluice.signal(signal.SIGSTOP)
        t.until(sluice.stopped, 10, "the daemon stands still")
        ending.go.set()
        for sock in socks:
            sock.shutdown(socket.SHUT_WR)
        t.until(lambda: len(ending.come) == count and not any(map(tls.unacknowledged, socks)), 30,
                "all is with the gateway")
        sluice.signal(signal.SIGTERM)
        sluice.signal(signal.SIGCONT)
        for sock in socks:
            assert tls.read_to_end(sock) == (LAST_WORDS, "fin")
    assert sluice.wait(20) == 0, sluice.stderr()
    sluice.check_stderr()
    found = sluice.log.read(t._mark)[0]
    assert reasons(found) == {"ok": count}, reasons(found)
    assert {line["bytes_down"] for line in found} == {ROUNDS * len(ROUND) + len(LAST_WORDS)}


@test(core=True, families=(4,), daemon=False)
def killed_daemon_leaves_nothing_that_works(t):
    """Its connections end, its program goes from the kernel; the next one begins afresh."""
    sluice = t.own()
    with crowd.server(t) as server, echoes(t, 20, "-h") as held, \
            crowd.clients(t, crowd.tls_opening("raw.test"), "-n", 4, "-u", 1 << 40, "-d",
                          1 << 40) as endless:
        greeted(t, held, 20)
        t.until(lambda: server.look()["in"] > 4 * MIB, 20, "bytes are on their way")
        left = sluice.bpf_ids("prog")
        assert (t.mode == "on") == bool(left), left
        sluice.kill()
        held.tell("go")
        for clients, count in (held, 20), (endless, 4):
            said = clients.end()
            assert said["fin"] + said["rst"] == count and not said["wrong"], said
        t.until(lambda: server.look()["open"] == 0, 20, "the servers have seen the end as well")
        for program in left:
            t.until(lambda: run(["bpftool", "prog", "show", "id", program],
                                check=False).returncode, 10, "the program is gone")
        sluice.start()
        t.lines()
        with echoes(t, 20) as again:
            crowd.all_well(again.end(), 20)
    assert sluice.ask("status")["fastpath"] == t.mode
    sluice.quiet()
    paths = {line["path"] for line in t.lines()}
    assert paths <= ({"kernel", "mixed"} if t.mode == "on" else {"user"}), paths
    sluice.nothing_left()


# --- the server ends ------------------------------------------------------------------------

@test(core=True, seconds=60)
def server_that_is_killed_ends_its_connections(t):
    """In the middle of streams, half closed, stalled, and while nothing is said."""
    each = 4 if t.core else 15
    opening = crowd.tls_opening("raw.test")
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(crowd.server(t))
        groups = [stack.enter_context(crowd.clients(t, opening, "-n", each, *options))
                  for options in (("-u", 1 << 40), ("-u", 1 << 40, "-d", 1 << 40),
                                  ("-d", 1 << 40),  # the client has closed its side
                                  ("-u", 1 << 40, "-s", "up"), ("-d", 1 << 40, "-s", "down"))]
        held = stack.enter_context(echoes(t, each, "-h"))
        for clients in *groups, held:
            greeted(t, clients, each)
        t.until(lambda: server.look()["in"] > MIB < server.look()["out"], 20, "bytes are moving")
        server.process.kill()
        held.tell("go")
        for clients in groups:
            clients.tell("wake")
        for clients in *groups, held:
            said = clients.end()
            assert said["fin"] + said["rst"] == each and not said["wrong"], said
        t.sluice.nothing_left()
    found = reasons(t.lines())
    assert set(found) <= {"ok", "upstream_reset"} and sum(found.values()) == 6 * each, found


@test(core=True, seconds=60)
def server_that_resets_half_closed_connections(t):
    """After the client's FIN; and after its own, while the client still sends."""
    def after_fin_of_client(sock):
        tls.read_record(sock)
        sock.sendall(b"+")
        assert tls.read_to_end(sock)[1] == "fin"
        servers_reset(sock)

    def after_own_fin(sock):
        tls.read_record(sock)
        sock.sendall(b"+")
        sock.shutdown(socket.SHUT_WR)
        tls.read_exactly(sock, 5)
        servers_reset(sock)

    with t.raw_server(after_fin_of_client), t.connect("raw") as sock:
        sock.sendall(tls.handmade_hello(b"raw.test"))
        assert tls.read_exactly(sock, 1) == b"+"
        sock.shutdown(socket.SHUT_WR)
        assert tls.read_to_end(sock) == (b"", "rst")
    t.logged(name="raw.test", reason="upstream_reset")
    with t.raw_server(after_own_fin), t.connect("raw") as sock:
        sock.sendall(tls.handmade_hello(b"raw.test"))
        assert tls.read_to_end(sock) == (b"+", "fin")
        sock.sendall(tls.application(b"more"))
        t.until(lambda: ended(sock), 10, "the client is told")
    t.logged(name="raw.test", reason="ok")  # it had ended its stream; see reset_reason()


def servers_reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()


def ended(sock):
    """A socket that has had its FIN is told of a reset by what it sends."""
    try:
        sock.send(tls.application(b"x"))
        return False
    except (ConnectionResetError, BrokenPipeError):
        return True


# --- too many ---------------------------------------------------------------------------------

@test(ini={"sluice.max_connections": "20"}, seconds=60)
def more_connections_than_allowed(t):
    """Those beyond the limit are refused, with that reason; the others do not notice."""
    wave = 300
    with crowd.server(t), echoes(t, 15, "-h") as held:
        greeted(t, held, 15)
        before = t.sluice.stats()
        with echoes(t, wave) as others:
            said = others.end()
        assert said["started"] == wave == said["done"] + said["rst"], said
        held.tell("go")
        crowd.all_well(held.end(), 15)
    t.sluice.nothing_left()
    after = t.sluice.stats()
    refused = after["reasons"]["limit"] - before["reasons"]["limit"]
    assert refused == said["rst"] > 0, (refused, said)
    assert after["reasons"]["ok"] - before["reasons"]["ok"] == said["done"] + 15, (after, said)


# --- no descriptors -------------------------------------------------------------------------

def settled(sluice):
    """The daemon's descriptors, when none of those that are being closed is left."""
    seen = []

    def same():
        seen.append(sluice.descriptors())
        return len(seen) > 20 and all(s == seen[-1] for s in seen[-20:])

    until(same, 20 * sluice.scale, "the daemon's descriptors stay the same")
    return seen[-1]


@contextlib.contextmanager
def descriptors_left(sluice, count):
    """The daemon may open that many more."""
    taken = {int(fd) for fd in settled(sluice)}
    before = resource.prlimit(sluice.pid, resource.RLIMIT_NOFILE)
    free = [fd for fd in range(max(taken) + 2 + count) if fd not in taken]
    resource.prlimit(sluice.pid, resource.RLIMIT_NOFILE, (free[count], before[1]))
    try:
        yield
    finally:
        resource.prlimit(sluice.pid, resource.RLIMIT_NOFILE, before)


class Calls:
    """System calls of the daemon in the order they were made, by strace."""

    def __init__(self, t, which):
        self.t, self.path = t, t.lab.path("calls.out")
        self.tracer = t.sluice.traced(self.path, "-e", f"trace={which}")
        self.begin = time.monotonic()

    def text(self):
        with open(self.path, encoding="utf-8", errors="replace") as f:
            return "".join(line for line in f if "resumed" not in line and "(" in line)

    def count(self):
        return self.text().count("\n")

    def stop(self):
        self.tracer.send_signal(signal.SIGINT)
        self.tracer.wait(20 * self.t.scale)
        self.t.lab.processes.forget(self.tracer)


# --- a stream without end -------------------------------------------------------------------

# in one round of the loop: ROUNDS of slowpath/proxy/pump.c, for each way of the streams
MOST_READS = 200


@test(ini={"sluice.workers": "1"}, seconds=60)
def endless_streams_leave_others_their_turn(t):
    """The tracer makes the daemon so slow that it never has to wait for their bytes."""
    calls = Calls(t, "recvfrom,splice,epoll_wait")
    with crowd.server(t), crowd.clients(t, crowd.tls_opening("raw.test"), "-n", 2,
                                        "-u", 1 << 40) as endless:
        t.until(lambda: calls.count() >= 5000, 30, "it reads")
        is_allowed(t, "allowed.test")
        endless.close()
    calls.stop()
    longest = max(run.count("\n") for run in calls.text().split("epoll_wait("))
    assert longest <= MOST_READS, f"{longest} reads before others had their turn"


WAIT_WORDS = "new connections wait"
RETRY_S = 0.1  # RESUME_MS of slowpath/proxy/worker.c


@test(daemon=False, seconds=60)
def without_descriptors_connections_wait(t):
    """It stops accepting, says so once, does not spin, and goes on by itself."""
    sluice = t.own(changes={"sluice.workers": "1"})
    with t.raw_server(echo), crowd.server(t, CROWD_PORT), contextlib.ExitStack() as stack:
        sock = stack.enter_context(opened(t))
        converse(sock, 3)
        held = stack.enter_context(echoes(t, 10, "-h", port=CROWD_PORT))
        greeted(t, held, 10)
        with descriptors_left(sluice, 0):
            one = stack.enter_context(echoes(t, 1, "-h", port=CROWD_PORT))
            t.until(lambda: WAIT_WORDS in sluice.stderr(), 10, "it says that it waits")
            does_not_spin(t)
            converse(sock, 20)
            reload_is_refused(t)
            assert one.look()["greeted"] == 0
            held.tell("go")  # their ends are all that happens
            crowd.all_well(held.end(), 10)
            greeted(t, one, 1)
        with descriptors_left(sluice, 0):
            more = stack.enter_context(echoes(t, 8, "-h", port=CROWD_PORT))
            does_not_spin(t)
            assert more.look()["greeted"] == 0
        for clients, count in (one, 1), (more, 8):
            greeted(t, clients, count)
            clients.tell("go")
            crowd.all_well(clients.end(), count)
        converse(sock, 3)
    sluice.nothing_left()
    assert sluice.stderr().count(WAIT_WORDS) == 1, sluice.stderr()
    assert reasons(t.lines()) == {"ok": 20}


def does_not_spin(t):
    """While nothing changes it tries again now and then: not more often than it means to."""
    calls = Calls(t, "accept4")
    t.until(lambda: calls.count() >= 6, 20, "it tries again")
    count, took = calls.count(), time.monotonic() - calls.begin
    calls.stop()
    listeners = 2
    most = listeners * (took / RETRY_S + 2)
    assert count <= most, f"{count} calls of accept4 in {took:.2f} s, {most:.0f} were due"


STALLED = 200  # and as many may be open, with ten to look at them
BUFFERS = "4096 65536 65536"  # so that it takes no more to stall them
CALLS_MAX = 500  # of one request, with all it needs


@contextlib.contextmanager
def small_buffers(t):
    places = [(ns, f"ipv4/tcp_{which}") for which in ("rmem", "wmem")
              for ns in (t.lab.client, t.lab.gateway, t.lab.server)]
    before = [(ns, key, ns.read_sysctl(key)) for ns, key in places]
    try:
        for ns, key in places:
            ns.sysctl(key, BUFFERS)
        yield
    finally:
        for ns, key, value in before:
            ns.sysctl(key, value)


@test(daemon=False, seconds=120)
def pipes_leave_descriptors_for_connections(t):
    """
    As many streams as may be open stall in both directions, and two pipes for each would be more
    than the limit of open files. None is refused or waits, and who copies for want of a pipe does
    not
    spin.
    """
    limit = 2 * (STALLED + 10) + 656
    sluice = t.own(changes={"sluice.workers": "1", "sluice.max_connections": f"{STALLED + 10}"},
                   wrap=["prlimit", f"--nofile={limit}:{limit}"])
    assert "too low" not in sluice.stderr()
    with small_buffers(t), crowd.server(t) as server:
        with crowd.clients(t, crowd.tls_opening("raw.test"), "-n", STALLED, "-u", MIB, "-d", MIB,
                           "-s", "up", "-s", "down", "-w", 100000) as streams:
            greeted(t, streams, STALLED)
            for side in streams, server:
                crowd.standstill(t, side)
            calls = Calls(t, "recvfrom,sendto,splice,epoll_wait")
            is_allowed(t, "allowed.test")
            assert calls.count() < CALLS_MAX, calls.text()[-4000:]
            calls.stop()
            for side in streams, server:
                side.tell("wake")
            crowd.all_well(streams.end(), STALLED)
            crowd.all_served(t, server, STALLED)
    assert "files" not in sluice.stderr(), sluice.stderr()
    sluice.nothing_left()
    assert reasons(t.lines()) == {"ok": STALLED + 1}


def reload_is_refused(t):
    """It cannot read its file; it goes on with what it has."""
    before = t.sluice.stderr().count("reload: ")
    t.sluice.signal(signal.SIGHUP)
    t.until(lambda: t.sluice.stderr().count("reload: ") > before, 10, "the reload fails")
    assert "the old configuration stays" in t.sluice.stderr(), t.sluice.stderr()


def is_refused_for_lack(t, tail):
    """A reset, or over HTTP a 503; and the reason in the log. tail: what makes names differ."""
    answer, end = t.send(tls.handmade_hello(f"{tail}.raw.test".encode()), role="raw")
    assert (answer, end) == (b"", "rst"), (answer, end)
    answer, end = t.send(get(f"{tail}.raw.test"), role="raw", port=80)
    assert answer.startswith(b"HTTP/1.1 503 ") and end == "fin", (answer[:100], end)
    t.until(lambda: sum(line["reason"] == "limit" for line in t.sluice.log.read(t._mark)[0]) == 2,
            10, "the log has the reason")


@test(ini={"sluice.workers": "1"}, seconds=60)
def no_descriptor_for_the_upstream(t):
    """One is enough for the client, not for its server: it is told, nobody else notices."""
    is_allowed(t, "allowed.test")
    with t.raw_server(echo), opened(t) as sock:
        converse(sock, 3)
        t.lines()
        with descriptors_left(t.sluice, 1):
            is_refused_for_lack(t, "fd")
            converse(sock, 20)
        is_allowed(t, "allowed.test")
        converse(sock, 3)
    t.sluice.nothing_left()
    assert reasons(t.lines()) == {"limit": 2, "ok": 2}


@test(seconds=60)
def no_port_for_the_upstream(t):
    """All ports of the gateway towards this server are taken."""
    key, first = "ipv4/ip_local_port_range", {"on": 20000, "off": 20010}[t.mode]
    before = t.lab.gateway.read_sysctl(key)
    with t.raw_server(echo), contextlib.ExitStack() as stack:
        try:
            t.lab.gateway.sysctl(key, f"{first} {first + 3}")
            socks = [stack.enter_context(opened(t)) for _ in range(4)]
            answer, end = t.send(tls.handmade_hello(b"raw.test"), role="raw")
            assert (answer, end) == (b"", "rst"), (answer, end)
            for sock in socks:
                converse(sock, 3)
        finally:
            t.lab.gateway.sysctl(key, before)
        with opened(t) as sock:
            converse(sock, 3)
    t.sluice.nothing_left()
    assert reasons(t.lines()) == {"limit": 1, "ok": 5}


# --- events are lost ------------------------------------------------------------------------

RING_EVENTS = 4096  # of bpf/splice.bpf.c


@test(modes=("on",), ini=MANY, seconds=120)
def lost_events_hang_nobody(t):
    """
    The worker stands still while more is denied than its ring has room for; what the others have to
    say is lost.
    """
    flows, hello = RING_EVENTS + 400, tls.handmade_hello(b"denied.test")
    with contextlib.ExitStack() as stack:
        silent = [
            stack.enter_context(t.connect("denied", timeout=60 * t.scale)) for _ in range(flows)]
        t.until(lambda: t.sluice.stats()["open"] == flows, 20, "all are there")
        t.sluice.signal(signal.SIGSTOP)
        try:
            for sock in silent:
                sock.sendall(hello)
        finally:
            t.sluice.signal(signal.SIGCONT)
        for sock in silent:
            assert tls.read_to_end(sock) == (tls.ACCESS_DENIED_ALERT, "fin")
    t.sluice.nothing_left()
    lost = t.sluice.stats()["events_lost"]
    assert lost > 0, "no event was lost: the ring was not full"
    assert reasons(t.lines()) == {"policy": flows}


# --- very many ------------------------------------------------------------------------------

@test(ini=MANY, alone=True, seconds=120)
def thousands_of_open_connections_on_one_worker(t):
    """As many as its descriptors allow: two each."""
    count = 9500
    with crowd.server(t) as server, echoes(t, count, "-h", "-r", 5000) as held:
        greeted(t, held, count)
        now = t.sluice.stats()
        assert now["open"] == count, now
        assert now["flows_kernel"] == (count if t.mode == "on" else 0), now
        held.tell("go")
        crowd.all_well(held.end(), count)
        crowd.all_served(t, server, count)
    t.sluice.nothing_left()
    assert reasons(t.lines()) == {"ok": count}


@test(ini=MANY, alone=True, seconds=120)
def tens_of_thousands_opened_and_reset(t):
    """At once, inside a hello, behind it, and after an answer."""
    count = 30000 if t.family == 4 else 8000
    before = t.sluice.stats()
    with crowd.server(t) as server:
        with crowd.clients(t, crowd.tls_opening("raw.test"), "-m", "reset", "-n", count,
                           "-c", 200) as clients:
            said = clients.end()
            assert said["done"] == count, said
        t.sluice.nothing_left()
        t.until(lambda: server.look()["open"] == 0, 20, "the servers know it")
        with echoes(t, 50) as after:
            crowd.all_well(after.end(), 50)
    t.sluice.quiet()
    now = t.sluice.stats()
    new = {key: now[key] - before[key] for key in ("accepted", "ended", "log_lost")}
    assert new["accepted"] == new["ended"] == count + 50, (new, count)
    ends = sum(now["reasons"].values()) - sum(before["reasons"].values())
    assert ends == new["ended"], (ends, new)
    found = t.lines()
    assert len(found) + new["log_lost"] == count + 50, f"{len(found)} lines, {new}"
    # Who reset before it was accepted may have left no entry in connection tracking, or another's.
    known = {"ok", "not_tls", "bad_tls", "upstream_reset"}
    assert set(reasons(found)) <= known | {"untracked"}, reasons(found)
    well = now["reasons"]["ok"] - before["reasons"]["ok"]
    assert well >= count // 4 + 50, f"{well} had an answer"
    for line in found:
        if line["reason"] == "untracked":
            t.fields(line, verdict="deny", name="", port=0, bytes_up=0, bytes_down=0)
