# SPDX-License-Identifier: GPL-2.0-or-later
"""
A receiver that stops reading stops the sender, in either direction; what is kept meanwhile is
bounded, and all of it arrives when the receiver goes on.

How much one TCP buffer may hold is the kernel's word, net.ipv4.tcp_rmem and tcp_wmem. The lab
gets the values that kernels had until 2025, so that the figures mean the same everywhere; one
test takes the machine's own. All counts are of what the sender's kernel took from it: they
include the sender's own buffer.
"""

import contextlib

import crowd
import memory
from case import test
from memory import MIB

SENDER_MAX = 16 * MIB  # what a sender gets rid of, though nobody reads
MACHINE_MAX = 64 * MIB  # what that may cost the machine in memory
BUFFERS = {"tcp_rmem": "4096 131072 6291456", "tcp_wmem": "4096 16384 4194304"}
OPENINGS = crowd.tls_opening, crowd.http_opening


@contextlib.contextmanager
def usual_buffers(lab):
    """For connections opened meanwhile, at both ends and at the gateway."""
    before = {(ns, key): ns.read_sysctl(f"ipv4/{key}")
              for ns in lab.namespaces for key in BUFFERS}
    try:
        for ns, key in before:
            ns.sysctl(f"ipv4/{key}", BUFFERS[key])
        yield
    finally:
        for (ns, key), value in before.items():
            ns.sysctl(f"ipv4/{key}", value)


class Stalled:
    """`count` connections whose receivers read `warm` bytes and then nothing."""

    def __init__(self, t, server, direction, opening, count, total, warm=0):
        up, down = (total, 0) if direction == "up" else (0, total)
        self.t, self.server, self.count = t, server, count
        self.clients = crowd.clients(t, opening("raw.test", up), "-n", count, "-u", up, "-d", down,
                                     "-s", direction, "-w", warm)
        self.sender, self.receiver = ((self.clients, server) if direction == "up" else
                                      (server, self.clients))

    def all_open(self):
        def opened():
            said = self.clients.look()
            assert said["done"] == 0, f"{said['done']} sent everything though nobody read"
            return said["greeted"] == self.count

        self.t.until(opened, 20, "all are open")

    def finish(self):
        """The receivers go on."""
        self.server.tell("wake")
        self.clients.tell("wake")
        crowd.all_well(self.clients.end(), self.count)


class Memory:
    """What was taken since this was made."""

    def __init__(self, t):
        self.t = t
        self.available, self.charged = memory.available(), self._charged()

    def _charged(self):
        return memory.of_sockets(self.t.lab.gateway)

    def check(self, machine, gateway):
        """Others come and go, but what we hold stays: so for once it must be below."""
        self.t.until(lambda: self.available - memory.available() < machine, 10,
                     f"less than {machine} bytes of memory taken; "
                     f"{self.available - memory.available()} were")
        charged = self._charged() - self.charged
        assert charged < gateway, f"{charged} bytes in the gateway's sockets, not {gateway}"


def trickle(t, stalled, times, size):
    """The receiver reads a little now and then; the sender goes on as much and no more."""
    for _ in range(times):
        begin = stalled.receiver.look()["in"]
        stalled.receiver.tell(f"read {size}")
        t.until(lambda: stalled.receiver.look()["in"] == begin + size, 20, "it reads a little")


def ends_max(lab):
    """The most that the sender's and the receiver's own buffers hold."""
    return memory.tcp_limit(lab.client, "wmem") + memory.tcp_limit(
        lab.server, "rmem") + 2 * memory.SKB


def one_stalls(t, direction, opening, sender_max):
    with crowd.server(t) as server:
        before = Memory(t)
        stalled = Stalled(t, server, direction, opening, 1, 40 * MIB)
        with stalled.clients:
            stalled.all_open()
            out = crowd.standstill(t, stalled.sender)["out"]
            assert out < sender_max, f"{direction}: {out} bytes went though nobody read"
            before.check(MACHINE_MAX, memory.bound(t.lab))
            trickle(t, stalled, 20, 20000)
            out = crowd.standstill(t, stalled.sender)["out"] - 20 * 20000
            # who has read a little has been given larger buffers by TCP, up to their limits
            most = ends_max(t.lab) + memory.bound(t.lab)
            assert out < most, f"{direction}: {out} bytes more went than were read"
            stalled.finish()
            crowd.all_served(t, server, 1)
    if t.sluice:
        t.logged(name="raw.test", reason="ok")


@test(core=True, plain=True, alone=True, seconds=60)
def stalled_receiver_stalls_the_sender(t):
    with usual_buffers(t.lab):
        for direction in "up", "down":
            for opening in OPENINGS:
                one_stalls(t, direction, opening, SENDER_MAX)


@test(plain=True, alone=True, seconds=60)
def with_the_buffers_of_this_machine(t):
    """Both ends may have as much again as the gateway."""
    ends = ends_max(t.lab)
    for direction in "up", "down":
        with crowd.server(t) as server:
            before = Memory(t)
            most = 4 * MIB + ends + memory.bound(t.lab)
            stalled = Stalled(t, server, direction, crowd.tls_opening, 1, 2 * most, warm=4 * MIB)
            with stalled.clients:
                stalled.all_open()
                out = crowd.standstill(t, stalled.sender)["out"]
                assert 4 * MIB <= out < most, f"{direction}: {out} bytes went, {most} were allowed"
                before.check(ends + memory.bound(t.lab), memory.bound(t.lab))
                stalled.finish()
                crowd.all_served(t, server, 1)


@test(core=True, plain=True, alone=True, seconds=120)
def many_stalled_receivers(t):
    """Of both protocols, in both directions: together no more than each alone may."""
    each = 2 if t.core else 25
    count = 4 * each
    with contextlib.ExitStack() as stack:
        stack.enter_context(usual_buffers(t.lab))
        server = stack.enter_context(crowd.server(t))
        before = Memory(t)
        groups = [Stalled(t, server, direction, opening, each, 20 * MIB)
                  for direction in ("up", "down") for opening in OPENINGS]
        for group in groups:
            stack.enter_context(group.clients)
        for group in groups:
            group.all_open()
        for sender in {group.sender for group in groups}:
            out = crowd.standstill(t, sender)["most"]
            assert out < SENDER_MAX, f"one sender got rid of {out} bytes though nobody read"
        ends = memory.tcp_limit(t.lab.client, "wmem")  # the senders' own
        before.check(count * (memory.bound(t.lab) + ends), count * memory.bound(t.lab))
        for group in groups:
            group.finish()
        crowd.all_served(t, server, count)
    if t.sluice:
        t.sluice.quiet()
        lines = t.lines()
        assert len(lines) == count and {line["reason"] for line in lines} == {"ok"}, lines[:3]


@test(plain=True, alone=True, seconds=60)
def a_stalled_receiver_holds_up_nobody_else(t):
    with usual_buffers(t.lab), crowd.server(t) as server:
        stalled = Stalled(t, server, "down", crowd.tls_opening, 4, 20 * MIB)
        with stalled.clients:
            stalled.all_open()
            crowd.standstill(t, server)
            with crowd.clients(t, crowd.tls_opening("raw.test"), "-n", 20, "-c", 4, "-u", MIB,
                               "-d", MIB) as others:
                crowd.all_well(others.end(), 20)
            stalled.finish()
            crowd.all_served(t, server, 24)
