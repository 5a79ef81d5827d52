# SPDX-License-Identifier: GPL-2.0-or-later
"""From one process to the next: nobody is refused, nothing is lost, and whoever fails to take
over leaves the one that runs as it was."""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import sys
import time

import crowd
import rawtcp
import tls
from case import is_allowed, is_denied, test
from lab import LISTENER, list_dir
from manager import Manager
from netns import run

RATE = 400  # connections a second, where the machine is as fast as ours
HELD = 12
BIG = 1 << 20  # bytes of each held connection, in each direction
EACH = {"daemon": False, "seconds": 60}
ONCE = {"families": (4,), "daemon": False}

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT, WALL = 17, 0x4206, 0x4207, 0x40000000

# Run as another user: a control socket, and what to say to it.
ASK = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.argv[2].encode() + b"\\n")
text = b""
while True:
    data, fds, _, _ = socket.recv_fds(s, 4096, 16)
    text += data + b"FD" * len(fds)
    if not data:
        break
print(text.decode())
"""


def opening():
    return crowd.tls_opening("raw.test")


@contextlib.contextmanager
def load(t):
    """Connections come all the time; in the end every one of them is well, and is logged once.
    They come as slowly as the machine is: what it cannot serve would only wait, thousands at
    last, and a process that was replaced ends when all of its connections have."""
    rate = max(20, round(RATE / t.scale))
    with crowd.server(t), \
            crowd.clients(t, opening(), "-n", 100000, "-r", rate, "-c", 2000, "-u", 3000, "-d",
                          9000) as coming:
        def more(count=max(10, rate // 8)):
            """Until so many have ended since."""
            enough = coming.look()["done"] + count
            t.until(lambda: coming.look()["done"] >= enough, 20, "more connections end well")
        more()
        yield more
        coming.tell("stop")
        said = coming.end()
        crowd.all_well(said, said["started"])
        assert said["started"] > 2 * (rate // 8), said
        t.sluice.quiet()
        count = said["started"]
    t.until(lambda: len(logged(t)) >= count, 20, "the log is complete")
    assert {line["reason"] for line in logged(t)} == {"ok"}
    t.logged_of_load = count


def logged(t):
    return [line for line in t.sluice.log.read(t._mark)[0] if line["name"] == "raw.test"]


def ended(t, sluice, process):
    """A process that was replaced: its exit status is 0, when its connections have ended."""
    assert sluice.lab.processes.running.count(process)
    assert process.wait(30 * t.scale) == 0, sluice.stderr()
    sluice.lab.processes.forget(process)


def pins(t, sluice):
    """{name: id of the map}"""
    shown = {}
    for name in list_dir(t.lab.pin):
        done = run(["bpftool", "-j", "map", "show", "pinned", f"{t.lab.pin}/{name}"])
        shown[name] = str(json.loads(done.stdout)["id"])
    return shown


def in_place(t, sluice):
    """Pins and control socket are those of this process."""
    assert sluice.ask("status")["pid"] == sluice.pid
    assert not os.path.exists(sluice.socket + ".new")
    found = pins(t, sluice)
    assert bool(found) == (t.mode == "on"), found
    assert set(found.values()) <= sluice.bpf_ids("map"), (found, sluice.bpf_ids("map"))
    assert not [name for name in found if name.endswith("_new")], found


@contextlib.contextmanager
def half_open(t):
    """Clients whose handshake is under way: they are told nothing of a listener that goes, and
    in the end they get an answer. So many that each listener has some."""
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(12):
            wire = stack.enter_context(contextlib.closing(rawtcp.Wire(t.lab, "client", t.family)))
            tcp = rawtcp.half_open(wire, t.server("site"), 443, seconds=10 * t.scale)
            found.append((tcp, wire.receive(10 * t.scale)))
        yield
        for tcp, answer in found:
            assert answer, "no SYN-ACK"
            tcp.take(answer)
            tcp.until(lambda tcp=tcp: tcp.their_base is not None, "its own SYN-ACK")
            tcp.send(0, tls.handmade_hello(b"denied.test"))
            assert tcp.read_to_end() == (tls.ACCESS_DENIED_ALERT, "fin")
            tcp.send(tcp.acked, flags=rawtcp.FIN | rawtcp.ACK)


# --- sluiced -r -----------------------------------------------------------------------------

@test(core=True, **EACH)
def replaced_under_load_nobody_is_lost(t):
    """With as many workers, with more of them than sockets, and with fewer. Nobody is hurried:
    a process that was replaced ends by itself, however slow the machine is."""
    sluice = t.own(changes={"timeouts.drain": "1h"})
    with load(t) as more:
        for workers in "2", "3", "1":
            sluice.rewrite({"sluice.workers": workers})
            before = sluice.replace()
            ended(t, sluice, before)
            in_place(t, sluice)
            more()
            assert sluice.ask("status")["workers"] == int(workers)
    assert len(logged(t)) == t.logged_of_load, (len(logged(t)), t.logged_of_load)
    is_denied(t, tls.handmade_hello(b"denied.test"))
    sluice.check_stderr()


@test(**EACH)
def handshakes_under_way_are_completed(t):
    """Every socket of the process before is with the next one, and with one that has it back."""
    sluice = t.own()
    with half_open(t):
        ended(t, sluice, sluice.replace())
        sluice.rewrite({"sluice.workers": "1"})
        ended(t, sluice, sluice.replace())


@test(**EACH)
def open_connections_finish_in_the_process_before(t):
    """The rights it needed are dropped by then; the next one has them anew."""
    folder = t.lab.path("handed")
    os.makedirs(folder, exist_ok=True)
    shutil.chown(folder, "nobody")  # to take its socket away at the end
    sluice = t.own(changes={"sluice.user": "nobody", "sluice.control": f"{folder}/sock"})
    with crowd.server(t) as server, \
            crowd.clients(t, opening(), "-n", HELD, "-h", "-u", BIG, "-d", BIG) as held:
        t.until(lambda: held.look()["greeted"] == HELD, 20, "all are open")
        before = sluice.replace()
        is_allowed(t, "allowed.test")
        assert before.poll() is None, "it did not wait for its connections"
        assert sluice.stats()["open"] == 0, "they are not those of the next one"
        sluice.rewrite({"rule base.allow": [".allowed.test"]})
        last = sluice.replace()
        ended(t, sluice, last)
        assert before.poll() is None
        held.tell("go")
        crowd.all_well(held.end(), HELD)
        crowd.all_served(t, server, HELD)
    ended(t, sluice, before)
    in_place(t, sluice)
    assert len(logged(t)) == HELD, logged(t)
    is_denied(t, tls.handmade_hello(b"raw.test"))  # the policy of the last one
    sluice.check_stderr()


@test(modes=("off",), **ONCE)
def entries_of_run_time_are_those_of_the_next_one(t):
    """The one before still counts their time, for its connections, but keeps them no more."""
    path = t.lab.path("kept")
    sluice = t.own(changes={"policy.changes": path})
    with crowd.server(t), crowd.clients(t, opening(), "-n", 1, "-h", "-u", 1, "-d", 1) as held:
        t.until(lambda: held.look()["greeted"] == 1, 20, "it is open")
        assert sluice.ctl("allow", "unlisted.test", "for",
                          f"{round(2 * t.scale)}s").returncode == 0
        assert sluice.ctl("allow", "first.allowed.test").returncode == 0
        before = sluice.replace()
        is_allowed(t, "unlisted.test")
        sluice.ctl("revoke", "unlisted.test")
        assert sluice.ctl("allow", "second.allowed.test").returncode == 0
        t.until(lambda: "allow unlisted.test is over" in sluice.stderr(), 20,
                "its time is over for the one before")
        assert [c["name"] for c in sluice.ask("changes")] == ["first.allowed.test",
                                                              "second.allowed.test"]
        with open(path, encoding="ascii") as f:
            kept = f.read()
        assert "second.allowed.test" in kept and "unlisted.test" not in kept, kept
        held.tell("go")
        crowd.all_well(held.end(), 1)
    ended(t, sluice, before)


@test(modes=("off",), **ONCE)
def files_that_change_meanwhile_are_read_again(t):
    """The process before may have reloaded them since, and said that they are in force."""
    sluice = t.own()
    before = sluice.process
    before.send_signal(signal.SIGSTOP)
    sluice.launch("-r", append=True)
    t.until(lambda: os.path.exists(sluice.socket + ".new"), 20, "the files are read")
    sluice.rewrite({"rule late.deny": "late.allowed.test"})
    before.send_signal(signal.SIGCONT)
    ended(t, sluice, before)
    t.until(lambda: "reloaded " in sluice.stderr(), 20, "they are read again")
    is_denied(t, tls.handmade_hello(b"late.allowed.test"))
    in_place(t, sluice)


@test(core=True, **ONCE)
def failed_replacement_leaves_the_running_one(t):
    """Wherever it fails, it exits with 1 and a reason, and nothing has changed."""
    sluice = t.own()
    good, control = sluice.ini, os.stat(sluice.socket).st_ino
    found = pins(t, sluice)

    def fails(why, changes):
        sluice.rewrite(changes)
        said = sluice.fail_to_replace()
        assert why in said, f"no {why!r} in {said!r}"
        sluice.ini = good
        assert os.stat(sluice.socket).st_ino == control and sluice.alive()
        assert pins(t, sluice) == found and not os.path.exists(sluice.socket + ".new")
        is_allowed(t, "allowed.test")
        in_place(t, sluice)

    fails(f"{sluice.ini_path}:", {"rule base.allow": "allowed..test"})
    fails("no such user", {"sluice.user": "nobody-of-that-name"})
    fails("no sluiced to replace answers", {"sluice.control": t.lab.path("other.sock")})
    with t.lab.gateway.socket(socket.AF_INET) as other:
        other.bind(("0.0.0.0", LISTENER + 1))
        other.listen()
        fails(str(LISTENER + 1), {"listener intercept.address": [f"0.0.0.0:{LISTENER}",
                                                                 f"0.0.0.0:{LISTENER + 1}"]})
    with socket.socket(socket.AF_UNIX) as another:  # which is just taking over
        another.bind(sluice.socket + ".new")
        another.listen()
        sluice.write()
        if found:  # what it has pinned by then is its own
            os.link(f"{t.lab.pin}/flows", f"{t.lab.pin}/flows_new")
        assert "another sluiced answers there" in sluice.fail_to_replace()
        assert pins(t, sluice) == found | ({"flows_new": found["flows"]} if found else {})
    assert os.path.exists(sluice.socket + ".new"), "what one that is killed leaves"
    assert run([sluice.program("sluiced"), "-r", "-t"], check=False).returncode == 2
    ended(t, sluice, sluice.replace())
    in_place(t, sluice)


@test(modes=(None,), **ONCE)
def only_root_and_its_user_may_take_over(t):
    sluice = t.own("off")
    os.chmod(sluice.socket, 0o666)  # the file's mode is not what keeps others out
    for line, who, answer in (("handover 1", "65534", "error\nhandover: only for root"),
                              ("handed-over 1", "65534", "error\nhandover: only for root"),
                              ("handover 2", "0", "error\nhandover: this sluiced speaks version 1"),
                              ("handed-over 0", "0", "error\nhandover: this sluiced speaks"),
                              ("handover", "0", "error\nusage: handover VERSION"),
                              ("handover 1", "0", "+FDFDFDFDok\nhandover 1 4")):
        said = run(["setpriv", "--reuid", who, "--clear-groups", sys.executable, "-c", ASK,
                    sluice.socket, line]).stdout
        assert said.startswith(answer), f"{line} by {who}: {said!r}"
    assert "stopping" not in sluice.stderr() and "taken over" not in sluice.stderr()
    is_allowed(t, "allowed.test")


# --- a service manager ----------------------------------------------------------------------

def restarted_under_load(t, manager):
    """systemctl restart, three times: with as many workers as sockets, with more, with fewer."""
    sluice = t.own(start=False)
    manager.start(sluice, append=False)
    with load(t) as more:
        for workers in "2", "3", "1":
            sluice.rewrite({"sluice.workers": workers})
            sluice.signal(signal.SIGTERM)
            ended(t, sluice, sluice.process)
            manager.hear()
            manager.start(sluice)
            more()
    assert len(logged(t)) == t.logged_of_load, (len(logged(t)), t.logged_of_load)
    is_denied(t, tls.handmade_hello(b"denied.test"))


@test(**EACH)
def restart_with_the_sockets_of_a_unit(t):
    with Manager(t) as manager:
        manager.listen()
        restarted_under_load(t, manager)
        manager.hear()
        assert not manager.store, "what a socket unit has is not stored as well"
        t.finish()


@test(core=True, **EACH)
def restart_with_stored_sockets(t):
    with Manager(t) as manager:
        restarted_under_load(t, manager)
        manager.hear()
        assert len(manager.store) == 4, "two addresses, two workers"
        t.finish()


@test(**EACH)
def stored_sockets_complete_handshakes(t):
    with Manager(t) as manager:
        sluice = t.own(start=False)
        manager.start(sluice, append=False)
        manager.hear()
        with half_open(t):
            sluice.signal(signal.SIGTERM)
            ended(t, sluice, sluice.process)
            manager.start(sluice)
        t.finish()


@test(**ONCE)
def stored_sockets_that_nobody_wants_are_forgotten(t):
    """A [listener] that is gone: its socket is closed, with a warning, here and in the store."""
    both = {"listener intercept.address": [f"0.0.0.0:{LISTENER}", f"0.0.0.0:{LISTENER + 1}"]}
    with Manager(t) as manager:
        sluice = t.own(changes=both, start=False)
        manager.start(sluice, append=False)
        t.until(lambda: manager.hear() and len(manager.store) == 4, 10, "four are stored")
        sluice.signal(signal.SIGTERM)
        ended(t, sluice, sluice.process)
        sluice.rewrite({"listener intercept.address": f"0.0.0.0:{LISTENER}"})
        manager.start(sluice)
        t.until(lambda: manager.hear() and len(manager.store) == 2, 10, "two are left")
        assert sluice.stderr().count(f"0.0.0.0:{LISTENER + 1}, which no [listener] names") == 2
        is_allowed(t, "allowed.test")
        t.finish()


@test(modes=(None,), **ONCE)
def passed_garbage_is_refused(t):
    """It does not start with sockets it cannot serve, and says which and why."""
    plain, datagram = (t.lab.gateway.socket(socket.AF_INET, kind)
                       for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM))
    dual = t.lab.gateway.socket(socket.AF_INET6)
    with Manager(t) as manager, plain, datagram, dual, open(os.devnull, "rb") as null:
        for sock in plain, datagram:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("0.0.0.0", LISTENER))
        dual.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        dual.bind(("::", LISTENER + 1))
        dual.listen()
        sluice = t.own("off", start=False)
        for fd, why in ((plain.fileno(), f"odd.socket, at 0.0.0.0:{LISTENER}) does not listen"),
                        (datagram.fileno(), "is no stream socket"),
                        (dual.fileno(), "takes IPv4 as well"), (null.fileno(), "is no socket"),
                        ("closed", "LISTEN_FDS: Bad file descriptor")):
            manager.launch(sluice, [(fd, "odd.socket")], append=False)
            assert sluice.wait(20) == 1
            assert why in sluice.stderr(), f"no {why!r} in {sluice.stderr()!r}"
        assert not manager.heard("READY")


@test(modes=("off",), **ONCE)
def service_manager_hears_what_happens(t):
    with Manager(t) as manager:
        sluice = t.own(start=False)
        manager.start(sluice, append=False)
        status = manager.heard("READY")[0]["STATUS"]
        assert status.startswith("serving, fastpath off, ") and status.endswith(" names"), status
        assert "service manager" in sluice.fail_to_replace(), "it was told who runs it"
        for names, rules in ("more.test", 1), ("...", 0):
            mark = len(manager.hear())
            sluice.rewrite({"rule more.allow": names})
            sluice.ctl("reload")
            t.until(lambda: manager.heard("READY", mark), 10, "it is ready again")
            first, second = manager.said[mark:]
            assert first["RELOADING"] == "1" and int(first["MONOTONIC_USEC"]) > 0, first
            assert (second["STATUS"] != status) == bool(rules), second
            status = second["STATUS"]
        mark = len(manager.hear())
        sluice.signal(signal.SIGTERM)
        ended(t, sluice, sluice.process)
        assert [m.get("STOPPING") for m in manager.hear()[mark:]] == ["1"], manager.said[mark:]
        assert not manager.heard("WATCHDOG"), "nobody has asked for that"


@contextlib.contextmanager
def held_threads(pid):
    """Every thread but the first stands still, as one that hangs."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    held = []
    try:
        tasks = sorted(map(int, os.listdir(f"/proc/{pid}/task")))
        for task in (task for task in tasks if task != pid):
            assert libc.ptrace(PTRACE_SEIZE, task, None, None) == 0, os.strerror(ctypes.get_errno())
            held.append(task)
            assert libc.ptrace(PTRACE_INTERRUPT, task, None, None) == 0
            os.waitpid(task, WALL)
        yield
    finally:
        for task in held:
            libc.ptrace(PTRACE_DETACH, task, None, None)


