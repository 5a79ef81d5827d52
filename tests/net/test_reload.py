# SPDX-License-Identifier: GPL-2.0-or-later
"""Another policy while connections come: in one step, whole, and without loss."""

import os
import random
import signal
import threading
import time

import tls
from case import is_allowed, is_denied, test

RELOADS = 100
EACH = 5  # connections end, at least, for each reload
THREADS = 3
# name -> (verdict, rule) by policy A and by policy B; rules of the same names stand in another
# order, so that a number of one policy means another rule in the other
POLICIES = {
    "even.raw.test": {"A": ("allow", "a-allow"), "B": ("deny", "b-deny")},
    "odd.raw.test": {"A": ("deny", "a-deny"), "B": ("allow", "b-allow")},
    "both.raw.test": {"A": ("allow", "both"), "B": ("allow", "both")},
}
RULES = {
    "A": {"rule both.allow": ".both.raw.test", "rule a-allow.allow": ".even.raw.test",
          "rule a-deny.deny": ".odd.raw.test", "rule b-allow.allow": None,
          "rule b-deny.deny": None},
    "B": {"rule a-allow.allow": None, "rule a-deny.deny": None, "rule both.allow": ".both.raw.test",
          "rule b-deny.deny": ".even.raw.test", "rule b-allow.allow": ".odd.raw.test"},
}
ANSWER = b"served" * 10
PING = tls.application(b"x" * 100)


def policy(sluice, which):
    sluice.rewrite(RULES[which])
    sluice.ini = {section: keys for section, keys in sluice.ini.items() if keys}
    # the order of rules is what their numbers come from
    rules = {s: k for s, k in sluice.ini.items() if s.startswith("rule ")}
    rest = {s: k for s, k in sluice.ini.items() if s not in rules}
    order = sorted(rules, reverse=which == "B")
    sluice.ini = {**rest, **{s: rules[s] for s in order}}
    sluice.write()


class Load:
    """Connections without a pause, whole hellos and such in two pieces, until stop()."""

    def __init__(self, t):
        self.t = t
        self.epoch = 0  # counts the reloads that have returned
        self.asked = 0  # and those that were begun
        self.done, self.errors, self.ended = [], [], threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(n,), daemon=True)
                        for n in range(THREADS)]
        for thread in self.threads:
            thread.start()

    def _run(self, number):
        dice = random.Random(number)
        while not self.ended.is_set():
            try:
                self._one(dice)
            except Exception as error:  # told by stop()
                self.errors.append(error)
                return

    def _one(self, dice):
        kind = dice.choice(list(POLICIES))
        name = self.t.fresh(kind)
        hello = tls.handmade_hello(name.encode())
        cut = dice.choice((None, None, dice.randrange(1, len(hello))))
        pieces = [hello] if cut is None else [hello[:cut], hello[cut:]]
        first = self.epoch
        answer = self.t.send(pieces, role="raw")
        self.done.append((kind, name, first, self.asked, answer))

    def stop(self):
        self.ended.set()
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()
        assert not self.errors, self.errors[:3]
        return self.done


def of_epoch(epoch):
    return "AB"[epoch % 2]


def check_answers(done):
    """Each was answered by a policy that was in force while it lasted."""
    for kind, name, first, last, answer in done:
        by = {of_epoch(e) for e in range(first, last + 1)}
        verdicts = {POLICIES[kind][p][0] for p in by}
        if answer == (ANSWER, "fin"):
            assert "allow" in verdicts, f"{name} was allowed by neither of {by}"
        else:
            assert answer == (tls.ACCESS_DENIED_ALERT, "fin"), f"{name}: {answer}"
            assert "deny" in verdicts, f"{name} was denied by neither of {by}"
    return len(done)


def check_log(t, done):
    """The rule in the log is one of the policy that gave the verdict."""
    lines = {}
    for line in t.lines():
        assert line["name"] not in lines, f"two lines: {line}"
        lines[line["name"]] = line
    for kind, name, _, _, answer in done:
        line = lines.pop(name)
        got = (line["verdict"], line["rule"])
        assert got in POLICIES[kind].values(), f"half a policy: {line}"
        assert (answer[0] == ANSWER) == (got[0] == "allow"), line
    return lines


