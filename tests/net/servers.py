# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands in the server namespace: nginx, dnsmasq, and raw servers that a test writes."""

import contextlib
import hashlib
import os
import random
import socket
import struct
import threading

from lab import SERVERS, pick
from netns import run, until

MEGABYTE = 1 << 20

# name -> role of the server that owns it; a leading dot: everything below as well
NAMES = {
    ".allowed.test": "site",
    ".other.test": "site",
    ".tree.test": "site",
    ".below.test": "site",
    ".tie.test": "site",
    ".agents.test": "site",
    ".narrow.test": "site",
    ".ports.test": "site",
    ".unlisted.test": "site",
    ".sentinel.test": "site",
    ".forged.test": "site",
    ".raw.test": "raw",
    ".old.test": "old",
    ".new.test": "new",
    ".swap.test": "swap",
    ".denied.test": "denied",
    ".closed.test": "closed",
    ".drop.test": "drop",
}
SPECIAL = {  # names whose address we must not be led to
    "loopback.bad.test": ("127.0.0.1", "::1"),
    "private.bad.test": ("192.168.77.1", "fc00:77::1"),
    "linklocal.bad.test": ("169.254.169.254", "fe80::1"),
    "gateway.bad.test": ("10.77.2.1", "fd77:2::1"),  # the daemon's own machine
}
ONE_FAMILY = {"four.test": (SERVERS["site"][0],), "six.test": (SERVERS["site"][1],)}


# --- certificates ---------------------------------------------------------------------------

