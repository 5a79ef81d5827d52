# SPDX-License-Identifier: GPL-2.0-or-later
"""From a name to an address: what name servers may answer, and which answers are followed."""

import contextlib
import os
import shutil
import signal
import socket
import struct

import tls
from case import get, is_forbidden, test
from dns import (A, AAAA, NXDOMAIN, PORT, REFUSED, SERVFAIL, SILENT_PORT, Dns, addresses, alias,
                 aliased, failing, labels, of, reply, silent)
from lab import GATEWAY, PRIVATE, SERVERS, pick

FIRST_TRY = "Connection: close"
SITE, EVIL, CLOSED, DROP = (SERVERS[role] for role in ("site", "evil", "closed", "drop"))
GLOBAL = "8.8.8.8", "2600:77::8"  # ordinary addresses, which nobody has here


def scripted(scale, **more):
    """Our own name server; only the test's servers are listed, the gateway is not. The time to
    connect is over before a third question to a silent server."""
    return {
        "sluice.workers": "1",
        "timeouts.connect": f"{min(int(1500 * scale), 3500)}ms",
        "resolver.nameservers": f"{SERVERS['dns'][0]}:{PORT}",
        "policy.private_networks": [*SITE, *EVIL, *CLOSED, *DROP],
        "rule odd.allow": [".odd.test", "0.0.0.0/0", "::/0"],
        **more,
    }


def fetch(t, name, **where):
    """The text of an HTTP answer; the client's address is another one's."""
    where.setdefault("role", "evil")
    return t.send(get(name, "/", FIRST_TRY), port=80, **where)[0].decode("latin-1")


def reaches(t, name, server="site", **where):
    text = fetch(t, name, **where)
    assert f"server={server} " in text, f"{name}: {text[:200]!r}"


def fresh(t, *behaviours):
    """New names, and the table in which they stand."""
    table = {t.fresh("odd.test"): b for b in behaviours}
    return list(table), table


def all_denied(t, names, reason):
    """HTTP for each, and the log says so of each, in any order."""
    for name in names:
        is_forbidden(t, get(name), port=80)
    t.sluice.quiet()
    lines = t.lines()
    assert [(line["name"], line["reason"]) for line in lines] == [(n, reason) for n in names], lines


# --- what a name server may say -------------------------------------------------------------

@test(ini=scripted)
def failures_of_all_kinds_are_unresolved(t):
    def loop(q):
        return [reply(q, [alias(q.name, "x.odd.test"), alias("x.odd.test", q.name)])]

    def cut(q):
        return [reply(q, addresses(q, SITE))[:-3]]

    names, table = fresh(t, failing(NXDOMAIN), failing(SERVFAIL), failing(REFUSED), of(), loop, cut,
                         aliased(["a.odd.test", "nowhere.odd.test"]), lambda q: [reply(q, rcode=4)])
    with Dns(t.lab, table):
        before = t.lab.packets("evil", t.family)
        all_denied(t, names, "unresolved")
        assert t.lab.packets("evil", t.family) == before
    t.send(tls.handmade_hello(names[0].encode()))
    t.logged(name=names[0], reason="unresolved")


@test(ini=scripted)
def name_of_one_family_only_and_chain_of_aliases(t):
    chain = [f"alias{i}.odd.test" for i in range(8)]
    names, table = fresh(t, of(SITE[0]), of(SITE[1]), aliased(chain, *SITE), of(*SITE, ttl=0),
                         of(*SITE, late=1))
    with Dns(t.lab, table) as dns:
        for name in names:
            reaches(t, name)
            t.logged(name=name, reason="ok")
        # a name server is asked for the client's family first, and then for the other
        first = A if t.family == 4 else AAAA
        assert {dns.asked(name)[0].kind for name in names} == {first}


@test(ini=scripted)
def lifetime_of_zero_serves_many_at_once(t):
    (name,), table = fresh(t, of(*SITE, ttl=0))
    with Dns(t.lab, table) as dns, contextlib.ExitStack() as stack:
        socks = [stack.enter_context(t.connect("evil", 80)) for _ in range(30)]
        for sock in socks:
            sock.sendall(get(name, "/", FIRST_TRY))
        for sock in socks:
            data, _ = tls.read_to_end(sock)
            assert b"server=site" in data, data
        once = len(dns.asked(name))
        reaches(t, name)
        assert len(dns.asked(name)) > once, "an answer of no lifetime was kept"


