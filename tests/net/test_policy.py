# SPDX-License-Identifier: GPL-2.0-or-later
"""Which names, groups, ports and protocols are allowed, and the reason given when not."""

import tls
from case import get, is_allowed, is_denied, is_forbidden, is_reset, test


def allowed(t, name, rule="base", logged=None, **where):
    is_allowed(t, name, **where)
    t.logged(name=logged or name.lower(), verdict="allow", reason="ok", rule=rule)


def denied(t, name, reason="policy", logged=None, **where):
    raw = name if isinstance(name, bytes) else name.encode()
    is_denied(t, tls.handmade_hello(raw), **where)
    fields = {"name": logged} if logged is not None else {}
    t.logged(verdict="deny", reason=reason, proto="tls", **fields)


@test(core=True)
def names_and_wildcards(t):
    for name in "allowed.test", "www.allowed.test", "x.below.test", "n.tree.test":
        allowed(t, name)
    for name in ("below.test", "notallowed.test", "allowed.test.example", "denied.tree.test",
                 "secret.tree.test", "x.secret.tree.test", "test", "allowed", "www.other.test",
                 "xtree.test"):
        denied(t, name, logged=name)


@test(core=True)
def most_specific_name_decides(t):
    for name, verdict in (("tree.test", True), ("n.tree.test", True), ("denied.tree.test", False),
                          ("sub.denied.tree.test", True), ("open.secret.tree.test", True),
                          ("sub.open.secret.tree.test", False), ("tie.test", False)):
        answer, _ = t.send(tls.handmade_hello(name.encode()) + tls.record(b"\2\50", 21, 0x303))
        assert (answer != tls.ACCESS_DENIED_ALERT) == verdict, f"{name}: {answer[:99]!r}"
        t.logged(name=name, verdict="allow" if verdict else "deny")


@test(core=True)
def case_and_trailing_dot_are_one_name(t):
    for name in (b"ALLOWED.TEST", b"Allowed.tesT", b"allowed.test."):
        answer, _ = t.send(tls.handmade_hello(name) + tls.record(b"\2\50", 21, 0x303))
        assert answer != tls.ACCESS_DENIED_ALERT, name
        t.logged(name="allowed.test", verdict="allow", reason="ok")
    denied(t, b"DENIED.Tree.test.", logged="denied.tree.test")


@test(core=True)
def groups(t):
    """The longest prefix makes the group; a rule for a group beats one for all."""
    allowed(t, "agents.test", rule="agents", source="agent")
    denied(t, "agents.test")
    denied(t, "agents.test", source="narrow")
    allowed(t, "narrow.test", rule="narrow", source="narrow")
    denied(t, "narrow.test", source="agent")
    denied(t, "other.test", source="agent")
    allowed(t, "other.test", source="client")
    is_allowed(t, "allowed.test", source="agent")
    t.logged(group="agents")
    is_allowed(t, "allowed.test", source="narrow")
    t.logged(group="narrow")


@test(core=True)
def ports(t):
    allowed(t, "ports.test", rule="ports", port=8043)
    denied(t, "ports.test", port=443)


@test(ini={"policy.default": "allow"})
def default_allow(t):
    answer = is_allowed(t, "unlisted.test")
    assert "server=site" in answer
    t.logged(name="unlisted.test", verdict="allow", reason="ok", rule="default")
    denied(t, "denied.tree.test")
    denied(t, "tie.test")
    is_denied(t, tls.handmade_hello(None))
    t.logged(reason="no_sni")


@test(core=True)
def no_sni(t):
    is_denied(t, tls.handmade_hello(None))
    t.logged(name="", reason="no_sni", proto="tls", verdict="deny")


@test(ini={"tls.no_sni": "allow", "http.no_host": "allow",
           "rule nets.allow": "10.77.2.2/32, fd77:2::2/128",
           "rule nets.deny": "10.77.2.8, fd77:2::8"})
def nameless_connections_are_judged_by_address(t):
    hello = tls.handmade_hello(None)
    answer, _ = t.send(hello + tls.record(b"\2\50", 21, 0x303))
    assert answer != tls.ACCESS_DENIED_ALERT
    t.logged(verdict="allow", reason="ok", rule="nets", name="")
    is_denied(t, tls.handmade_hello(None, versions=(0x0302, 0x0301)))
    t.logged(verdict="deny", reason="tls_version", name="")
    is_denied(t, hello, role="denied")
    t.logged(verdict="deny")
    is_denied(t, hello, role="evil")
    t.logged(verdict="deny")
    answer, _ = t.send(get(None, "/", version="1.0"), port=80)
    assert b"server=site" in answer, answer
    t.logged(verdict="allow", reason="ok", rule="nets", name="")
    is_forbidden(t, get(None, "/", version="1.0"), role="evil", port=80)
    t.logged(verdict="deny")


