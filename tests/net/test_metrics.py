# SPDX-License-Identifier: GPL-2.0-or-later
"""The counters: `sluicectl stats`, and the same for Prometheus at [metrics]."""

import json
import os
import re
import signal
import socket

import prometheus
import tls
from case import get, is_allowed, is_denied, is_forbidden, test
from netns import until

PORT = 9465
TREE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
METRICS = {"metrics.address": [f"127.0.0.1:{PORT}", f"[::1]:{PORT}", "10.77.2.1:8050",
                               "[fd77:2::1]:8050"]}


def counters():
    """The table of slowpath/report/stats.h: key of stats to metric, None for none, and labels."""
    with open(os.path.join(TREE, "slowpath", "report", "stats.h"), encoding="utf-8") as f:
        text = re.sub(r"\s*\\\n\s*", " ", f.read())
    names = dict(re.findall(r'#define (METRIC_\w+) "(\w+)"', text))
    shared = {word: names[name] for word, name in
              re.findall(r"#define (\w+) (?:COUNTER|GAUGE)\((METRIC_\w+),", text)}
    rows = re.findall(r'X\((\w+), (?:(\w+)|(?:COUNTER|GAUGE)\( ?"(\w+)",[^)]*\)), '
                      r'"((?:[^"\\]|\\.)*)"\)', text)
    assert len(rows) == len(re.findall(r" X\(\w+,", text)) > 20, rows
    table = {}
    for key, word, name, labels in rows:
        table[key] = (name or shared.get(word), tuple(re.findall(r'(\w+)=\\"(\w+)\\"', labels)))
    return table


def talk(t, data, port=PORT):
    """What the listener says to these bytes, until it hangs up."""
    v6 = t.family == 6
    with t.lab.gateway.socket(socket.AF_INET6 if v6 else socket.AF_INET) as sock:
        sock.settimeout(20 * t.scale)
        sock.connect(("::1" if v6 else "127.0.0.1", port))
        sock.sendall(data)
        return tls.read_to_end(sock)[0]


def scrape(t):
    answer = talk(t, get("gateway", "/metrics"))
    head, body = answer.decode("ascii").split("\r\n\r\n", 1)
    assert head.startswith("HTTP/1.1 200 "), head
    assert "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n" in head + "\r\n", head
    return prometheus.Metrics(body)


