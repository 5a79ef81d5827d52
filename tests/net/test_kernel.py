# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel path is for: user space keeps out of the way of approved traffic."""

import re
import signal

import tls
from case import is_denied, test
from netns import until

MESSAGE = 200
MAX_CALLS = 100


def echo(sock):
    """Reads a hello and an application data record, then echoes messages of one size."""
    tls.read_record(sock)
    tls.read_record(sock)
    sock.sendall(b"+")
    view = memoryview(bytearray(MESSAGE))
    while size := sock.recv_into(view):
        while size < MESSAGE:
            more = sock.recv_into(view[size:])
            assert more, "end of file inside a message"
            size += more
        sock.sendall(view)


def converse(sock, rounds):
    message = bytes(range(MESSAGE))
    for _ in range(rounds):
        sock.sendall(message)
        answer = tls.read_exactly(sock, MESSAGE)
        assert answer == message


def opened(t):
    sock = t.connect("raw")
    sock.sendall(tls.handmade_hello(b"raw.test"))
    sock.sendall(tls.application(b"the flow is opaque from here on"))
    assert tls.read_exactly(sock, 1) == b"+"
    return sock


def count_calls(path):
    """(the calls of all rows, the text) of strace -c"""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    # % time, seconds, usecs/call, calls, errors (or nothing), name
    rows = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", text, re.M)
    assert rows and rows[-1][1] == "total", f"not a table of strace:\n{text}"
    return sum(int(calls) for calls, name in rows if name != "total"), text


@test(core=True, modes=("on",), seconds=60)
def many_rounds_cost_no_system_calls(t):
    rounds = 1000 if t.core else 10000
    summary = t.lab.path("strace.out")
    with t.raw_server(echo), opened(t) as sock:
        converse(sock, 20)
        before = t.sluice.stats()
        tracer = t.sluice.traced(summary)
        converse(sock, rounds)
        t.sluice.ctl("status")  # a few calls more, which show that they are counted
        tracer.send_signal(signal.SIGINT)
        tracer.wait(20 * t.scale)
        t.lab.processes.forget(tracer)
        after = t.sluice.stats()
    calls, text = count_calls(summary)
    assert calls < MAX_CALLS, f"{calls} system calls for {rounds} rounds:\n{text}"
    carried = sum(after[f"bytes_{d}_kernel"] - before[f"bytes_{d}_kernel"] for d in ("up", "down"))
    spared = sum(after[f"bytes_{d}_user"] - before[f"bytes_{d}_user"] for d in ("up", "down"))
    assert carried > spared, f"kernel {carried}, user space {spared} bytes"
    assert carried > rounds * MESSAGE, f"the kernel carried {carried} bytes"
    t.logged(name="raw.test", reason="ok", path=("kernel", "mixed"))


@test(core=True, modes=("off",), seconds=60)
def rounds_in_user_space(t):
    with t.raw_server(echo), opened(t) as sock:
        converse(sock, 500)
    t.logged(name="raw.test", reason="ok", path="user")


@test(core=True, modes=("on",))
def hello_in_one_segment_is_judged_by_the_kernel(t):
    """Allowed and denied; the sentinel of the log is a third."""
    before = t.sluice.stats()
    with t.raw_server(echo), opened(t) as sock:
        converse(sock, 1)
    is_denied(t, tls.handmade_hello(b"denied.test"), role="denied")
    t.sluice.quiet()
    after = t.sluice.stats()
    assert after["verdicts_kernel"] - before["verdicts_kernel"] == 2, (before, after)
    assert after["verdicts_user"] == before["verdicts_user"], (before, after)
    assert after["allowed"] - before["allowed"] == 1
    assert after["denied"] - before["denied"] == 1


@test(core=True, modes=("off",))
def without_the_kernel_user_space_judges(t):
    before = t.sluice.stats()
    is_denied(t, tls.handmade_hello(b"denied.test"), role="denied")
    t.sluice.quiet()
    after = t.sluice.stats()
    assert after["verdicts_kernel"] == before["verdicts_kernel"] == 0
    assert after["verdicts_user"] - before["verdicts_user"] == 1


@test(modes=("on",))
def flow_after_a_split_hello_returns_to_the_kernel(t):
    """The slow path judges, and then hands the flow back."""
    with t.raw_server(echo), t.connect("raw") as sock:
        hello = tls.handmade_hello(b"raw.test")
        tls.send_pieces(sock, tls.cut(hello, 80), until)
        sock.sendall(tls.application(b"opaque"))
        assert tls.read_exactly(sock, 1) == b"+"
        converse(sock, 20)
        before = t.sluice.stats()
        converse(sock, 200)
        after = t.sluice.stats()
    carried = after["bytes_up_kernel"] - before["bytes_up_kernel"]
    assert carried > 100 * MESSAGE, f"the kernel carried {carried} bytes of {200 * MESSAGE}"
    t.logged(name="raw.test", reason="ok", path=("mixed", "kernel"))
