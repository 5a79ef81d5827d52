# SPDX-License-Identifier: GPL-2.0-or-later
"""Real clients: what is allowed works, what is denied is told at once and plainly."""

import time

from case import get, is_allowed, is_forbidden, is_reset, test
import tls

AT_ONCE = 2.0  # seconds for a denial, client start included

NODE = """
const https = require("https");
const [host, address, ca] = process.argv.slice(1);
https.get({host: address, servername: host, headers: {host}, family: address.includes(":") ? 6 : 4,
           ca: require("fs").readFileSync(ca)},
          (r) => { r.on("data", (d) => process.stdout.write(d)); })
     .on("error", (e) => { console.error(e.code, e.message); process.exit(9); });
"""


def works(done, text="server=site"):
    assert done.returncode == 0, f"exit {done.returncode}: {done.stdout}{done.stderr}"
    assert text in done.stdout, f"no {text!r} in {done.stdout!r}"


def fails(done, *words):
    out = done.stdout + done.stderr
    assert done.returncode != 0, f"exit 0: {out}"
    assert any(w.lower() in out.lower() for w in words), f"none of {words} in {out}"


class Unseen:
    """The denied server gets not one packet while the block lasts, and the client waits not."""

    def __init__(self, t, role="denied"):
        self.t, self.role = t, role

    def __enter__(self):
        self.before = self.t.lab.packets(self.role, self.t.family)
        self.begin = time.monotonic()

    def __exit__(self, kind, *_):
        took = time.monotonic() - self.begin
        if kind is None:
            now = self.t.lab.packets(self.role, self.t.family)
            assert now == self.before, f"{now - self.before} packets at the denied server"
            assert took < AT_ONCE * self.t.scale, f"the denial took {took:.1f} s"


@test(core=True, plain=True)
def curl_https_1_3(t):
    done = t.curl("--tlsv1.3", "-w", "%{ssl_verify_result}", t.url("https", "new.test"))
    works(done, "server=new")
    works(done, "tls=TLSv1.3")
    t.logged(name="new.test", port=443, proto="tls", reason="ok", rule="base", group="all",
             enforced=True)


@test(core=True, plain=True)
def curl_https_1_2(t):
    works(t.curl("--tls-max", "1.2", t.url("https", "old.test")), "tls=TLSv1.2")
    t.logged(name="old.test", reason="ok")


@test(core=True, plain=True)
def curl_http(t):
    works(t.curl(t.url("http", "allowed.test")))
    t.logged(name="allowed.test", port=80, proto="http", reason="ok")


@test(core=True, plain=True)
def curl_keeps_a_connection_for_many_requests(t):
    urls = [t.url("http", "allowed.test", f"/{i}") for i in range(10)]
    done = t.curl("-w", "%{num_connects}\\n", *urls)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("server=site") == 10
    assert sum(int(n) for n in done.stdout.split() if n.isdigit()) == 1, done.stdout


@test(core=True)
def curl_denied_https_reports_access_denied(t):
    for version in "1.2", "1.3":
        with Unseen(t):
            done = t.curl("-v", "--tls-max", version, t.url("https", "denied.test"))
        assert done.returncode == 35, f"curl {version}: exit {done.returncode}: {done.stderr}"
        fails(done, "access denied")
        t.logged(name="denied.test", port=443, proto="tls", reason="policy")


@test(core=True)
def curl_denied_http_shows_the_page(t):
    with Unseen(t):
        done = t.curl("-i", t.url("http", "denied.test"))
    works(done, " 403 ")
    assert "denied.test" in done.stdout and "policy" in done.stdout, done.stdout
    t.logged(name="denied.test", port=80, proto="http", reason="policy")


@test(core=True, plain=True)
def openssl_s_client(t):
    for version in "-tls1_2", "-tls1_3":
        done = t.run("openssl", "s_client", "-connect", endpoint(t, "site"), "-servername",
                     "allowed.test", "-CAfile", t.lab.path("ca.pem"), "-verify_return_error",
                     version)
        works(done, "Verify return code: 0")
        t.logged(name="allowed.test", reason="ok")


