# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon under test: its configuration, its life, what sluicectl says and what it logs."""

import contextlib
import json
import os
import signal
import subprocess

from lab import LISTENER, PRIVATE, SERVERS, list_dir
from netns import run, until

CRASH_WORDS = ("ERROR: AddressSanitizer", "runtime error", "ERROR: LeakSanitizer",
               "SUMMARY: ", "Assertion ", "ERROR: libFuzzer")

TRACED = {"ASAN_OPTIONS": "exitcode=99:detect_leaks=0"}  # under strace leaks cannot be looked for
SANITIZER = {"ASAN_OPTIONS": "exitcode=99:detect_leaks=1:abort_on_error=0",
             "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=0"}

# Rules that every configuration has. Lists are written one value a line.
RULES = {
    "clients agents": {"networks": ["10.77.1.16/28", "fd77:1::a:0/112"]},
    "clients narrow": {"networks": ["10.77.1.18/32", "fd77:1::a:3/128"]},
    "rule base": {
        "allow": [".allowed.test", "other.test", ".tree.test", "*.below.test", ".raw.test",
                  ".old.test", ".new.test", ".swap.test", ".closed.test", ".drop.test",
                  ".bad.test", ".nowhere.test", "alias.test", "four.test", "six.test",
                  "open.secret.tree.test"],
        "deny": ["denied.tree.test", ".secret.tree.test", ".sentinel.test"],
    },
    "rule tie-allow": {"allow": ["tie.test"]},
    "rule tie-deny": {"deny": ["tie.test"]},
    "rule agents": {"clients": "agents", "allow": "agents.test", "deny": "other.test"},
    "rule narrow": {"clients": "narrow", "allow": "narrow.test"},
    "rule ports": {"allow": "ports.test", "ports": "8043"},
}


def base_ini(lab, mode):
    return {
        "sluice": {
            "user": "",
            "workers": "2",
            "max_connections": "4096",  # small maps are looked through in no time
            "fastpath": mode,
            "access_log": lab.path("access.log"),
            "log_format": "json",
            "control": lab.path("control.sock"),
            "pin": lab.pin,
        },
        "listener intercept": {
            "mode": "intercept",
            "address": [f"0.0.0.0:{LISTENER}", f"[::]:{LISTENER}"],
        },
        "timeouts": {"hello": "20s", "connect": "20s"},
        "policy": {"default": "deny", "private_networks": list(PRIVATE)},
        "resolver": {"nameservers": SERVERS["dns"][0], "hosts": ""},
        **{section: dict(keys) for section, keys in RULES.items()},
    }


def merged(ini, changes):
    """changes: {"section.key": value}; a value of None takes the key away. Sections hold no
    dots, so the first one divides."""
    out = {section: dict(keys) for section, keys in ini.items()}
    for place, value in changes.items():
        section, key = place.split(".", 1)
        keys = out.setdefault(section, {})
        if value is None:
            keys.pop(key, None)
        else:
            keys[key] = value
    return out


def render(ini):
    lines = []
    for section, keys in ini.items():
        lines.append(f"[{section}]")
        for key, value in keys.items():
            values = value if isinstance(value, (list, tuple)) else [value]
            lines += [f"{key} = {v}" for v in values]
        lines.append("")
    return "\n".join(lines)


class AccessLog:
    def __init__(self, path):
        self.path = path

    def mark(self):
        with contextlib.suppress(FileNotFoundError):
            return os.path.getsize(self.path)
        return 0

    def read(self, mark=0):
        """(whole lines after the mark as objects, the mark after them)"""
        try:
            with open(self.path, "rb") as f:
                f.seek(mark)
                data = f.read()
        except FileNotFoundError:
            return [], mark
        data = data[:data.rfind(b"\n") + 1]
        return [json.loads(line) for line in data.splitlines()], mark + len(data)