@test()
def bad_names(t):
    label = b"a" * 64
    for name in (b"allowed.test\0.evil.test", b"allowed..test", b".allowed.test", label + b".test",
                 b".".join([b"a" * 60] * 5) + b".allowed.test", b"allow\xc3\xa9d.test",
                 b"allowed.test/", b"allowed .test", b"*.allowed.test", b"allowed.test..",
                 b"[allowed.test]", b"allowed.test:443", b"."):
        denied(t, name, "bad_name")


@test()
def names_of_the_longest_size(t):
    label = b"a" * 63
    rest = b".".join([label, label, label])  # 191
    name = rest + b"." + b"b" * (253 - len(rest) - 1 - len(b".allowed.test")) + b".allowed.test"
    assert len(name) == 253
    answer, _ = t.send(tls.handmade_hello(name) + tls.record(b"\2\50", 21, 0x303))
    assert answer != tls.ACCESS_DENIED_ALERT
    t.logged(name=name.decode(), verdict="allow")
    denied(t, b"b" + name, "bad_name")


@test()
def address_as_a_name_is_denied(t):
    """RFC 6066: literal addresses are not permitted there."""
    for name in t.server("site"), "10.77.2.2":
        is_denied(t, tls.handmade_hello(name.encode()))
        t.logged(verdict="deny", reason=("policy", "bad_name", "no_sni"))


@test()
def bad_tls(t):
    sni = tls.sni(b"allowed.test")
    good = tls.handmade_hello(b"allowed.test")
    for what, hello in {
        "two server_name extensions": tls.handmade_hello(b"allowed.test", extensions=sni),
        "name longer than its list": good.replace(b"\x00\x0callowed", b"\x00\x7fallowed"),
        "two names": tls.handmade_hello(None, extensions=tls.extension(0, tls.vector(
            b"\0" + tls.vector(b"allowed.test") + b"\0" + tls.vector(b"denied.test")))),
        "empty list": tls.handmade_hello(None, extensions=tls.extension(0, tls.vector(b""))),
        "trailing byte": tls.record(tls.payload_of(good) + b"\0"),
        "not a hello": tls.record(b"\x02" + tls.payload_of(good)[1:]),
        "record of no bytes": tls.record(b"") + good,
        "extensions cut": tls.record(b"\x01" + tls.vector(tls.payload_of(good)[4:-3], 3)),
    }.items():
        data, end = t.send(hello)
        assert data in (tls.ACCESS_DENIED_ALERT, b"") and end in ("fin", "rst"), (what, data, end)
        line = t.logged(verdict="deny")
        assert line["reason"] == "bad_tls", f"{what}: {line}"


@test(core=True)
def other_protocols_are_reset(t):
    for data in (b"SSH-2.0-OpenSSH_9.2p1\r\n", b"\0\0\0\0\0\0\0\0", b"\x05\x01\x00",
                 b"\xff" * 600, bytes(range(128, 256)) * 10):
        is_reset(t, data)
        t.logged(reason="not_tls", verdict="deny")


@test(core=True)
def protocol_is_judged_by_content_not_port(t):
    answer = is_allowed(t, "swap.test", role="swap", port=80)
    assert "server=swap" in answer
    t.logged(name="swap.test", port=80, proto="tls", reason="ok")
    data, _ = t.send(get("swap.test", "/", "Connection: close"), role="swap", port=443)
    assert b"server=swap" in data, data
    t.logged(name="swap.test", port=443, proto="http", reason="ok")
    is_denied(t, tls.handmade_hello(b"denied.test"), port=80)
    t.logged(reason="policy", proto="tls", port=80)
    is_forbidden(t, get("denied.test"), port=443)
    t.logged(reason="policy", proto="http", port=443)


@test()
def old_versions_are_tls_version(t):
    for versions, legacy in ((), 0x0302), ((), 0x0301), ((0x0302, 0x0301), 0x0303):
        hello = tls.handmade_hello(b"allowed.test", versions=versions, legacy=legacy)
        is_denied(t, hello)
        t.logged(reason="tls_version", verdict="deny")


@test(ini={"tls.min_version": "1.3"})
def min_version_is_of_the_highest_offered(t):
    is_denied(t, tls.handmade_hello(b"allowed.test", versions=(), legacy=0x0303))
    t.logged(reason="tls_version")
    is_allowed(t, "allowed.test")
    t.logged(reason="ok")


@test(ini={"policy.enforce": "no"})
def without_enforcement_all_is_let_through_and_told(t):
    answer = is_allowed(t, "denied.test", role="denied")
    assert "server=denied" in answer
    t.logged(name="denied.test", reason="policy", enforced=False)
    data, _ = t.send(get("denied.test", "/", "Connection: close"), role="denied", port=80)
    assert b"server=denied" in data
    t.logged(name="denied.test", reason="policy", enforced=False)
    is_allowed(t, "allowed.test")
    t.logged(name="allowed.test", reason="ok", enforced=True)
    assert t.sluice.stats()["reported"] >= 2
