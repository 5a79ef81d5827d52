# SPDX-License-Identifier: GPL-2.0-or-later
"""
The two ends of what is measured: our own server and load generator, and nginx and wrk, which
speak real TLS. Every client returns what one run gave: `connections`, `errors`, `stuck`, `error`,
and the values of its rows.
"""

import glob
import json
import os
import re
import subprocess

from contenders import NAME, PORT, TARGET
from lab import CLIENTS
from machine import executable, family, listening, kernel_kb, own_kb
from netns import run, tool, until
from servers import make_certificates

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
SOURCES = [addresses[0] for addresses in CLIENTS.values()]
LIMIT = 20  # seconds that a run may take before it is a failed one
WARM_MS, QUICK_WARM_MS, QUICK_MS = 300, 100, 250
IDLE, QUICK_IDLE = 5000, 500  # connections


def build_load(lab):
    """The load generator, server and client in one."""
    path = lab.path("load")
    run(["gcc", "-D_GNU_SOURCE", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{TOP}",
         "-o", path, *sorted(glob.glob(os.path.join(HERE, "load", "*.c")))])
    return path


# --- servers --------------------------------------------------------------------------------

class Server:
    def __init__(self, lab):
        self.lab, self.process = lab, None

    def launch(self, argv, **options):
        self.program = os.path.realpath(tool(argv[0]))
        self.process = self.lab.start(self.lab.server, argv, **options)
        until(lambda: listening(self.lab.server, PORT), 10, "the server listens")
        return self

    def processes(self):
        return family([self.process.pid])

    def check(self):
        """It listens, and nobody else."""
        pids = listening(self.lab.server, PORT)
        assert pids and pids <= self.processes(), "a foreign server"
        assert all(executable(pid) == self.program for pid in pids), "another server"

    def stop(self):
        self.lab.processes.stop(self.process)


def load_server(lab, load, counter):
    return Server(lab).launch([load, "serve", TARGET, PORT, "-f", counter])


TLS_SERVER = """\
daemon off;
user root;
worker_processes 1;
pid {dir}/pid;
error_log {dir}/errors.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
    uwsgi_temp_path {dir}; scgi_temp_path {dir};
    keepalive_requests 100000000;
    server {{
        listen {address}:{port} ssl backlog=4096;
        ssl_certificate {cert};
        ssl_certificate_key {key};
        return 200 "{body}";
    }}
}}
"""


def tls_server(lab):
    folder = lab.path("tls-server")
    if not os.path.exists(folder):
        os.mkdir(folder)
        make_certificates(lab)
        with open(f"{folder}/conf", "w", encoding="ascii") as f:
            f.write(TLS_SERVER.format(dir=folder, address=TARGET, port=PORT, body="x" * 200,
                                      cert=lab.path("cert.pem"), key=lab.path("key.pem")))
    with open(f"{folder}/out", "ab") as out:
        return Server(lab).launch(["nginx", "-e", f"{folder}/errors.log", "-c", f"{folder}/conf"],
                                  stdout=out, stderr=out)


# --- memory ---------------------------------------------------------------------------------

def memory(contender=None):
    """Of the processes of the contender, and of the kernel, whoever it is for."""
    kernel = kernel_kb()
    user = own_kb(family(contender.processes())) if contender else 0
    return {"total_kb": kernel + user, "user_kb": user, "kernel_kb": kernel}


# --- clients --------------------------------------------------------------------------------

class Clients:
    def __init__(self, lab, load, counter, quick):
        self.lab, self.load, self.counter, self.quick = lab, load, counter, quick

    def one(self, row, contender):
        if row.mode == "idle":
            return self.idle(contender)
        if row.mode == "wrk":
            return self.wrk(row)
        return self.drive(row.mode, NAME, [*row.options, *self.times(row)])

    def times(self, row):
        warm, ms = (QUICK_WARM_MS, QUICK_MS) if self.quick else (WARM_MS, row.ms)
        return ["-w", warm, "-d", ms, "-t", LIMIT]

    def command(self, mode, name, options):
        sources = [word for source in SOURCES for word in ("-b", source)]
        return [self.load, mode, TARGET, PORT, name, "-f", self.counter, *options, *sources]

    def drive(self, mode, name, options):
        done = self.lab.client.run(*self.command(mode, name, options), check=False,
                                   timeout=LIMIT + 20)
        assert done.stdout, f"load: exit {done.returncode}: {done.stderr}"
        answer = json.loads(done.stdout)
        if answer.get("bytes"):
            answer["per_gb"] = answer["busy"] / answer["bytes"] * 1e9
        if answer.get("measured"):
            answer["per_10000"] = answer["busy"] / answer["measured"] * 1e4
        return answer

    # --- idle connections ---

    def idle(self, contender):
        count = QUICK_IDLE if self.quick else IDLE
        before = memory(contender)
        client = self.lab.start(
            self.lab.client, self.command("idle", NAME, ["-c", count, "-t", LIMIT]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            answer = json.loads(client.stdout.readline() or "{}")
            if "ready" in answer:
                full = memory(contender)
                client.stdin.write("x")
                client.stdin.flush()
                answer = json.loads(client.stdout.readline())
                answer.update({key: (full[key] - before[key]) / count for key in before})
            assert "errors" in answer, "load idle says nothing"
            return answer
        finally:
            self.lab.processes.stop(client)
            client.stdin.close()
            client.stdout.close()

    # --- real TLS ---

    def wrk(self, row):
        seconds = 1 if self.quick else 2
        argv = ["wrk", "-t", 1, "-c", 32, "-d", f"{seconds}s", "--latency", *row.options,
                f"https://{NAME}/"]
        done = run(self.lab.client_command(argv, self.lab.hosts_file({NAME: TARGET})),
                   timeout=LIMIT + 20)
        return self.wrk_answer(done.stdout)

    @staticmethod
    def wrk_answer(text):
        units = {"us": 1, "ms": 1e3, "s": 1e6}

        def time_us(percent):
            number, unit = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s)$", text, re.M).groups()
            return float(number) * units[unit]

        wrong = re.findall(r"^\s+(?:Socket errors|Non-2xx).*", text, re.M)
        requests = int(re.search(r"(\d+) requests in", text).group(1))
        return {"connections": 1, "errors": len(wrong), "stuck": 0 if requests else 1,
                "error": " ".join(w.strip() for w in wrong),
                "per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),
                "p50_us": time_us(50), "p99_us": time_us(99)}
