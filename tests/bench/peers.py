# SPDX-License-Identifier: GPL-2.0-or-later
"""
The proxies that Sluice is compared with, each set up for this one job as its manual says.
README says why each line is there.
"""

import contextlib
import os
import re
import signal

from contenders import DENIED, NAME, PORT, TARGET, Absent
from lab import LISTENER
from netns import Missing, run, tool

BACKLOG = 4096  # of the listeners of all
DESCRIPTORS = 20000  # that a process may have
LOGS = "access.log", "out"  # in its folder, one or the other


class Peer:
    """A program with a configuration file. `copies` processes are started."""
    program_name = config = None
    workers = 1
    good_ends = (0,)
    how_to_stop = signal.SIGTERM

    def __init__(self, lab, _build):
        self.lab, self.running = lab, []
        try:
            self.program = os.path.realpath(tool(self.program_name))
        except Missing as error:
            raise Absent(str(error)) from None
        self.folder = lab.path(self.name)
        os.mkdir(self.folder)
        self.config_path = self.file("config")
        self.prepare()
        with open(self.config_path, "w", encoding="ascii") as f:
            f.write(self.filled(self.config))

    def prepare(self):
        """What there must be before the configuration is written."""

    def values(self):
        return {"dir": self.folder, "workers": self.workers, "name": NAME, "denied": DENIED,
                "target": TARGET, "port": PORT, "listener": LISTENER, "backlog": BACKLOG,
                "descriptors": DESCRIPTORS}

    def filled(self, text):
        values = self.values()
        return re.sub(r"@(\w+)@", lambda m: str(values[m.group(1)]), text)

    def file(self, name):
        return os.path.join(self.folder, name)

    def copies(self):
        return 1

    def start(self):
        for name in LOGS:
            with contextlib.suppress(FileNotFoundError):
                os.remove(self.file(name))
        for _ in range(self.copies()):
            with open(self.file("out"), "ab") as out, open(self.file("err"), "ab") as err:
                self.running.append(self.lab.start(
                    self.lab.gateway, [self.program, *self.arguments()], stdout=out, stderr=err))

    def processes(self):
        for process in self.running:
            assert process.poll() is None, f"{self.name} ended: {process.returncode} {self.said()}"
        return [process.pid for process in self.running]

    def said(self):
        text = ""
        for name in "err", "errors.log":
            with contextlib.suppress(OSError), open(self.file(name), encoding="utf-8",
                                                    errors="replace") as f:
                text += f.read()[-1500:]
        return text

    def stop(self):
        running, self.running = self.running, []
        ends = [self.lab.processes.stop(process, self.how_to_stop) for process in running]
        assert all(end in self.good_ends for end in ends), f"{self.name}: {ends} {self.said()}"
        written = sum(os.path.getsize(self.file(name)) for name in LOGS
                      if os.path.exists(self.file(name)))
        assert written, f"{self.name} wrote no access log"

    def kill(self):
        running, self.running = self.running, []
        for process in running:
            self.lab.processes.stop(process, seconds=3)


# --- nginx ----------------------------------------------------------------------------------

class Nginx(Peer):
    name, what, program_name = "nginx", "stream, ssl_preread, map on the SNI", "nginx"
    config = """\
load_module @modules@/ngx_stream_module.so;
daemon off;
user root;
worker_processes @workers@;
worker_rlimit_nofile @descriptors@;
pid @dir@/pid;
error_log @dir@/errors.log;
events {
    worker_connections @descriptors@;
    multi_accept on;
}
stream {
    log_format line '$time_iso8601 $remote_addr $ssl_preread_server_name $upstream_addr '
                    '$status $bytes_sent $bytes_received $session_time';
    access_log @dir@/access.log line buffer=64k flush=1s;
    map $ssl_preread_server_name $upstream {
        @name@ @target@:@port@;
        default 127.0.0.1:1;
    }
    server {
        listen 0.0.0.0:@listener@ backlog=@backlog@@reuseport@;
        ssl_preread on;
        proxy_timeout 1h;
        proxy_buffer_size 64k;
        proxy_pass $upstream;
    }
}
"""

    def prepare(self):
        found = re.search(r"--modules-path=(\S+)", run(["nginx", "-V"]).stderr)
        self.modules = found.group(1) if found else "/usr/lib/nginx/modules"
        if not os.path.exists(f"{self.modules}/ngx_stream_module.so"):
            raise Absent("its stream module is not there (Debian: libnginx-mod-stream)")

    def values(self):
        return {**super().values(), "modules": self.modules,
                "reuseport": " reuseport" if self.workers > 1 else ""}

    def arguments(self):
        return ["-e", self.file("errors.log"), "-p", self.folder, "-c", self.config_path]

    def version(self):
        return run([self.program, "-v"]).stderr.strip()