@test(ini=scripted)
def answers_to_another_question_are_passed_over(t):
    """Another source, wrong identity, a question back, rubbish: then the true answer."""
    def liar(q):
        bad = addresses(q, EVIL)
        with dns.bound(EVIL[0], PORT, socket.SOCK_DGRAM) as other:
            other.sendto(reply(q, bad), q.client)
        back = bytearray(reply(q, bad))
        back[2] &= 0x7f
        return [reply(q, bad, ident=q.id ^ 1), bytes(back), b"abc", reply(q, addresses(q, SITE))]

    def other_name(q):
        text = labels("x" + q.name[1:]) + struct.pack("!HH", q.kind, 1)
        return [reply(q, addresses(q, EVIL), text=text)]

    names, table = fresh(t, liar, other_name)
    with Dns(t.lab, table) as dns:
        reaches(t, names[0])
        t.logged(name=names[0], reason="ok")
        all_denied(t, names[1:], "unresolved")


@test(ini=scripted)
def silent_name_server_is_bounded_by_timeouts_connect(t):
    """Answered before it was asked a third time."""
    names, table = fresh(t, silent, silent)
    with Dns(t.lab, table) as dns, t.connect(port=443) as sock:
        sock.sendall(tls.handmade_hello(names[1].encode()))
        is_forbidden(t, get(names[0]), port=80)
        assert 1 <= len(dns.asked(names[0])) < 3, len(dns.asked(names[0]))
        assert tls.read_to_end(sock) == (tls.ACCESS_DENIED_ALERT, "fin")
    t.sluice.quiet()
    assert sorted((line["name"], line["reason"]) for line in t.lines()) == sorted(
        (name, "unresolved") for name in names)


def two_servers(scale):
    v4, v6 = SERVERS["dns"]
    return scripted(1, **{"timeouts.connect": f"{int(15 * scale)}s",
                          "resolver.nameservers": [f"[{v6}]:{SILENT_PORT}", f"[{v6}]:{PORT}"]})


@test(ini=two_servers, families=(4,))
def dead_name_server_makes_way_for_the_next(t):
    """Both are reached over IPv6; the one that answered is asked first from then on."""
    (name, later), table = fresh(t, of(*SITE), of(*SITE))
    with Dns(t.lab, table) as dns:
        reaches(t, name)
        reaches(t, later)
        assert ":" in dns.asked(later)[0].client[0]


# --- which address --------------------------------------------------------------------------

def absent(t, count):
    """Addresses that nobody has."""
    return [pick((f"10.77.2.{100 + i}", f"fd77:2::100:{i:x}"), t.family) for i in range(count)]


@test()
def forged_name_in_pieces_reaches_the_real_owner(t):
    before = t.lab.packets("evil", t.family)
    client = t.tls_client("allowed.test")
    flight = client.first_flight()
    with t.connect("evil") as sock:
        tls.send_pieces(sock, tls.cut(flight, 3, 60, 150), t.until)
        client.finish(sock)
        assert "server=site" in client.request(sock, "allowed.test")
    request = get("allowed.test", "/", FIRST_TRY)
    with t.connect("evil", 80) as sock:
        tls.send_pieces(sock, tls.cut(request, 7, len(request) - 30), t.until)
        assert b"server=site" in tls.read_to_end(sock)[0]
    assert t.lab.packets("evil", t.family) == before, "the other server saw packets"
    t.sluice.quiet()
    lines = t.lines()
    assert [line["reason"] for line in lines] == ["ok", "ok"], lines
    assert all(t.server("site") in line["dst"] for line in lines), lines


@test(ini=scripted)
def address_of_the_client_is_kept_if_the_name_has_it(t):
    """Even as the last of more than we keep trying; and not if it is not there."""
    v = t.family == 6
    few, many = absent(t, 12), absent(t, 60)  # the second does not fit a datagram
    names, table = fresh(t, of(*few, EVIL[v]), of(*many, EVIL[v]), of(SITE[v], *many[:3]))
    with Dns(t.lab, {**table}) as dns:
        for name in names[:2]:
            reaches(t, name, "evil")
            line = t.logged(name=name, reason="ok")
            assert EVIL[v] in line["dst"], line
        assert any(q.tcp for q in dns.asked(names[1]))
        reaches(t, names[2])
        t.logged(name=names[2], reason="ok")