def order(t, line):
    """As sluicectl says it."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20 * t.scale)
        sock.connect(t.sluice.socket)
        sock.sendall(line + b"\n")
        answer = tls.read_to_end(sock)[0]
    assert answer.startswith(b"ok\n"), answer


def samples_of(stats):
    """The samples that `sluicectl -j stats` announces."""
    want = {}
    for key, (name, labels) in counters().items():
        if name:
            want[name, tuple(sorted(labels))] = stats[key]
    for label, name, values in (("reason", "sluice_connections_ended_total", stats["reasons"]),
                                ("rule", "sluice_rule_hits_total", stats["rules"]),
                                ("le", "sluice_verdict_to_connect_seconds_bucket",
                                 stats["connect"]["le"])):
        want.update({(name, ((label, word),)): n for word, n in values.items()})
    want["sluice_verdict_to_connect_seconds_count", ()] = stats["connect"]["count"]
    want["sluice_verdict_to_connect_seconds_sum", ()] = stats["connect"]["sum_us"] / 1e6
    want["sluice_rules_never_hit", ()] = len(stats["rules_never_hit"])
    return want


def differences(t):
    want, got = samples_of(t.sluice.stats()), scrape(t).samples
    return {key: (value, got.get(key)) for key, value in want.items()
            if key not in got or abs(got[key] - value) > 1e-9}


def text_of_stats(t):
    return dict(line.split("=", 1) for line in t.sluice.ctl("stats").stdout.splitlines())


@test(ini=METRICS)
def scrape_equals_the_stats(t):
    is_allowed(t, "allowed.test")
    is_denied(t, tls.handmade_hello(b"unlisted.test"))
    t.send(get("www.allowed.test") + get("www.allowed.test", "/", "Connection: close"), port=80)
    is_denied(t, tls.handmade_hello(None))
    t.sluice.quiet()
    last = {}

    def equal():
        last.clear()
        last.update(differences(t))
        return not last

    try:
        until(equal, 20 * t.scale, "both say the same")
    except AssertionError as e:
        raise AssertionError(f"{e}: {last}") from e
    stats, text = t.sluice.stats(), text_of_stats(t)
    assert set(counters()) | {"reasons", "connect", "rules", "rules_never_hit"} == set(stats)
    for key, value in stats.items():
        if not isinstance(value, (dict, list)):
            assert text[key] == str(value), key
    assert text["rules_never_hit"] == str(len(stats["rules_never_hit"]))
    assert {k[5:]: int(v) for k, v in text.items() if k.startswith("rule.")} == stats["rules"]
    assert text["connect.le.+Inf"] == str(stats["connect"]["count"])
    assert text["connect.sum_us"] == str(stats["connect"]["sum_us"])


@test(ini=METRICS)
def rules_are_counted_when_they_decide(t):
    """One hit a connection, of the rule that the log names; none for what is no question of
    rules."""
    def hits():
        t.sluice.quiet()
        return t.sluice.stats()["rules"]

    before = hits()
    assert list(before) == ["default", "base", "tie-allow", "tie-deny", "agents", "narrow",
                            "ports", "runtime"], before
    pieces = tls.handmade_hello(b"denied.tree.test")
    for send, rule in ((lambda: is_allowed(t, "allowed.test"), "base"),
                       (lambda: is_denied(t, pieces), "base"),
                       (lambda: is_denied(t, [pieces[:30], pieces[30:]]), "base"),
                       (lambda: is_denied(t, tls.handmade_hello(b"unlisted.test")), "default"),
                       (lambda: is_denied(t, tls.handmade_hello(b"tie.test")), "tie-deny"),
                       (lambda: is_forbidden(t, get("unlisted.test"), port=80), "default"),
                       (lambda: is_forbidden(t, get("192.0.2.1"), port=80), "default"),
                       (lambda: is_denied(t, tls.handmade_hello(None)), None),
                       (lambda: is_denied(t, tls.handmade_hello(b"bad..name")), None)):
        send()
        now = hits()
        want = {**before, **({rule: before[rule] + 1} if rule else {})}
        assert now == want, f"{rule}: {before} became {now}"
        before = now
    never = t.sluice.stats()["rules_never_hit"]
    assert never == [r for r, n in before.items() if n == 0 and r not in ("default", "runtime")]
    assert "tie-allow" in never and "tie-deny" not in never
    order(t, b"deny allowed.test")
    is_denied(t, tls.handmade_hello(b"allowed.test"))
    assert hits() == {**before, "runtime": before["runtime"] + 1}
    until(lambda: scrape(t).value("sluice_policy_changes") == 1, 10 * t.scale, "it is shown")
    order(t, b"revoke allowed.test")


@test(ini=METRICS)
def time_to_connect_is_counted(t):
    """One for each connection that was established, and none for others."""
    before = t.sluice.stats()["connect"]
    is_allowed(t, "allowed.test")
    is_denied(t, tls.handmade_hello(b"unlisted.test"))
    t.send(tls.handmade_hello(b"closed.test"))  # allowed, and refuses
    t.sluice.quiet()
    after = t.sluice.stats()["connect"]
    assert after["count"] == before["count"] + 1, (before, after)
    assert 0 < after["sum_us"] - before["sum_us"] < 60e6 * t.scale, (before, after)
    assert after["le"]["+Inf"] == after["count"], after


@test(ini=METRICS, families=(4,))
def every_metric_is_valid_and_documented(t):
    prometheus.check_itself()
    first = scrape(t)
    is_allowed(t, "allowed.test")
    t.sluice.quiet()
    until(lambda: scrape(t).value("sluice_connections_accepted_total") >
          first.value("sluice_connections_accepted_total"), 20 * t.scale, "a fresh page")
    second = scrape(t)
    first.not_after(second)
    assert first.value("sluice_fastpath_enabled") == (t.mode == "on")
    assert first.value("process_open_fds") >= len(t.sluice.descriptors()) - 20
    status = t.sluice.ask("status")
    assert second.value("sluice_policy_names") == status["names"]
    assert second.value("sluice_policy_rules") == status["rules"]
    assert second.value("sluice_build_info", version=status["version"]) == 1
    with open(os.path.join(TREE, "man", "sluiced.8"), encoding="utf-8") as f:
        table = dict(re.findall(r"^\.It Ql (\w+) Pq (\w+)", f.read(), re.M))
    assert table == second.types, set(table.items()) ^ set(second.types.items())


@test(ini=METRICS, modes=("off",), families=(4,))
def dashboard_asks_for_what_there_is(t):
    there, asked, expressions = scrape(t).names(), set(), []

    def walk(node):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            if isinstance(value, (dict, list)):
                walk(value)
            elif key in ("expr", "definition", "query"):
                expressions.append(value)

    with open(os.path.join(TREE, "contrib", "grafana", "sluice.json"), encoding="utf-8") as f:
        walk(json.load(f))
    for expression in expressions:
        asked |= prometheus.names_in(expression)
    assert len(asked) > 25, asked
    assert not asked - there, f"not there: {asked - there}"
    assert prometheus.names_in('rate(sluice_x{a="sluice_y"}[1m]) > by (z) (sluice_z)') == \
        {"sluice_x", "sluice_z"}


@test(ini=METRICS, modes=("off",))
def anything_else_gets_an_error_and_costs_nothing(t):
    scrape(t)
    idle = len(t.sluice.descriptors())
    for data, status in ((get("x", "/"), b"404"), (get("x", "/metrics/../x"), b"404"),
                         (b"POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
                         (b"GET /metrics HTTP/9.9\r\n\r\n", None), (b"\0" * 10000, None),
                         (tls.handmade_hello(b"allowed.test") + b"\r\n\r\n", None),
                         (b"GET /metrics\r\n" + b"a" * 20000, None), (b"\r\n" * 500, None),
                         (b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", None),
                         (bytes(range(256)) * 64 + b"\n", None)):
        try:
            answer = talk(t, data)
        except (BrokenPipeError, ConnectionResetError):
            answer = b""
        assert b"sluice_" not in answer, answer[:200]
        assert status is None or answer.startswith(b"HTTP/1.1 " + status + b" "), answer[:200]
    until(lambda: len(t.sluice.descriptors()) <= idle, 20 * t.scale, "its descriptors are back")
    scrape(t)


@test(ini=METRICS)
def metrics_are_no_destination(t):
    """Neither by a name that leads to the gateway, nor by its address."""
    t.send(tls.handmade_hello(b"gateway.bad.test"), port=8050)
    t.logged(name="gateway.bad.test", reason="bad_destination")


@test(modes=("off",), families=(4,), daemon=False)
def without_a_section_nothing_listens(t):
    t.own("off")
    try:
        talk(t, b"")
        raise AssertionError("something listens")
    except ConnectionRefusedError:
        pass


@test(modes=("off",), families=(4,), daemon=False)
def section_alone_listens_at_loopback(t):
    t.own("off", {"metrics.address": None})
    assert scrape(t).value("sluice_fastpath_enabled") == 0
    with t.lab.gateway.socket(socket.AF_INET) as sock:
        sock.settimeout(10)
        assert sock.connect_ex(("10.77.2.1", PORT)) != 0
    assert "whoever reaches" not in t.sluice.stderr(), t.sluice.stderr()


@test(modes=("off",), families=(4,), daemon=False)
def busy_port_of_metrics_is_told(t):
    with t.lab.gateway.socket(socket.AF_INET) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # TIME_WAIT is not listening
        other.bind(("127.0.0.1", PORT))
        other.listen()
        sluice = t.own("off", {"metrics.address": None}, start=False)
        assert sluice.run_to_end() == 1
        assert f"[metrics] cannot listen at 127.0.0.1:{PORT}: Address already in use" in \
            sluice.stderr(), sluice.stderr()


@test(families=(4,), daemon=False)
def reloads_and_the_end_are_counted(t):
    """Failures show, a change of the address asks for a restart, and totals do not shrink while the
    workers end one after the other."""
    t.own(changes={"metrics.address": [f"127.0.0.1:{PORT}", "10.77.2.1:8050"]})
    assert t.sluice.stderr().count("whoever reaches this address") == 1, t.sluice.stderr()
    first = scrape(t)
    assert first.value("sluice_reload_last_successful") == 1
    assert first.labelled("sluice_reloads_total", "result") == {"success": 0, "failure": 0}
    good = t.sluice.ini
    t.sluice.rewrite({"policy.default": "perhaps"})
    assert t.sluice.ctl("reload").returncode == 1
    until(lambda: scrape(t).value("sluice_reload_last_successful") == 0, 10 * t.scale, "it shows")
    t.sluice.ini = good
    t.sluice.rewrite({"metrics.address": f"127.0.0.1:{PORT}"})
    assert t.sluice.ctl("reload").returncode == 0
    until(lambda: scrape(t).value("sluice_reload_last_successful") == 1, 10 * t.scale, "it shows")
    assert "a changed [metrics] section needs a restart" in t.sluice.stderr(), t.sluice.stderr()
    now = scrape(t)
    assert now.labelled("sluice_reloads_total", "result") == {"success": 1, "failure": 1}
    assert now.value("sluice_policy_serial") > first.value("sluice_policy_serial")
    for _ in range(8):  # both workers have some
        is_allowed(t, "allowed.test")
    t.sluice.quiet()
    with t.raw_server(tls.read_to_end), t.connect("raw") as sock:
        sock.sendall(tls.handmade_hello(b"raw.test"))
        until(lambda: t.sluice.stats()["connect"]["count"] == 9, 20 * t.scale, "it is open")
        before = t.sluice.stats()
        t.sluice.signal(signal.SIGTERM)
        until(lambda: "stopping" in t.sluice.stderr(), 20 * t.scale, "it stops")
        after = t.sluice.stats()
        assert (after["accepted"], after["connect"]) == (before["accepted"], before["connect"])
        now.not_after(scrape(t))


@test(families=(4,), daemon=False)
def next_process_has_the_metrics_at_once(t):
    """While the one before waits for its connections."""
    sluice = t.own(changes={"metrics.address": f"127.0.0.1:{PORT}"})
    with t.raw_server(tls.read_to_end), t.connect("raw") as sock:
        sock.sendall(tls.handmade_hello(b"raw.test"))
        until(lambda: sluice.stats()["connect"]["count"] == 1, 20 * t.scale, "it is open")
        before = sluice.replace()
        for _ in range(20):
            assert scrape(t).value("sluice_connections_accepted_total") == 0
        assert before.poll() is None, "it did not wait"
    assert before.wait(30 * t.scale) == 0, sluice.stderr()
    sluice.lab.processes.forget(before)
    assert scrape(t).value("sluice_connections_accepted_total") == 0
