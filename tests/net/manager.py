# SPDX-License-Identifier: GPL-2.0-or-later
"""A service manager: passes listening sockets, hears what the daemon says of itself, and keeps
the descriptors it is given (sd_notify(3), sd_listen_fds(3))."""

import array
import contextlib
import os
import socket
import sys

from lab import LISTENER
from netns import until

ACTIVATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "activate.py")
ROOM = 256  # descriptors in a message


class Manager:
    def __init__(self, t, watchdog_usec=0):
        self.t = t
        self.path = t.lab.path("notify.sock")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(self.path)
        self.watchdog_usec = watchdog_usec
        self.said = []  # every message, as a dict
        self.store = []  # descriptors
        self.units = []  # sockets of socket units

    # --- sockets ---

    def listen(self):
        """What a socket unit would have opened, with options of its own."""
        for family, any_address in (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"):
            sock = self.t.lab.gateway.socket(family)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((any_address, LISTENER))
            sock.listen(4096)
            self.units.append(sock)

    def passed(self):
        """(descriptor, its name)"""
        return ([(s.fileno(), "sluice.socket") for s in self.units] +
                [(fd, "listen") for fd in self.store])

    # --- the service ---

    def launch(self, sluice, passed=None, append=True):
        passed = self.passed() if passed is None else passed
        env = {"NOTIFY_SOCKET": self.path}
        if self.watchdog_usec:
            env["WATCHDOG_USEC"] = str(self.watchdog_usec)
        fds = [fd for fd, _ in passed]
        if passed:
            sluice.wrap = [sys.executable, ACTIVATE, ",".join(map(str, fds)),
                           ":".join(name for _, name in passed)]
        sluice.launch(env=env, append=append, pass_fds=[fd for fd in fds if fd != "closed"])
        sluice.wrap = []

    def start(self, sluice, append=True):
        mark = len(self.said)
        self.launch(sluice, append=append)
        until(lambda: sluice.ready() and self.heard("READY", mark), 30 * self.t.scale,
              "the daemon says that it is ready")

    # --- what it says ---

    def hear(self):
        """Takes what has come; the messages since the start."""
        while True:
            try:
                data, ancillary, flags, _ = self.socket.recvmsg(8192, socket.CMSG_SPACE(4 * ROOM))
            except BlockingIOError:
                return self.said
            assert not flags & socket.MSG_CTRUNC
            fds = array.array("i")
            for level, kind, block in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.frombytes(block)
            message = dict(line.split("=", 1) for line in data.decode().splitlines())
            self.said.append(message)
            self.keep(message, list(fds))

    def keep(self, message, fds):
        if message.get("FDSTOREREMOVE"):
            assert message["FDNAME"] == "listen", message
            self.forget()
        if fds:
            assert message.get("FDSTORE") == "1" and message["FDNAME"] == "listen", message
        self.store += fds

    def heard(self, key, mark=0):
        """Messages with this key, after so many messages."""
        return [m for m in self.hear()[mark:] if key in m]

    def forget(self):
        for fd in self.store:
            os.close(fd)
        self.store = []

    def close(self):
        self.forget()
        for sock in self.units:
            sock.close()
        self.socket.close()
        os.unlink(self.path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