@test(ini=scripted)
def dead_addresses_make_way_for_the_next(t):
    v = t.family == 6
    (name, dead), table = fresh(t, of(DROP[v], CLOSED[v], SITE[v]), of(CLOSED[v], DROP[v]))
    with Dns(t.lab, table):
        reaches(t, name)
        line = t.logged(name=name, reason="ok")
        assert SITE[v] in line["dst"], line
        fetch(t, dead)
        t.logged(name=dead, reason=("upstream_timeout", "upstream_refused"))


@test(ini=scripted)
def name_that_moves_takes_new_connections_along(t):
    """Open flows stay. Gone: asked again, although the answer was to last for long."""
    v = t.family == 6
    (name, gone), table = fresh(t, of(SITE[v], ttl=1), of(CLOSED[v], ttl=300))
    with Dns(t.lab, table) as dns, t.connect("old", 80) as sock:
        sock.sendall(get(name))
        assert b"server=site" in sock.recv(65536)
        fetch(t, gone)
        dns.table[name] = of(EVIL[v], ttl=300)
        dns.table[gone] = of(SITE[v], ttl=300)
        t.until(lambda: "server=evil" in fetch(t, name, role="old"), 10, "it has moved")
        t.until(lambda: "server=site" in fetch(t, gone), 10, "it is asked for again")
        sock.sendall(get(name, "/", FIRST_TRY))
        assert b"server=site" in tls.read_to_end(sock)[0]
        assert len(dns.asked(name)) < 5 and len(dns.asked(gone)) < 5


# --- bad addresses --------------------------------------------------------------------------

BAD = [  # RFC 6890 and the registries, multicast, reserved, and IPv4 inside IPv6
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.9.9.9", "169.254.169.254",
    "172.16.0.1", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:10.0.0.1", "::127.0.0.1",
    "::8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::808:808", "100::1",
    "2001::1", "2001:10::1", "2001:20::1", "2001:db8::1", "3fff::1", "2002:7f00:1::1",
    "2002:a00:1::1", "5f00::1", "fc00::1", "fdff::1", "fe80::1", "fec0::1", "ff02::1",
]


@test(ini=scripted)
def special_answers_and_literals_are_bad_destinations(t):
    wanted = [a for a in BAD if (":" in a) == (t.family == 6)]
    names, table = fresh(t, *(of(a) for a in wanted), aliased(["far.odd.test"], *wanted[:5]),
                         of(*wanted))
    with Dns(t.lab, table):
        all_denied(t, names, "bad_destination")
    literals = [f"[{a}]" if ":" in a else a for a in wanted]
    for literal in literals:
        is_forbidden(t, get(literal), port=80)
    t.sluice.quiet()
    lines = t.lines()
    assert [line["reason"] for line in lines] == ["bad_destination"] * len(wanted), lines


@test(ini=scripted)
def only_the_good_of_mixed_answers_are_tried(t):
    """However many bad ones come first."""
    v = t.family == 6
    bad = [pick((f"192.168.7.{i}", f"fc00:77::{i:x}"), t.family) for i in range(1, 30)]
    (name, bound), table = fresh(t, of(*bad, SITE[v]), of(GATEWAY["outside"][v], SITE[v]))
    with Dns(t.lab, table):
        for one in name, bound:
            reaches(t, one)
            line = t.logged(name=one, reason="ok")
            assert SITE[v] in line["dst"], line


def reason_of(t, name):
    fetch(t, name)
    return t.logged(name=name)["reason"]