@test(core=True, plain=True)
def openssl_early_data_is_taken(t):
    """nginx takes the request out of it."""
    with open(t.lab.path("request"), "wb") as f:
        f.write(get("new.test", "/", "Connection: close"))
    s_client = ("openssl", "s_client", "-connect", endpoint(t, "new"), "-servername", "new.test",
                "-CAfile", t.lab.path("ca.pem"), "-verify_return_error", "-ign_eof")
    session = t.lab.path("session")
    works(t.run(*s_client, "-sess_out", session, input="GET / HTTP/1.0\r\n\r\n"), "early=no")
    t.logged(name="new.test", reason="ok")
    works(t.run(*s_client, "-sess_in", session, "-early_data", t.lab.path("request"), input=""),
          "early=yes")
    t.logged(name="new.test", reason=("ok", "upstream_reset"))  # it closes with bytes unread


@test(core=True)
def openssl_denied_reports_access_denied(t):
    for version in "-tls1_2", "-tls1_3":
        with Unseen(t):
            done = t.run("openssl", "s_client", "-connect", endpoint(t, "denied"), "-servername",
                         "denied.test", version)
        fails(done, "alert access denied")
        t.logged(name="denied.test", reason="policy")


def endpoint(t, role, port=443):
    address = t.server(role)
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


@test(plain=True)
def gnutls_cli(t):
    for priority in "NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.3":
        done = t.run("gnutls-cli", "--x509cafile", t.lab.path("ca.pem"), "--priority", priority,
                     "allowed.test")
        works(done, "Handshake was completed")
        t.logged(name="allowed.test", reason="ok")


@test()
def gnutls_denied_reports_access_denied(t):
    with Unseen(t):
        done = t.run("gnutls-cli", "--x509cafile", t.lab.path("ca.pem"), "denied.test")
    fails(done, "Access was denied")
    t.logged(name="denied.test", reason="policy")


@test(plain=True)
def wget(t):
    for scheme in "https", "http":
        works(t.run("wget", "-q", "-O", "-", "--ca-certificate", t.lab.path("ca.pem"), "--tries=1",
                    t.url(scheme, "allowed.test")))
        t.logged(name="allowed.test", proto="tls" if scheme == "https" else "http", reason="ok")


@test()
def wget_denied_reports_access_denied(t):
    with Unseen(t):
        done = t.run("wget", "-O", "-", "--ca-certificate", t.lab.path("ca.pem"), "--tries=1",
                     t.url("https", "denied.test"))
    fails(done, "Access was denied", "access denied")
    t.logged(name="denied.test", reason="policy")
    with Unseen(t):
        fails(t.run("wget", "-O", "-", "--tries=1", t.url("http", "denied.test")), "403")
    t.logged(name="denied.test", reason="policy")


def node(t, name, role):
    return t.run("node", "-e", NODE, name, t.server(role), t.lab.path("ca.pem"))


@test(plain=True)
def node_https(t):
    works(node(t, "allowed.test", "site"))
    t.logged(name="allowed.test", reason="ok")


@test()
def node_denied_reports_access_denied(t):
    with Unseen(t):
        done = node(t, "denied.test", "denied")
    fails(done, "access denied", "ACCESS_DENIED")
    t.logged(name="denied.test", reason="policy")


@test(ini={"policy.deny_tls": "reset"})
def deny_tls_reset_gives_a_reset(t):
    with Unseen(t):
        is_reset(t, tls.handmade_hello(b"denied.test"), role="denied")
    t.logged(name="denied.test", reason="policy")
    with Unseen(t):
        done = t.curl("-v", t.url("https", "denied.test"))
    fails(done, "reset by peer")
    t.logged(name="denied.test", reason="policy")
    is_allowed(t, "allowed.test")
    t.logged(name="allowed.test", reason="ok")
    is_forbidden(t, get("denied.test"), role="denied", port=80)
    t.logged(name="denied.test", reason="policy")
