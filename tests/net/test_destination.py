# SPDX-License-Identifier: GPL-2.0-or-later
"""Where an allowed connection goes: to the owner of the name, not where the client says."""

import tls
from case import get, is_allowed, is_denied, is_forbidden, test


def both_families(t, role):
    return t.lab.packets(role, 4) + t.lab.packets(role, 6)


@test(core=True)
def forged_sni_reaches_the_real_owner(t):
    before = both_families(t, "evil")
    answer = is_allowed(t, "allowed.test", role="evil")
    assert "server=site" in answer, answer
    line = t.logged(name="allowed.test", reason="ok")
    assert t.server("site") in line["dst"], line
    done = t.curl("--resolve", f"allowed.test:443:{t.server('evil')}",
                  t.url("https", "allowed.test"), hosts={"allowed.test": t.server("evil")})
    assert "server=site" in done.stdout, done.stdout + done.stderr
    assert both_families(t, "evil") == before, "the other server saw packets"


@test(core=True)
def forged_host_reaches_the_real_owner(t):
    before = both_families(t, "evil")
    data, _ = t.send(get("allowed.test", "/", "Connection: close"), role="evil", port=80)
    assert b"server=site" in data, data
    assert both_families(t, "evil") == before, "the other server saw packets"
    t.logged(name="allowed.test", reason="ok")


@test(core=True, ini={"policy.destination": "original"})
def original_destination_is_kept_when_so_configured(t):
    answer = is_allowed(t, "allowed.test", role="evil")
    assert "server=evil" in answer, answer
    line = t.logged(name="allowed.test", reason="ok")
    assert t.server("evil") in line["dst"], line
    is_denied(t, tls.handmade_hello(b"denied.test"), role="evil")
    t.logged(name="denied.test", reason="policy")


@test()
def alias_is_followed(t):
    assert "server=site" in is_allowed(t, "alias.test", role="evil")
    t.logged(name="alias.test", reason="ok")


@test()
def name_of_one_family_is_reached_from_the_other(t):
    for name in "four.test", "six.test":
        assert "server=site" in is_allowed(t, name)
        t.logged(name=name, reason="ok")


@test()
def port_of_the_client_is_kept(t):
    assert "server=site" in is_allowed(t, "allowed.test", port=8043)
    t.logged(name="allowed.test", port=8043, reason="ok")


@test()
def special_addresses_are_bad_destinations(t):
    for name in "loopback.bad.test", "private.bad.test", "linklocal.bad.test":
        t.send(tls.handmade_hello(name.encode()))
        t.logged(name=name, reason="bad_destination", verdict="deny")
        is_forbidden(t, get(name), port=80)
        t.logged(name=name, reason="bad_destination", verdict="deny")


@test()
def own_listener_is_a_bad_destination(t):
    """A name that resolves to the gateway, at the listener's port: no circle."""
    t.send(tls.handmade_hello(b"gateway.bad.test"), port=3129)
    t.logged(name="gateway.bad.test", reason=("bad_destination", "loop"))


@test(ini={"policy.destination": "original", "policy.private_networks": "10.77.2.3, fd77:2::3"})
def original_destination_is_checked_too(t):
    t.send(tls.handmade_hello(b"allowed.test"))
    t.logged(name="allowed.test", reason="bad_destination")
    assert "server=evil" in is_allowed(t, "allowed.test", role="evil")


@test(core=True)
def direct_connection_to_the_listener_is_a_loop(t):
    address = ("10.77.1.1", "fd77:1::1")[t.family == 6]
    data, end = t.send_to(address, 3129, tls.handmade_hello(b"allowed.test"))
    assert data == b"" and end in ("fin", "rst"), (data, end)
    t.logged(reason="loop", verdict="deny")