@test(daemon=False, seconds=120)
def a_hundred_reloads_under_load(t):
    """Every verdict is A's or B's in full, in time, and no connection is lost or refused; a stream
    that was open before goes on all the while."""
    sluice = t.own()
    policy(sluice, "A")
    assert sluice.ctl("reload").returncode == 0

    with t.raw_server(echo):
        [stream] = open_streams(t, ["stream.even.raw.test"]).values()
        load = Load(EndingClient(t))
        begin = time.monotonic()
        for number in range(1, RELOADS + 1):
            policy(sluice, of_epoch(number))
            load.asked = number
            done = sluice.ctl("reload")
            assert done.returncode == 0, done
            load.epoch = number
            assert goes_on(stream), number
            t.until(lambda: len(load.done) >= number * EACH or load.errors, 20, "the load goes on")
        done = load.stop()
        seconds = time.monotonic() - begin
        stream.close()
    print(f"# {RELOADS} reloads in {seconds:.1f} s, {len(done)} connections, "
          f"{len(done) / seconds:.0f} a second, "
          f"{sum(first != last for _, _, first, last, _ in done)} of them across a reload")
    assert check_answers(done) >= RELOADS * EACH, len(done)
    assert {k for k, *_ in done} == set(POLICIES)
    sluice.quiet()
    left = check_log(t, done)
    assert list(left) == ["stream.even.raw.test"], left
    t.fields(left["stream.even.raw.test"], verdict="allow", rule="a-allow", reason="ok")
    stats = sluice.stats()
    assert stats["accepted"] == stats["ended"]


class EndingClient:
    """Sends, reads the answer, and ends: as Case.send(), but a served client closes first."""

    def __init__(self, t):
        self.t = t
        self.fresh = t.fresh

    def send(self, pieces, role):
        with self.t.connect(role) as sock:
            tls.send_pieces(sock, pieces, self.t.until)
            answer = b""
            while len(answer) < len(ANSWER):
                data = sock.recv(1000)
                if not data:
                    return answer, "fin"
                answer += data
            return answer, "fin"


# --- what does not go well ------------------------------------------------------------------

@test(daemon=False, families=(4,))
def bad_reload_under_load_loses_nothing(t):
    """The old policy stays in full, and who asked is told where the mistake is."""
    sluice = t.own()
    good = "allowed.test"
    with open(sluice.ini_path, encoding="utf-8") as f:
        text = f.read()
    sluice.write(text + "\n[rule broken]\nallow = bad..name\n")
    done = sluice.ctl("reload")
    line = text.count("\n") + 3
    assert done.returncode == 1 and f"{sluice.ini_path}:{line}:" in done.stderr, done
    is_allowed(t, good)
    assert f"{sluice.ini_path}:{line}:" in sluice.stderr()
    sluice.write(text)
    assert sluice.ctl("reload").returncode == 0


@test(daemon=False, families=(4,))
def reloads_that_come_together_share_one(t):
    """Each that asks gets the answer of a load that began after it had asked."""
    sluice = t.own()
    lists = t.lab.path("big.list")
    with open(lists, "w", encoding="ascii") as f:
        f.writelines(f"n{i}.big.test\n" for i in range(200000))
    sluice.rewrite({"rule big.allow": f"file:{lists}"})
    answers = []

    def ask():
        answers.append(sluice.ctl("reload"))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    sluice.signal(signal.SIGHUP)
    assert sluice.ctl("status").returncode == 0, "a load holds up the control socket"
    for thread in threads:
        thread.join()
    assert [a.returncode for a in answers] == [0] * 6, answers
    assert all("200" in a.stdout for a in answers), answers
    assert 2 <= sluice.stderr().count("reloaded ") <= 7
    is_allowed(t, "allowed.test")
    is_denied(t, tls.handmade_hello(b"denied.test"))


@test(daemon=False, modes=("on",), families=(4,))
def no_memory_for_the_new_generation(t):
    """The kernel has no room for its maps: the old policy stays, in both halves."""
    sluice = t.own()
    sluice.rewrite({"rule late.allow": "unlisted.test"})
    trace = t.lab.path("trace")
    tracer = sluice.traced(trace, "-e", "trace=bpf", "-e", "inject=bpf:error=ENOMEM:when=1+")
    done = sluice.ctl("reload")
    t.lab.processes.stop(tracer)
    assert done.returncode == 1 and "Cannot allocate memory" in done.stderr, done
    is_allowed(t, "allowed.test")
    is_denied(t, tls.handmade_hello(b"unlisted.test"))
    assert sluice.ctl("reload").returncode == 0
    is_allowed(t, "unlisted.test")


def planted(t, what):
    """A daemon whose tables are changed on their way into the kernel."""
    library = os.path.join(t.build, "tests", "net", "plant.so")
    return t.own("on", start=False, wrap=["env", f"LD_PRELOAD={library}", f"PLANT={what}",
                                          "ASAN_OPTIONS=verify_asan_link_order=0:exitcode=99"])