def make_certificates(lab):
    """A CA and one certificate for every name: ca.pem, cert.pem, key.pem."""
    names = [n for name in NAMES for n in (name[1:], f"*{name}")] + list(ONE_FAMILY)
    names += ["alias.test"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    run(["openssl", "req", "-x509", *curve, "-subj", "/CN=Sluice test CA", "-days", "2",
         "-keyout", lab.path("ca.key"), "-out", lab.path("ca.pem")])
    run(["openssl", "req", "-new", *curve, "-subj", "/CN=allowed.test",
         "-keyout", lab.path("key.pem"), "-out", lab.path("csr.pem")])
    with open(lab.path("san"), "w", encoding="ascii") as f:
        f.write("subjectAltName=" + ",".join(f"DNS:{n}" for n in names) + "\n")
    run(["openssl", "x509", "-req", "-in", lab.path("csr.pem"), "-CA", lab.path("ca.pem"),
         "-CAkey", lab.path("ca.key"), "-CAcreateserial", "-days", "2",
         "-extfile", lab.path("san"), "-out", lab.path("cert.pem")])


# --- nginx ----------------------------------------------------------------------------------

def make_content(path, size):
    """Pseudo-random bytes; returns their SHA-256."""
    digest, source = hashlib.sha256(), random.Random(size)
    with open(path, "wb") as f:
        for _ in range(size // MEGABYTE):
            block = source.randbytes(MEGABYTE)
            digest.update(block)
            f.write(block)
    return digest.hexdigest()


def _listen(role, *ports):
    v4, v6 = SERVERS[role]
    return "".join(f"listen {a}:{p};" for p in ports for a in (v4, f"[{v6}]"))


def _server(lab, role, tls_ports, http_ports, protocols="TLSv1.2 TLSv1.3", early="off"):
    listen = _listen(role, *(f"{p} ssl" for p in tls_ports), *http_ports)
    return f"""
    server {{
        {listen}
        server_name {role};
        access_log {lab.path(role + ".log")};
        ssl_protocols {protocols};
        ssl_early_data {early};
        location / {{ return 200 "server={role} host=$host tls=$ssl_protocol early=$early\\n"; }}
        location /files/ {{ alias {lab.path("www")}/; }}
        location /slow/ {{ alias {lab.path("www")}/; limit_rate 512k; }}
        location /put/ {{
            alias {lab.path("put")}/;
            dav_methods PUT;
            client_max_body_size 0;
        }}
    }}"""


def nginx_config(lab):
    servers = [
        _server(lab, "site", (443, 8043), (80, 8080)),
        _server(lab, "evil", (443,), (80,)),
        _server(lab, "old", (443,), (80,), "TLSv1.2"),
        _server(lab, "new", (443,), (80,), "TLSv1.3", early="on"),
        _server(lab, "swap", (80,), (443,)),
        _server(lab, "denied", (443,), (80,)),
    ]
    temp = "".join(f"{kind}_temp_path {lab.path('tmp')};\n"
                   for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return f"""
user root;
worker_processes 1;
daemon off;
pid {lab.path("nginx.pid")};
error_log {lab.path("nginx.err")} warn;
events {{ worker_connections 2048; }}
http {{
    {temp}
    ssl_certificate {lab.path("cert.pem")};
    ssl_certificate_key {lab.path("key.pem")};
    keepalive_requests 100000;
    default_type text/plain;
    map $ssl_early_data $early {{ 1 yes; default no; }}
    {"".join(servers)}
}}
"""


def start_nginx(lab):
    for folder in "www", "put", "tmp":
        os.makedirs(lab.path(folder), exist_ok=True)
    with open(lab.path("nginx.conf"), "w", encoding="ascii") as f:
        f.write(nginx_config(lab))
    with open(lab.path("nginx.out"), "wb") as out:
        process = lab.start(lab.server, ["nginx", "-e", lab.path("nginx.err"),
                                         "-c", lab.path("nginx.conf")], stdout=out, stderr=out)

    def ready():
        if process.poll() is not None:
            raise AssertionError(f"nginx ended: {_tail(lab.path('nginx.err'))}")
        return _listens(lab, SERVERS["denied"][1], 443)

    until(ready, 60, "nginx listens")


def _listens(lab, address, port):
    sock = lab.server.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    with sock:
        return sock.connect_ex((address, port)) == 0


def _tail(path):
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as f:
        return f.read()[-2000:]
    return ""


# --- dnsmasq --------------------------------------------------------------------------------

def dnsmasq_config(lab):
    lines = ["no-resolv", "no-hosts", "no-daemon", "bind-interfaces", "port=53", "local=/test/",
             "cname=alias.test,target.test", f"pid-file={lab.path('dnsmasq.pid')}"]
    lines += [f"listen-address={a}" for a in SERVERS["dns"]]
    for name, role in NAMES.items():
        lines += [f"address=/{name[1:]}/{a}" for a in SERVERS[role]]
    for name, addresses in {**SPECIAL, **ONE_FAMILY, "target.test": SERVERS["site"]}.items():
        lines.append(f"host-record={name},{','.join(addresses)}")
    return "\n".join(lines) + "\n"


def start_dnsmasq(lab):
    with open(lab.path("dnsmasq.conf"), "w", encoding="ascii") as f:
        f.write(dnsmasq_config(lab))
    with open(lab.path("dnsmasq.err"), "wb") as err:
        process = lab.start(lab.server, ["dnsmasq", f"--conf-file={lab.path('dnsmasq.conf')}",
                                         "--user=root", "--keep-in-foreground"],
                            stdout=err, stderr=err)

    def ready():
        if process.poll() is not None:
            raise AssertionError(f"dnsmasq ended: {_tail(lab.path('dnsmasq.err'))}")
        return resolve(lab, "allowed.test", 4)[1] and resolve(lab, "allowed.test", 6)[1]

    until(ready, 60, "dnsmasq answers")
    return process


def resolve(lab, name, family, server=None):
    """Asks dnsmasq from the gateway: (rcode, [addresses])."""
    kind, size = (1, 4) if family == 4 else (28, 16)
    labels = b"".join(bytes([len(p)]) + p.encode() for p in name.split("."))
    question = struct.pack("!6H", 77, 0x100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, kind, 1)
    with lab.gateway.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        try:
            sock.sendto(question, (server or SERVERS["dns"][0], 53))
            answer = sock.recv(2048)
        except OSError:
            return None, []
    rcode, count = answer[3] & 15, struct.unpack_from("!H", answer, 6)[0]
    at, found = len(question), []
    for _ in range(count):
        while answer[at] and answer[at] < 0xc0:
            at += 1 + answer[at]
        at += 2 if answer[at] else 1
        rtype, _, _, length = struct.unpack_from("!HHIH", answer, at)
        if rtype == kind and length == size:
            found.append(answer[at + 10:at + 10 + length])
        at += 10 + length
    return rcode, [socket.inet_ntop(socket.AF_INET if family == 4 else socket.AF_INET6, a)
                   for a in found]


# --- servers made by a test -----------------------------------------------------------------

class RawServer:
    """
    Listens at the address `raw` while the with-block lasts; handler(socket) runs in a thread
    for each connection. The first exception of a handler is raised at the end of the block.
    """

    def __init__(self, lab, family, port, handler, role="raw"):
        self.handler = handler
        self.errors, self.threads, self.accepted = [], [], 0
        self.address = pick(SERVERS[role], family)
        self.port = port
        self.listener = lab.server.socket(socket.AF_INET6 if family == 6 else socket.AF_INET)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.address, port))
        self.listener.listen(512)

    def __enter__(self):
        self._thread(self._accept)
        return self

    def __exit__(self, kind, value, trace):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        if kind is None:
            for thread in self.threads:
                thread.join(60)
                assert not thread.is_alive(), "a raw server's handler does not end"
        self.listener.close()
        if kind is not None and self.errors:
            value.add_note(f"and the server: {self.errors[:5]!r}")
        if kind is None and self.errors:
            raise AssertionError(f"server: {self.errors[0]!r}") from self.errors[0]

    def _thread(self, target, *args):
        thread = threading.Thread(target=target, args=args, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._thread(self._serve, sock)

    def _serve(self, sock):
        try:
            with sock:
                sock.settimeout(60)
                self.handler(sock)
        except Exception as error:  # told by __exit__, in the test's thread
            self.errors.append(error)


def reset(sock):
    """Closes with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def start_servers(lab):
    make_certificates(lab)
    start_nginx(lab)
    return start_dnsmasq(lab)
