# SPDX-License-Identifier: GPL-2.0-or-later
"""What is said at run time, and rules that are tried before they bite."""

import json
import os
import time

import tls
from case import get, is_allowed, is_denied, is_forbidden, test


def said(sluice, *words):
    done = sluice.ctl(*words)
    assert done.returncode == 0, (words, done)
    return done.stdout


@test(core=True, daemon=False)
def allow_deny_and_revoke(t):
    """They go before all of the file, at once, and are in the log with their own word for a
    rule."""
    sluice = t.own()
    said(sluice, "allow", "unlisted.test")
    said(sluice, "deny", ".allowed.test")
    said(sluice, "allow", "api.allowed.test")
    is_allowed(t, "unlisted.test")
    t.logged(name="unlisted.test", verdict="allow", rule="runtime")
    is_denied(t, tls.handmade_hello(b"www.allowed.test"))
    t.logged(name="www.allowed.test", verdict="deny", reason="policy", rule="runtime")
    hello = tls.handmade_hello(b"www.allowed.test")
    is_denied(t, [hello[:60], hello[60:]])  # user space judges, unless both came before it looked
    t.logged(name="www.allowed.test", verdict="deny", rule="runtime")
    is_forbidden(t, get("allowed.test"), port=80)
    t.logged(name="allowed.test", verdict="deny", rule="runtime")
    is_allowed(t, "api.allowed.test")
    t.forget_log()
    said(sluice, "revoke", ".allowed.test")
    is_allowed(t, "www.allowed.test")
    assert sluice.ctl("reload").returncode == 0
    is_allowed(t, "unlisted.test")  # a reload changes the file alone
    said(sluice, "revoke", "unlisted.test")
    is_denied(t, tls.handmade_hello(b"unlisted.test"))
    assert [c["name"] for c in sluice.ask("changes")] == ["api.allowed.test"]
    text = sluice.stderr()
    for line in ("allow unlisted.test", "deny .allowed.test", "revoked: deny .allowed.test",
                 "revoked: allow unlisted.test"):
        assert f"runtime: {line}" in text, (line, text)
    assert "said by uid 0" in text


@test(daemon=False, families=(4,))
def an_entry_ends_by_itself(t):
    sluice = t.own()
    said(sluice, "deny", "allowed.test", "for", "1s")
    assert "allowed.test" in said(sluice, "changes")
    t.until(lambda: "runtime: deny allowed.test is over" in sluice.stderr(), 10, "it is over")
    is_allowed(t, "allowed.test")
    assert sluice.ctl("changes").stdout == ""


@test(daemon=False, families=(4,), modes=("on",))
def explain_knows_them(t):
    sluice = t.own()
    said(sluice, "deny", "*.allowed.test", "for", "1h")
    answer = sluice.ask("explain", "10.77.1.2", "x.allowed.test")
    assert answer["verdict"] == "deny" and answer["rule"] == "runtime", answer
    assert "*.allowed.test" in answer["where"] and answer["entry"] == "*.allowed.test", answer


@test(daemon=False, families=(4,), modes=("off",))
def bad_words_change_nothing(t):
    sluice = t.own()
    for words in (("allow", "bad..name"), ("allow", "1.2.3.4"), ("deny", "a.*.test"),
                  ("deny", "x.test", "for", "0s"), ("deny", "x.test", "for", "ever"),
                  ("deny", "x.test", "until", "10m"), ("revoke", "x.test")):
        done = sluice.ctl(*words)
        assert done.returncode == 1 and done.stderr.strip(), (words, done)
    assert sluice.ctl("changes").stdout == ""
    # the last word for a name is the one that counts
    said(sluice, "deny", "other.test")
    said(sluice, "allow", "OTHER.test.")
    is_allowed(t, "other.test")
    assert len(sluice.ask("changes")) == 1


