# SPDX-License-Identifier: GPL-2.0-or-later
"""
The proxies that Sluice is compared with, each set up for this one job as its manual says.
README says why each line is there.
"""

import contextlib
import os
import re
import signal

from contenders import DENIED, NAME, PORT, TARGET, Skipped
from lab import LISTENER
from netns import Missing, run, tool

BACKLOG = 4096  # of the listeners of all
DESCRIPTORS = 20000  # that a process may have


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
            raise Skipped(str(error)) from None
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
        proxy_pass $upstream;
    }
}
"""

    def prepare(self):
        found = re.search(r"--modules-path=(\S+)", run(["nginx", "-V"]).stderr)
        self.modules = found.group(1) if found else "/usr/lib/nginx/modules"
        if not os.path.exists(f"{self.modules}/ngx_stream_module.so"):
            raise Skipped("its stream module is not there (Debian: libnginx-mod-stream)")

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
    stats socket @dir@/control level admin

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


PEERS = Nginx, Haproxy


def logged_bytes(contender):
    """Of a peer: what it has written to its access log and to standard output."""
    return sum(os.path.getsize(contender.file(name)) for name in ("access.log", "out")
               if os.path.exists(contender.file(name)))