@test(modes=(None,), families=(None,), daemon=False)
def planted_difference_is_found_at_start(t):
    """What is in the kernel is not what was read: no start, not even with fastpath = auto."""
    for what in ("sluice_names key", "sluice_names word", "sluice_rules key", "sluice_rules word",
                 "sluice_filter key"):
        sluice = planted(t, what)
        sluice.rewrite({"sluice.fastpath": "auto"})
        assert sluice.run_to_end() == 1, what
        said = sluice.stderr()
        assert "plant: a slot is changed" in said, said
        assert "what is there is not what was read" in said, said


@test(modes=(None,), families=(4,), daemon=False)
def planted_difference_is_found_at_reload(t):
    """The same later: the old policy stays. (Nothing is said at run time at first, so there is no
    such table, and its first one is the one that is changed.)"""
    sluice = planted(t, "sluice_changes word")
    sluice.start()
    done = sluice.ctl("deny", "allowed.test")
    assert done.returncode == 1 and "what is there is not what was read" in done.stderr, done
    is_allowed(t, "allowed.test")
    is_denied(t, tls.handmade_hello(b"unlisted.test"))
    assert sluice.ctl("changes").stdout == ""
    sluice.check_stderr()


# --- open connections -----------------------------------------------------------------------

def open_streams(t, names):
    streams = {}
    for name in names:
        sock = t.connect("raw")
        sock.sendall(tls.handmade_hello(name.encode()))
        assert tls.read_exactly(sock, len(ANSWER)) == ANSWER
        streams[name] = sock
    return streams


def echo(sock):
    tls.read_record(sock)
    sock.sendall(ANSWER)
    try:
        while data := sock.recv(len(PING)):
            sock.sendall(data)
    except ConnectionResetError:
        pass


def goes_on(sock):
    sock.sendall(PING)
    return tls.read_exactly(sock, len(PING)) == PING


@test(daemon=False)
def open_connections_stay_open(t):
    sluice = t.own()
    with t.raw_server(echo):
        streams = open_streams(t, ["a.raw.test", "b.raw.test"])
        sluice.rewrite({"rule late.deny": "a.raw.test"})
        assert sluice.ctl("reload").returncode == 0
        assert all(goes_on(sock) for sock in streams.values())
        is_denied(t, tls.handmade_hello(b"a.raw.test"), role="raw")
        for sock in streams.values():
            sock.close()
    sluice.quiet()


@test(daemon=False)
def reload_closes_denied(t):
    """Those that the new policy denies are reset, and the log says by which rule; others go on."""
    sluice = t.own(changes={"policy.reload_closes_denied": "yes"})
    with t.raw_server(echo):
        streams = open_streams(t, ["a.raw.test", "b.raw.test", "c.raw.test"])
        t.forget_log()
        sluice.rewrite({"rule late.deny": "a.raw.test", "rule trial.deny": "c.raw.test",
                        "rule trial.enforce": "no"})
        assert sluice.ctl("reload").returncode == 0
        assert tls.read_to_end(streams["a.raw.test"]) == (b"", "rst")
        assert goes_on(streams["b.raw.test"]) and goes_on(streams["c.raw.test"])
        [line] = t.lines()
        t.fields(line, name="a.raw.test", verdict="deny", reason="policy", rule="late",
                 enforced=True)
        assert sluice.ctl("deny", "b.raw.test").returncode == 0
        assert tls.read_to_end(streams["b.raw.test"]) == (b"", "rst")
        [line] = t.lines()
        t.fields(line, name="b.raw.test", verdict="deny", reason="policy", rule="runtime")
        for sock in streams.values():
            sock.close()
    sluice.quiet()


@test(daemon=False)
def reload_closes_those_without_a_name(t):
    """What let them begin, no_sni = allow, is not there any more; nor is a rule for the address."""
    nets = {"rule nets.allow": "10.77.2.4, fd77:2::4"}
    sluice = t.own(changes={"policy.reload_closes_denied": "yes", "tls.no_sni": "allow", **nets})
    for change, reason in (({"tls.no_sni": "deny"}, "no_sni"),
                           ({"rule nets.allow": "10.9.9.9"}, "policy")):
        sluice.rewrite({"tls.no_sni": "allow", **nets})
        assert sluice.ctl("reload").returncode == 0
        with t.raw_server(echo), t.connect("raw") as sock:
            sock.sendall(tls.handmade_hello(None))
            assert tls.read_exactly(sock, len(ANSWER)) == ANSWER
            t.forget_log()
            assert sluice.ctl("reload").returncode == 0
            assert goes_on(sock)
            sluice.rewrite(change)
            assert sluice.ctl("reload").returncode == 0
            assert tls.read_to_end(sock) == (b"", "rst")
        [line] = t.lines()
        t.fields(line, name="", verdict="deny", reason=reason, rule="default", enforced=True)
    sluice.quiet()
