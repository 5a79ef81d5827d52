# SPDX-License-Identifier: GPL-2.0-or-later
"""The server of witness.c, which tells what reached it, and on which names it acted."""

import hashlib
import subprocess
import typing

from netns import until

ANSWER_SECONDS = 40


class Visit(typing.NamedTuple):
    """One connection: how much came, its SHA-256, and what OpenSSL did, as witness.c says it."""
    size: int
    digest: str
    events: tuple

    @property
    def names(self):
        """Those that it acted on, one for each hello; "-": it was asked for none."""
        return [event for event in self.events if event[0] not in "+!"]

    @property
    def answers(self):
        return [event[1:] for event in self.events if event[0] == "+"]

    def begins(self, sent):
        """Whether what came is how `sent` begins."""
        return hashlib.sha256(sent[:self.size]).hexdigest() == self.digest

    def is_all_of(self, sent):
        return self.size == len(sent) and self.begins(sent)


class Witness:
    """Stands in the server's place, at these ports, while the with-block lasts."""

    def __init__(self, t, *ports):
        self.lab = t.lab
        self.processes = [self._start(t, port) for port in ports or (443,)]
        for _, path in self.processes:
            until(lambda: self._lines(path), 20, "the witness is ready")

    def _start(self, t, port):
        path = self.lab.path(f"witness.{port}")
        argv = [f"{t.build}/tests/net/witness", t.server("raw"), port, t.lab.path("cert.pem"),
                t.lab.path("key.pem")]
        with open(path, "wb") as out:
            return self.lab.start(self.lab.server, argv, stdin=subprocess.PIPE, stdout=out), path

    @staticmethod
    def _lines(path):
        with open(path, encoding="ascii") as f:
            data = f.read()
        return data[:data.rfind("\n") + 1].splitlines()

    def visits(self, count, which=0):
        """Those at the first port, or at another, when there were so many."""
        path = self.processes[which][1]
        until(lambda: len(self._lines(path)) > count, ANSWER_SECONDS,
              f"the witness has had {count} visits")
        found = []
        for line in self._lines(path)[1:]:
            line, refused, why = line.partition(" !")
            size, digest, *events = line.split()
            events += [f"!{why}"] if refused else []
            found.append(Visit(int(size), digest, tuple(events)))
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process, _ in self.processes:
            process.stdin.close()
            self.lab.processes.stop(process)
