# SPDX-License-Identifier: GPL-2.0-or-later
"""
The network of the tests, three namespaces:

    client ──────────────── gateway ──────────────── server
    10.77.1.2, .3 ...   .1          10.77.2.1    .2 site, .3 evil, .4 raw ...
    fd77:1::2 ...      ::1          fd77:2::1    ::2, ::3, ::4 ...

The gateway forwards, and REDIRECTs some TCP ports of the client to the daemon. Everything has
names of its own, so that several runs can share a machine, and goes away with close().
"""

import os
import shutil
import socket
import tempfile

from netns import Namespace, Processes, run

LISTENER = 3129
REDIRECTED = ("80", "443", str(LISTENER), "8000:8099")

# (IPv4, IPv6) of everything, by role
CLIENTS = {
    "client": ("10.77.1.2", "fd77:1::2"),
    "second": ("10.77.1.3", "fd77:1::3"),
    "agent": ("10.77.1.17", "fd77:1::a:2"),  # in the group agents
    "narrow": ("10.77.1.18", "fd77:1::a:3"),  # in agents by prefix, in narrow by a longer one
}
GATEWAY = {"inside": ("10.77.1.1", "fd77:1::1"), "outside": ("10.77.2.1", "fd77:2::1")}
SERVERS = {
    "site": ("10.77.2.2", "fd77:2::2"),  # nginx, the names that are allowed
    "evil": ("10.77.2.3", "fd77:2::3"),  # nginx, where forged names lead to
    "raw": ("10.77.2.4", "fd77:2::4"),  # servers that a test makes itself
    "old": ("10.77.2.5", "fd77:2::5"),  # nginx, TLS 1.2 only
    "new": ("10.77.2.6", "fd77:2::6"),  # nginx, TLS 1.3 only
    "swap": ("10.77.2.7", "fd77:2::7"),  # nginx, TLS at port 80, HTTP at port 443
    "denied": ("10.77.2.8", "fd77:2::8"),  # nginx, the names that are not
    "closed": ("10.77.2.9", "fd77:2::9"),  # refuses
    "drop": ("10.77.2.10", "fd77:2::10"),  # does not answer
    "dns": ("10.77.2.53", "fd77:2::53"),
}
PRIVATE = "10.77.0.0/16", "fd77::/16"
BPFFS = "/sys/fs/bpf"


def pick(addresses, family):
    return addresses[0 if family == 4 else 1]


