# SPDX-License-Identifier: GPL-2.0-or-later
"""Network namespaces and the processes in them. Everything made here knows how to end."""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


class Missing(Exception):
    """A tool that the tests need is not there: a failure, never a skip."""


def tool(name):
    """Path of a program; the sbin folders count even when PATH lacks them."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise Missing(f"{name} is not installed")
    return path


def until(condition, seconds, what):
    """Polls `condition` until it is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.1f} s: {what}")
        time.sleep(0.003)


def run(argv, check=True, timeout=60, **options):
    """Runs to the end; text output. With check, a failure tells the whole story."""
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    done = subprocess.run([tool(argv[0]), *map(str, argv[1:])], capture_output=True, text=True,
                          errors="replace", timeout=timeout, **options)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(map(str, argv))}: exit {done.returncode}\n"
                             f"{done.stdout}{done.stderr}")
    return done


ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM}


def _in_the_child():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def end_in_order():
    """A signal that ends us leaves nothing behind: `finally` is heard."""
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        signal.signal(number, _interrupted)


def _interrupted(number, frame):
    raise SystemExit(128 + number)


class Namespace:
    def __init__(self, name):
        self.name = name
        self.path = f"/run/netns/{name}"
        self.fd = -1

    def create(self):
        """Apart from __init__, so that the owner knows of it before it is there."""
        run(["ip", "netns", "add", self.name])
        self.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is inside; sockets made there stay there."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._enter(self.fd)
            yield
        finally:
            self._enter(before)
            os.close(before)

    @staticmethod
    def _enter(fd):
        if _libc.setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")

    def command(self, argv):
        return [tool("nsenter"), f"--net={self.path}", tool(argv[0]), *map(str, argv[1:])]

    def run(self, *argv, **options):
        return run(self.command(argv), **options)

    def socket(self, family, kind=socket.SOCK_STREAM):
        with self.entered():
            return socket.socket(family, kind)

    def sysctl(self, name, value):
        with self.entered(), open(f"/proc/sys/net/{name}", "w", encoding="ascii") as f:
            f.write(str(value))

    def read_sysctl(self, name):
        with self.entered(), open(f"/proc/sys/net/{name}", encoding="ascii") as f:
            return f.read().strip()

    def delete(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        run(["ip", "netns", "del", self.name], check=False)


class Processes:
    """What we started and nobody else's: ended in reverse order."""

    def __init__(self):
        self.running = []

    def start(self, argv, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        try:
            process = subprocess.Popen(argv, preexec_fn=_in_the_child, **options)
            self.running.append(process)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return process

    def forget(self, process):
        if process in self.running:
            self.running.remove(process)

    def stop(self, process, how=signal.SIGTERM, seconds=10):
        """TERM, and KILL for what does not listen. Returns the exit status."""
        self.forget(process)
        if process.poll() is None:
            process.send_signal(how)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
            return -signal.SIGKILL

    def stop_all(self):
        for process in reversed(list(self.running)):
            self.stop(process, seconds=3)

    def alive(self):
        return [p for p in self.running if p.poll() is None]
