# SPDX-License-Identifier: GPL-2.0-or-later
"""What connections cost in memory, and what they may cost at most."""

import re

KIB, MIB = 1 << 10, 1 << 20

# Constants of the daemon (slowpath/proxy/pump.c, place.h and pipes.h).
SCRATCH_BYTES = 256 * KIB
READ_MAX = SCRATCH_BYTES
PIPE_SLOT = 4 * KIB  # bytes of a pipe that one slot stands for
SLOT_HOLDS = 32 * KIB  # what it may hold on to: the page a network driver cut its packets from
SKB = 128 * KIB  # a queue takes one more skb when it is just below its limit


def meminfo():
    """/proc/meminfo in bytes."""
    with open("/proc/meminfo", encoding="ascii") as f:
        return {line.split(":")[0]: int(line.split()[1]) * KIB for line in f}


def available():
    """
    MemAvailable as if processes had no memory: programs that come and go beside the test do not
    change it, buffers of sockets do.
    """
    now = meminfo()
    return sum(now[key] for key in ("MemAvailable", "AnonPages", "Shmem", "PageTables",
                                    "KernelStack"))


def of_sockets(ns):
    """Bytes that the kernel charges to the TCP sockets of a namespace: queues, and what is
    reserved for them."""
    text = ns.run("ss", "-Htnma").stdout
    found = [int(n) for n in re.findall(r"(?:\(|,)(?:r|f|w|bl)(\d+)", text)]
    return sum(n for n in found if n < 1 << 31)  # ss shows a negative reserve as unsigned


def tcp_limit(ns, which):
    """The most that one buffer may grow to: tcp_rmem, tcp_wmem."""
    return int(ns.read_sysctl(f"ipv4/tcp_{which}").split()[2])


def bound(lab):
    """
    The most that one stalled direction of a connection can take at the gateway: the buffer in
    which its bytes arrive, the one in which they leave, and between those user space with one
    read or one pipe. Each queue may overshoot by one skb.
    """
    pipe = SCRATCH_BYTES // PIPE_SLOT * SLOT_HOLDS
    return (tcp_limit(lab.gateway, "rmem") + tcp_limit(lab.gateway, "wmem") + 2 * SKB +
            max(READ_MAX, pipe))