def own_addresses(t):
    """Added and removed while the daemon runs; also when the news of it are lost."""
    v = t.family == 6
    ours, bits = GLOBAL[v], pick((32, 128), t.family)
    inside = "64:ff9b::808:808" if v else ours
    names, table = fresh(t, of(ours), of(inside), *(of(a[v]) for a in GATEWAY.values()))

    def address(verb, a):
        return f"addr {verb} {a}/{bits} dev g0" + (" nodad" if v and verb == "add" else "")

    def change(*commands):
        t.lab.gateway.run("ip", "-batch", "-", input="\n".join(commands))

    with Dns(t.lab, table), contextlib.ExitStack() as stack:
        all_denied(t, names[2:], "bad_destination")
        assert reason_of(t, names[0]) != "bad_destination"
        stack.callback(t.lab.gateway.run, "ip", "addr", "del", f"{GLOBAL[0]}/32", "dev", "g0",
                       check=False)
        stack.callback(t.lab.gateway.run, "ip", "addr", "del", f"{ours}/{bits}", "dev", "g0",
                       check=False)
        change(address("add", ours), *(["addr add 8.8.8.8/32 dev g0"] if v else []))
        t.until(lambda: reason_of(t, names[0]) == "bad_destination", 10, "the gateway's address")
        t.until(lambda: reason_of(t, names[1]) == "bad_destination", 10, "and inside another")
        change(address("del", ours))
        t.until(lambda: reason_of(t, names[0]) != "bad_destination", 10, "it is nobody's")
        t.sluice.signal(signal.SIGSTOP)
        t.until(t.sluice.stopped, 10, "it stands still")
        change(*[address(verb, GLOBAL[v] + "7") for _ in range(1000) for verb in ("add", "del")],
               address("add", ours))
        t.sluice.signal(signal.SIGCONT)
        t.until(lambda: reason_of(t, names[0]) == "bad_destination", 10, "known in spite of it")


@test(ini=scripted)
def addresses_of_the_gateway_are_bad_destinations(t):
    own_addresses(t)


@test(daemon=False)
def addresses_of_the_gateway_are_followed_without_privileges(t):
    folder = t.lab.path("nobody")  # to take its socket away at the end
    os.makedirs(folder, exist_ok=True)
    shutil.chown(folder, "nobody")
    t.own(changes={**scripted(t.scale), "sluice.user": "nobody",
                   "sluice.control": f"{folder}/sock"})
    own_addresses(t)


LOCAL_ROUTES = "8.8.4.0/24", "2600:78::/64"


@test(ini=scripted)
def addresses_of_local_routes_are_bad_destinations(t):
    """AnyIP: no interface has them, and everything sent to them is delivered here."""
    v = t.family == 6
    inside = pick(("8.8.4.77", "2600:78::77"), t.family)
    names, table = fresh(t, of(inside), *([of("64:ff9b::808:44d")] if v else []))
    routes = [f"route {{}} local {LOCAL_ROUTES[0]} dev lo table local"]
    routes += [f"-6 route {{}} local {LOCAL_ROUTES[1]} dev lo table local"] if v else []

    def change(verb):
        for route in routes:
            t.lab.gateway.run("ip", *route.format(verb).split())

    with Dns(t.lab, table), contextlib.ExitStack() as stack:
        assert reason_of(t, names[0]) != "bad_destination"
        stack.callback(change, "del")
        change("add")
        for name in names:
            t.until(lambda: reason_of(t, name) == "bad_destination", 10, "the route is known")
        stack.pop_all()
        change("del")
        t.until(lambda: reason_of(t, names[0]) != "bad_destination", 10, "and that it is gone")


@contextlib.contextmanager
def reloaded(t, changes):
    """With keys that were not there before."""
    def reload_with(more):
        t.sluice.rewrite(more)
        assert t.sluice.ctl("reload").returncode == 0

    with contextlib.ExitStack() as stack:
        stack.callback(reload_with, dict.fromkeys(changes))
        reload_with(changes)
        yield


TRANSLATED = {"2600:6400::/32": "2600:6400:{0:02x}{1:02x}:{2:02x}{3:02x}::",
              "2600:65:66:67::/64": "2600:65:66:67:{0:x}:{1:02x}{2:02x}:{3:02x}00::",
              "2600:66::/96": "2600:66::{0:02x}{1:02x}:{2:02x}{3:02x}"}


@test(ini=scripted, families=(6,))
def prefixes_of_own_translators_are_looked_into(t):
    """What is inside decides, from the reload on that names them."""
    inside = ["127.0.0.1", "10.0.0.1", GATEWAY["outside"][0], SITE[0]]
    wanted = [form.format(*map(int, text.split(".")))
              for form in TRANSLATED.values() for text in inside]
    names, table = fresh(t, *map(of, wanted))
    with Dns(t.lab, table):
        assert all(reason_of(t, name) != "bad_destination" for name in names)
        with reloaded(t, {"policy.nat64_prefixes": list(TRANSLATED)}):
            refused = [reason_of(t, name) == "bad_destination" for name in names]
        assert refused == [True, True, True, False] * len(TRANSLATED), refused