class Lab:
    def __init__(self, redirect=True, name=""):
        """name: of one beside others of this process."""
        self.prefix = f"slt{os.getpid()}{name}"
        self.pin = f"{BPFFS}/{self.prefix}"
        self.dir = tempfile.mkdtemp(prefix=f"{self.prefix}-")
        os.chmod(self.dir, 0o755)  # a daemon that dropped its user must get in
        self.processes = Processes()
        self.namespaces = []
        try:
            self._build(redirect)
        except BaseException:
            self.close()
            raise

    # --- making it ---

    def _build(self, redirect):
        if not os.path.ismount(BPFFS):
            run(["mount", "-t", "bpf", "bpf", BPFFS])
        self.client, self.gateway, self.server = (self._namespace(n) for n in "cgs")
        self._link(self.client, "c0", self.gateway, "g0")
        self._link(self.gateway, "g1", self.server, "s0")
        self._addresses(self.client, "c0", CLIENTS.values())
        self._addresses(self.gateway, "g0", [GATEWAY["inside"]])
        self._addresses(self.gateway, "g1", [GATEWAY["outside"]])
        self._addresses(self.server, "s0", SERVERS.values())
        for ns, router, source in ((self.client, GATEWAY["inside"], CLIENTS["client"]),
                                   (self.server, GATEWAY["outside"], SERVERS["site"])):
            ns.run("ip", "route", "add", "default", "via", router[0], "src", source[0])
            ns.run("ip", "-6", "route", "add", "default", "via", router[1], "src", source[1])
        self.gateway.sysctl("ipv4/ip_forward", 1)
        self.gateway.sysctl("ipv6/conf/all/forwarding", 1)
        self._count_packets()
        self._drop_packets()
        if redirect:
            self._redirect()

    def _namespace(self, letter):
        ns = Namespace(f"{self.prefix}-{letter}")
        self.namespaces.append(ns)
        ns.create()
        ns.run("ip", "link", "set", "lo", "up")
        return ns

    def _link(self, one, one_name, two, two_name):
        run(["ip", "link", "add", one_name, "netns", one.name, "type", "veth",
             "peer", "name", two_name, "netns", two.name])
        for ns, name in (one, one_name), (two, two_name):
            ns.run("ip", "link", "set", name, "up")

    def _addresses(self, ns, link, addresses):
        lines = []
        for v4, v6 in addresses:
            lines += [f"addr add {v4}/24 dev {link}", f"addr add {v6}/64 dev {link} nodad"]
        ns.run("ip", "-batch", "-", input="\n".join(lines))

    def _redirect(self):
        for iptables, net in ("iptables", "10.77.2.0/24"), ("ip6tables", "fd77:2::/64"):
            for ports in REDIRECTED:
                self.gateway.run(iptables, "-w", "-t", "nat", "-A", "PREROUTING", "-i", "g0",
                                 "-d", net, "-p", "tcp", "--dport", ports,
                                 "-j", "REDIRECT", "--to-ports", LISTENER)

    def _count_packets(self):
        """One rule without a target for each address: it counts what TCP sends there."""
        for iptables, i in ("iptables", 0), ("ip6tables", 1):
            for addresses in SERVERS.values():
                self.server.run(iptables, "-w", "-A", "INPUT", "-p", "tcp", "-d", addresses[i])

    def _drop_packets(self):
        for iptables, address in zip(("iptables", "ip6tables"), SERVERS["drop"]):
            self.server.run(iptables, "-w", "-A", "INPUT", "-p", "tcp", "-d", address, "-j", "DROP")

    # --- using it ---

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def packets(self, role, family):
        """TCP packets that have arrived at the address of a server."""
        iptables = "iptables" if family == 4 else "ip6tables"
        address = pick(SERVERS[role], family)
        listing = self.server.run(iptables, "-w", "-nvxL", "INPUT").stdout
        for line in listing.splitlines():
            words = line.split()
            if len(words) > 7 and any(w.split("/")[0] == address for w in words[6:9]):
                return int(words[0])
        raise AssertionError(f"no counter for {address}:\n{listing}")

    def connect(self, address, port, source=None, timeout=20, before=None):
        """A TCP connection from the client namespace. before(socket) may set options."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = self.client.socket(family)
        try:
            sock.settimeout(timeout)
            if before:
                before(sock)
            if source:
                sock.bind((source, 0))
            sock.connect((address, port))
        except BaseException:
            sock.close()
            raise
        return sock

    def start(self, ns, argv, **options):
        return self.processes.start(ns.command(argv), **options)

    def hosts_file(self, names):
        """For a client program: {name: address}."""
        path = self.path("client.hosts")
        with open(path, "w", encoding="ascii") as f:
            f.writelines(f"{address} {name}\n" for name, address in names.items())
        return path

    def client_command(self, argv, hosts):
        """A command in the client namespace that sees `hosts` as /etc/hosts."""
        script = 'mount --bind "$0" /etc/hosts && exec "$@"'
        return self.client.command(["unshare", "--mount", "bash", "-c", script, hosts, *argv])

    # --- taking it down ---

    def close(self):
        self.processes.stop_all()
        for ns in reversed(self.namespaces):
            ns.delete()
        remove_pins(self.pin)
        shutil.rmtree(self.dir, ignore_errors=True)

    def leftovers(self):
        """What close() should have taken away and did not."""
        found = [f"process {p.pid}" for p in self.processes.alive()]
        found += [f"namespace {n}" for n in list_dir("/run/netns") if n.startswith(self.prefix)]
        found += [f"pinned {p}" for p in list_dir(BPFFS) if p.startswith(self.prefix)]
        found += [self.dir] if os.path.exists(self.dir) else []
        return found


def list_dir(path):
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []


def remove_pins(path):
    """bpffs has no recursive removal of its own; shutil does, file by file."""
    if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