class Sluice:
    """One daemon. With start=False only the files are written."""

    def __init__(self, lab, build, mode, changes=None, scale=1, start=True, wrap=(), text=None):
        self.lab, self.build, self.mode, self.scale = lab, build, mode, scale
        self.ini = merged(base_ini(lab, mode), changes or {})
        self.ini_path = lab.path("sluice.ini")
        self.socket = self.ini["sluice"]["control"]
        self.err_path = lab.path("sluiced.err")
        self.wrap = list(wrap)
        self.log = AccessLog(lab.path("access.log"))
        self.process = None
        self.launched = []  # also those that were replaced, and may still have connections
        self.write(text)
        if start:
            self.start()

    # --- configuration ---

    def write(self, text=None):
        with open(self.ini_path, "w", encoding="utf-8") as f:
            f.write(text if text is not None else render(self.ini))

    def rewrite(self, changes):
        self.ini = merged(self.ini, changes)
        self.write()

    def test(self):
        """sluiced -t"""
        return run([self.program("sluiced"), "-t", "-f", self.ini_path], check=False,
                   env={**os.environ, **SANITIZER})

    # --- life ---

    def program(self, name):
        return os.path.join(self.build, name)

    def launch(self, *words, env=None, append=False, **options):
        """words: more options of sluiced. append: to what the one before has said."""
        argv = [*self.wrap, self.program("sluiced"), "-f", self.ini_path, *words]
        with open(self.err_path, "ab" if append else "wb") as err:
            self.process = self.lab.start(self.lab.gateway, argv, stdout=err, stderr=err,
                                          env={**os.environ, **SANITIZER, **(env or {}),
                                               **(TRACED
                                                  if "strace" in "".join(self.wrap[:1]) else {})},
                                          **options)
        self.launched.append(self.process)
        return self

    def start(self):
        self.launch()
        until(self.ready, 30 * self.scale, "sluiced is ready")
        return self

    def ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"sluiced ended with {self.process.returncode}: {self.stderr()}")
        return self.ctl("status").returncode == 0

    def run_to_end(self, seconds=30):
        """For a daemon that is expected not to start: its exit status."""
        self.launch()
        return self.wait(seconds)

    def replace(self):
        """sluiced -r; returns the process before, which may still have connections."""
        before = self.process
        self.launch("-r", append=True)
        until(lambda: self.ready() and self.ask("status")["pid"] == self.pid, 30 * self.scale,
              "the next sluiced is ready")
        return before

    def fail_to_replace(self):
        """For a sluiced -r that is expected to fail: what it says."""
        done = self.lab.gateway.run(self.program("sluiced"), "-r", "-f", self.ini_path, check=False,
                                    env={**os.environ, **SANITIZER}, timeout=30 * self.scale)
        assert done.returncode == 1, f"exit {done.returncode}: {done.stderr}"
        return done.stderr

    def wait(self, seconds):
        """Exit status of a daemon that is ending."""
        status = self.process.wait(seconds * self.scale)
        self.lab.processes.forget(self.process)
        return status

    def stop(self):
        """SIGTERM; what it leaves behind is a failure."""
        if not self.process:
            return
        process, self.process = self.process, None
        status = self.lab.processes.stop(process, seconds=40 * self.scale)
        assert status == 0, f"sluiced ended with {status}: {self.stderr()}"
        self.check_stderr()
        left = list_dir(self.lab.pin)
        assert not left, f"pinned after the end: {left}"
        assert not os.path.exists(self.socket), "the control socket is there after the end"

    def kill(self):
        for process in self.launched:
            self.lab.processes.stop(process, signal.SIGKILL)
        self.process, self.launched = None, []

    def signal(self, number):
        self.process.send_signal(number)

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    # --- what it says ---

    def stderr(self):
        with open(self.err_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def check_stderr(self):
        text = self.stderr()
        found = [word for word in CRASH_WORDS if word in text]
        assert not found, f"{found[0]} in sluiced's output:\n{text[-6000:]}"

    def ctl(self, *words, timeout=30):
        return run([self.program("sluicectl"), "-s", self.socket, *words], check=False,
                   timeout=timeout * self.scale, env={**os.environ, **SANITIZER})

    def ask(self, *words):
        """sluicectl -j, as an object."""
        done = self.ctl("-j", *words)
        assert done.returncode == 0, f"sluicectl {words}: {done.returncode} {done.stderr}"
        return json.loads(done.stdout)

    def stats(self):
        return self.ask("stats")

    def quiet(self):
        """Waits until no connection is open."""
        until(lambda: self.stats()["open"] == 0, 20 * self.scale, "no connection is open")

    def descriptors(self):
        """{number: what it is}"""
        folder, found = f"/proc/{self.pid}/fd", {}
        for n in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                found[n] = os.readlink(f"{folder}/{n}")
        return found

    def map_entries(self):
        """Sockets in the kernel path's map, as the kernel counts them."""
        count = 0
        for number in self.bpf_ids("map"):
            name = json.loads(run(["bpftool", "-j", "map", "show", "id", number]).stdout)["name"]
            if name == "socks":
                entries = json.loads(run(["bpftool", "-j", "map", "dump", "id", number]).stdout)
                count += sum("error" not in entry.get("value", {}) for entry in entries)
        return count

    def bpf_ids(self, what):
        """Ids of the maps ("map") or programs ("prog") that the daemon has."""
        ids = set()
        for fd in self.descriptors():
            with contextlib.suppress(OSError), open(f"/proc/{self.pid}/fdinfo/{fd}",
                                                    encoding="ascii") as f:
                ids.update(line.split()[1] for line in f if line.startswith(f"{what}_id:"))
        return ids

    def nothing_left(self):
        """No connection is open, and none has left anything in the kernel path."""
        self.quiet()
        assert self.stats()["records_used"] == 0, self.stats()
        # A closed socket leaves its map when the kernel gets round to it.
        until(lambda: self.map_entries() == 0, 10 * self.scale, "the maps are empty")

    def traced(self, output, *options):
        """Starts strace (-c, or with these options) on the daemon; returns the process once every
        thread is held."""
        tracer = self.lab.processes.start(
            self.lab.gateway.command(
                ["strace", *(options or ("-c",)), "-f", "-o", output, "-p", str(self.pid)]),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def held():
            tasks = os.listdir(f"/proc/{self.pid}/task")
            return all(self._tracer(task) == tracer.pid for task in tasks)

        until(held, 30 * self.scale, "strace holds the daemon")
        return tracer

    @contextlib.contextmanager
    def standing_still(self):
        """It sees nothing meanwhile; the kernel goes on accepting for it."""
        self.signal(signal.SIGSTOP)
        try:
            until(self.stopped, 10 * self.scale, "the daemon stands still")
            yield
        finally:
            self.signal(signal.SIGCONT)

    def stopped(self):
        """SIGSTOP has reached every thread."""
        tasks = os.listdir(f"/proc/{self.pid}/task")
        return all(self._status(task, "State") == "T" for task in tasks)

    def _tracer(self, task):
        return int(self._status(task, "TracerPid"))

    def _status(self, task, key):
        """The first word of a line of /proc/PID/status."""
        with open(f"/proc/{self.pid}/task/{task}/status", encoding="ascii") as f:
            return next(line.split()[1] for line in f if line.startswith(key + ":"))