@test(daemon=False, families=(4,))
def kept_over_a_restart(t):
    """With a file they are there again, for as long as was said; without one they are not."""
    path = t.lab.path("changes")
    sluice = t.own(changes={"policy.changes": path})
    said(sluice, "deny", "allowed.test")
    said(sluice, "allow", "unlisted.test", "for", "1h")
    sluice.kill()  # not even a crash loses one
    sluice.start()
    is_denied(t, tls.handmade_hello(b"allowed.test"))
    is_allowed(t, "unlisted.test")
    sluice.stop()
    with open(path, encoding="ascii") as f:
        text = f.read()
    past = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
    with open(path, "a", encoding="ascii") as f:
        f.write(f"allow denied.test made {past} until {past} uid 0\n")
    sluice.start()
    is_denied(t, tls.handmade_hello(b"denied.test"))
    assert "allow denied.test is over" in sluice.stderr()
    sluice.stop()
    with open(path, "w", encoding="ascii") as f:
        f.write(text + "allow what?\n")
    assert sluice.run_to_end() == 1
    assert f"{path}:3:" in sluice.stderr(), sluice.stderr()
    os.unlink(path)
    sluice.start()
    is_allowed(t, "allowed.test")


@test(daemon=False, families=(4,), modes=("off",))
def one_that_cannot_be_kept_is_refused(t):
    folder = t.lab.path("gone")
    os.mkdir(folder)
    sluice = t.own(changes={"policy.changes": f"{folder}/changes"})
    os.rmdir(folder)
    done = sluice.ctl("deny", "allowed.test")
    assert done.returncode == 1 and "cannot be written" in done.stderr, done
    is_allowed(t, "allowed.test")
    assert sluice.ctl("changes").stdout == ""


# --- tried before it bites ------------------------------------------------------------------

@test(core=True, daemon=False)
def a_rule_on_trial_lets_through_and_tells(t):
    """enforce = no of a rule: what it denies passes, with what would have been; the rest bites."""
    sluice = t.own(changes={"rule new.deny": [".tree.test"], "rule new.enforce": "no",
                            "rule base.deny": [".sentinel.test", "denied.tree.test"]})
    is_allowed(t, "tree.test")
    t.logged(name="tree.test", verdict="deny", reason="policy", rule="new", enforced=False)
    is_denied(t, tls.handmade_hello(b"denied.tree.test"))
    t.logged(name="denied.tree.test", verdict="deny", reason="policy", rule="base", enforced=True)
    is_allowed(t, "allowed.test")
    t.logged(name="allowed.test", verdict="allow", enforced=True)
    is_denied(t, tls.handmade_hello(b"unlisted.test"))
    t.logged(name="unlisted.test", rule="default", enforced=True)
    hello = t.tls_client("tree.test")
    flight = hello.first_flight()
    with t.connect() as sock:
        tls.send_pieces(sock, [flight[:50], flight[50:]], t.until)
        hello.finish(sock)
        assert "200" in hello.request(sock, "tree.test")
    t.logged(name="tree.test", verdict="deny", rule="new", enforced=False)
    assert "200" in t.send(get("tree.test", "/", "Connection: close"), port=80)[0].decode("latin-1")
    t.logged(name="tree.test", proto="http", verdict="deny", rule="new", enforced=False)
    assert sluice.stats()["reported"] == 3


@test(daemon=False)
def a_network_on_trial_lets_through_and_tells(t):
    """The same for connections that have no name, of whatever protocol."""
    t.own(changes={"tls.no_sni": "allow", "http.no_host": "allow",
                   "rule nets.allow": "10.77.0.0/16, fd77::/16", "rule new.enforce": "no",
                   "rule new.deny": "10.77.2.0/24, fd77:2::/64",
                   "rule bites.deny": "10.77.2.3, fd77:2::3"})
    told = {"name": "", "verdict": "deny", "reason": "policy", "rule": "new", "enforced": False,
            "connected": True}
    hello = tls.handmade_hello(None)
    answer, _ = t.send(hello + tls.record(b"\2\50", 21, 0x303))
    assert answer != tls.ACCESS_DENIED_ALERT
    t.logged(proto="tls", **told)
    answer, _ = t.send(get(None, "/", version="1.0"), port=80)
    assert b"server=site" in answer, answer
    t.logged(proto="http", **told)
    t.send(b"SSH-2.0-x\r\n", port=80)
    t.logged(proto="none", **told)
    is_denied(t, hello, role="evil")
    t.logged(verdict="deny", reason="no_sni", rule="bites", enforced=True)


@test(daemon=False, families=(4,), modes=("on",))
def trial_is_in_the_answers(t):
    sluice = t.own(changes={"rule new.deny": [".tree.test"], "rule new.enforce": "no"})
    answer = json.loads(sluice.ctl("-j", "explain", "10.77.1.2", "tree.test").stdout)
    assert answer["rule"] == "new" and answer["enforced"] is False, answer