@test(modes=("off",), **ONCE)
def watchdog_is_not_told_of_a_worker_that_hangs(t):
    with Manager(t, int(600000 * t.scale)) as manager:
        sluice = t.own(start=False)
        manager.start(sluice, append=False)
        t.until(lambda: len(manager.heard("WATCHDOG")) > 2, 20, "it says that it lives")
        with held_threads(sluice.pid):
            t.until(lambda: "does not answer" in sluice.stderr(), 20, "it says who hangs")
            mark = len(manager.hear())
            silent = time.monotonic() + manager.watchdog_usec / 1e6  # two looks at the workers
            t.until(lambda: time.monotonic() > silent, 20, "the time the manager would wait")
            assert not manager.heard("WATCHDOG", mark)
            assert sluice.stderr().count("does not answer") == 1, sluice.stderr()
        t.until(lambda: len(manager.heard("WATCHDOG", mark)) > 1, 20, "it goes on when they do")
        assert "every worker answers again" in sluice.stderr()
        t.finish()


# --- a stop that nobody follows -------------------------------------------------------------

@test(**EACH)
def who_waits_in_the_queue_at_the_end_is_served(t):
    """More than a worker accepts in one go."""
    count = 300
    sluice = t.own(changes={"sluice.workers": "1"})
    with crowd.server(t):
        with held_threads(sluice.pid):
            waiting = crowd.clients(t, opening(), "-n", count, "-c", count, "-u", 100, "-d", 100)
            t.until(lambda: waiting.look()["out"] >= count * len(opening()), 20, "all have come")
            sluice.signal(signal.SIGTERM)
            t.until(lambda: "stopping" in sluice.stderr(), 20, "it has been told")
        with waiting:
            crowd.all_well(waiting.end(), count)
    ended(t, sluice, sluice.process)
    assert len(logged(t)) == count, len(logged(t))


# --- the limit of open files ----------------------------------------------------------------

@test(modes=("off",), **ONCE)
def too_few_open_files_are_told(t):
    sluice = t.own(wrap=["prlimit", "--nofile=1000:1000"])
    status = sluice.ask("status")
    assert status["files"] == 1000 and status["files_connections"] == 2 * 4096, status
    assert status["files_wanted"] == 2 * 4096 + status["files_daemon"], status
    assert status["files_pipes"] == 0 and len(sluice.descriptors()) < status["files_daemon"], status
    assert "limit of 1000 open files is too low for max_connections = 4096" in sluice.stderr()
    assert "open files: at most 1000, " in sluice.ctl("status").stdout
    assert ": too few" in sluice.ctl("status").stdout
    t.finish()
    sluice = t.own(changes={"sluice.max_connections": "100"},
                   wrap=["prlimit", "--nofile=900:2000"])
    status = sluice.ask("status")
    assert status["files"] == 2000, status  # raised by itself
    assert status["files_pipes"] == 2000 - status["files_wanted"] > 0, status
    assert "too low" not in sluice.stderr() and "too few" not in sluice.ctl("status").stdout