# --- haproxy --------------------------------------------------------------------------------

class Haproxy(Peer):
    name, what = "haproxy", "mode tcp, inspect-delay, req.ssl_sni, splice-auto"
    program_name = "haproxy"
    good_ends = (0, 128 + signal.SIGTERM, -signal.SIGTERM)
    config = """\
global
    nbthread @workers@
    log stdout format raw local0
    tune.bufsize 65536

defaults
    mode tcp
    log global
    option splice-auto
    option tcp-smart-connect
    timeout connect 10s
    timeout client 1h
    timeout server 1h

frontend tls
    bind 0.0.0.0:@listener@ backlog @backlog@
    log-format "%ci:%cp [%t] %[var(sess.sni)] %b/%s %Tw/%Tc/%Tt %B %U %ts %ac/%fc/%bc/%sc/%rc"
    tcp-request inspect-delay 5s
    tcp-request content set-var(sess.sni) req.ssl_sni if { req.ssl_hello_type 1 }
    tcp-request content accept if { var(sess.sni) -m str -i @name@ }
    tcp-request content reject
    default_backend server

backend server
    server server @target@:@port@
"""

    def arguments(self):
        return ["-db", "-f", self.config_path]

    def version(self):
        return run([self.program, "-v"]).stdout.splitlines()[0]


class HaproxySplice(Haproxy):
    """For bulk alone: where bytes are few at a time, splicing costs it a quarter and more."""
    name, what = "haproxy-splice", "the same, all spliced, pipes of 1 MB"
    parts = "bulk", "cost"
    scales = False
    config = Haproxy.config.replace("option splice-auto", "option splice-request\n"
                                    "    option splice-response").replace(
        "tune.bufsize 65536", "tune.pipesize 1048576")


# --- sniproxy -------------------------------------------------------------------------------

class Sniproxy(Peer):
    """One process has one thread; several share the port."""
    name, what, program_name = "sniproxy", "table on the SNI", "sniproxy"
    config = """\
user root
pidfile @dir@/pid
error_log {
    filename @dir@/errors.log
}
access_log {
    filename @dir@/access.log
}
listener 0.0.0.0:@listener@ {
    protocol tls
    reuseport yes
    table names
}
table names {
    ^@pattern@$ @target@:@port@
}
"""

    def values(self):
        return {**super().values(), "pattern": NAME.replace(".", "\\\\.")}

    def arguments(self):
        return ["-f", "-c", self.config_path, "-n", str(DESCRIPTORS)]

    def copies(self):
        return self.workers

    def version(self):
        return f"sniproxy {run([self.program, '-V']).stdout.split()[-1]}"


# --- squid ----------------------------------------------------------------------------------

class Squid(Peer):
    name, what, program_name = "squid", "intercept, ssl_bump: peek, splice, terminate", "squid"
    config = """\
https_port 0.0.0.0:@listener@ intercept ssl-bump generate-host-certificates=off \\
    tls-cert=@dir@/ca.pem@queues@
http_port 127.0.0.1:3128
acl step1 at_step SslBump1
acl allowed ssl::server_name @name@
ssl_bump peek step1
ssl_bump splice allowed
ssl_bump terminate all
http_access allow all
cache deny all
hosts_file @dir@/hosts
logformat line %ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %ssl::>sni %Sh/%<a
access_log stdio:@dir@/access.log logformat=line
buffered_logs on
cache_log @dir@/errors.log
cache_store_log none
coredump_dir @dir@
pid_filename @dir@/pid
netdb_filename none
pinger_enable off
client_db off
max_filedescriptors @descriptors@
workers @workers@
shutdown_lifetime 0 seconds
"""

    def prepare(self):
        with open(self.file("hosts"), "w", encoding="ascii") as f:
            f.writelines(f"{TARGET} {name}\n" for name in (NAME, DENIED))
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-subj", "/CN=unused", "-days", "2", "-keyout", self.file("key"),
             "-out", self.file("certificate")])
        with open(self.file("ca.pem"), "w", encoding="ascii") as ca:
            for name in "key", "certificate":
                with open(self.file(name), encoding="ascii") as f:
                    ca.write(f.read())
        run(["chown", "-R", "proxy:proxy", self.folder])

    def values(self):
        return {**super().values(), "queues": " worker-queues" if self.workers > 1 else ""}

    def arguments(self):
        """-N: a single process that does it all."""
        return ["-f", self.config_path, "-n", self.service(), *(
            ["-N"] if self.workers == 1 else ["--foreground"])]

    def service(self):
        """The name of its shared memory."""
        return "".join(c for c in os.path.basename(self.lab.dir) + self.name if c.isalnum())

    def version(self):
        return run([self.program, "-v"]).stdout.splitlines()[0]


PEERS = Nginx, Haproxy, HaproxySplice, Sniproxy, Squid
