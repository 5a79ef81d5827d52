# SPDX-License-Identifier: GPL-2.0-or-later
"""Where an allowed connection goes: to the owner of the name, not where the client says."""

import contextlib
import socket

import tls
from case import get, is_allowed, is_denied, is_forbidden, test
from lab import GATEWAY, PRIVATE, pick


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


@contextlib.contextmanager
def own_service(t, address, port):
    """A socket of the gateway's that listens. Yields what says whether somebody has come."""
    with t.lab.gateway.socket(socket.AF_INET6 if t.family == 6 else socket.AF_INET) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen()
        sock.setblocking(False)

        def came():
            with contextlib.suppress(BlockingIOError):
                sock.accept()[0].close()
                return True
            return False

        yield came


@test(core=True)
def listed_network_does_not_open_the_gateways_services(t):
    """The network that is listed has an address of the gateway."""
    with own_service(t, pick(GATEWAY["outside"], t.family), 8080) as came:
        is_forbidden(t, get("gateway.bad.test"), port=8080)
        t.logged(name="gateway.bad.test", reason="bad_destination", verdict="deny")
        assert not came()


@test(ini={"policy.private_networks": [*PRIVATE, "127.0.0.0/8", "::/0"]})
def listed_network_does_not_open_loopback(t):
    with own_service(t, ("127.0.0.1", "::1")[t.family == 6], 8080) as came:
        is_forbidden(t, get("loopback.bad.test"), port=8080)
        t.logged(name="loopback.bad.test", reason="bad_destination", verdict="deny")
        assert not came()


@test(ini={"policy.destination": "original"})
def listed_network_does_not_open_them_by_the_clients_address(t):
    address = pick(GATEWAY["outside"], t.family)
    with own_service(t, address, 8080) as came:
        data, _ = t.send_to(address, 8080, get("allowed.test"))
        assert data.startswith(b"HTTP/1.1 403 "), data
        t.logged(name="allowed.test", reason="bad_destination", verdict="deny")
        assert not came()


@test(ini={"policy.private_networks": [*PRIVATE, *GATEWAY["outside"]]})
def own_address_of_full_length_opens_its_services(t):
    with own_service(t, pick(GATEWAY["outside"], t.family), 8080) as came:
        with t.connect(port=8080) as sock:
            sock.sendall(tls.handmade_hello(b"gateway.bad.test"))
            t.until(came, 10, "the service is reached")
        t.logged(name="gateway.bad.test", verdict="allow")


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