@test(ini=scripted)
def own_addresses_that_no_interface_has_are_bad_destinations(t):
    """Behind 1:1 NAT, from the reload on that names them."""
    v = t.family == 6
    names, table = fresh(t, of(GLOBAL[v]), *([of("64:ff9b::808:808")] if v else []))
    with Dns(t.lab, table):
        assert all(reason_of(t, name) != "bad_destination" for name in names)
        with reloaded(t, {"policy.own_addresses": list(GLOBAL)}):
            assert all(reason_of(t, name) == "bad_destination" for name in names)
        assert all(reason_of(t, name) != "bad_destination" for name in names)


@test(ini=lambda scale: scripted(scale, **{"policy.private_networks": list(PRIVATE)}),
      families=(4,))
def listed_network_does_not_list_addresses_of_the_gateway(t):
    names, table = fresh(t, of(GATEWAY["outside"][0]), of("64:ff9b::a4d:201"), of(SITE[0]))
    with Dns(t.lab, table):
        assert [reason_of(t, name) for name in names] == ["bad_destination"] * 2 + ["ok"]


@test(ini=lambda scale: scripted(scale, **{
    "policy.private_networks": [*PRIVATE, GATEWAY["outside"][0]]}), families=(4,))
def listed_addresses_of_the_gateway_are_reached(t):
    """Then it is the gateway's own port that refuses; a listener never is a destination."""
    (name,), table = fresh(t, of(GATEWAY["outside"][0]))
    with Dns(t.lab, table):
        fetch(t, name)
        t.logged(name=name, reason="upstream_refused")
        t.send(tls.handmade_hello(name.encode()), port=3129)
        t.logged(name=name, reason="bad_destination")


@test(modes=("off",), families=(None,), daemon=False)
def unreadable_addresses_end_the_start(t):
    """strace takes the netlink socket away."""
    sluice = t.own(start=False, wrap=[t.tool("strace"), "-f", "-o", "/dev/null", "-e",
                                      "trace=bind", "-e", "inject=bind:error=EACCES:when=1"])
    assert sluice.run_to_end() == 1
    assert "cannot read this machine's addresses: Permission denied" in sluice.stderr()


# --- too many questions ---------------------------------------------------------------------

def each_apart(scale):
    """Also where all clients are in one /64."""
    return scripted(scale, **{"sluice.client_prefix6": "128"})


@test(families=(6,), ini=scripted)
def one_host_with_a_network_has_one_share(t):
    """Each question comes from another address of its /64; they are fewer than all places."""
    before = t.sluice.stats()["dns_given_up"]
    with Dns(t.lab, {".dead.odd.test": silent}), t.whole_network() as addresses:
        with contextlib.ExitStack() as stack:
            for _ in range(1100):
                sock = stack.enter_context(t.lab.connect(t.server("evil"), 80, next(addresses),
                                                         8 * t.scale))
                sock.sendall(get(t.fresh("dead.odd.test")))
            t.until(lambda: t.sluice.stats()["dns_given_up"] > before, 20, "some are given up")
        t.sluice.quiet()
    t.forget_log()


@test(ini=each_apart)
def dead_zone_does_not_hold_up_others(t):
    """One client asks for more names that nobody answers than its share is."""
    names, table = fresh(t, of(*SITE), of(*SITE))
    before = t.sluice.stats()["dns_given_up"]
    with Dns(t.lab, {**table, ".dead.odd.test": silent}) as dns, contextlib.ExitStack() as stack:
        dead = [t.fresh("dead.odd.test") for _ in range(1100)]
        for name in dead:
            stack.enter_context(t.connect("evil", 80)).sendall(get(name))
        t.until(lambda: t.sluice.stats()["dns_given_up"] > before, 20, "some are given up")
        reaches(t, names[0], source="second")
        t.until(lambda: "server=site" in fetch(t, names[1]), 20, "and the same client's others")
        # before the questions ended by themselves
        assert len(dns.asked(dead[500])) < 3, len(dns.asked(dead[500]))
    t.sluice.quiet()
    found = {line["reason"] for line in t.lines() if line["name"].endswith(".dead.odd.test")}
    assert "unresolved" in found and found <= {"unresolved", "ok"}, found
