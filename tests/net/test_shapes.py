# SPDX-License-Identifier: GPL-2.0-or-later
"""
Every shape of shapes.py, for a name that is allowed and for one that is not.
An allowed flight reaches the server exactly as it was sent; of a denied one the server hears
nothing, and the client gets its answer.
"""

import shapes
import tls
from case import test

ALLOWED, DENIED = b"shape.raw.test", b"shape.unlisted.test"
ANSWER = b"+"


class Server:
    """Takes flights of a known size; what came is in `got`."""

    def __init__(self, t):
        self.size, self.got = 0, []
        self.raw = t.raw_server(self.serve)

    def serve(self, sock):
        self.got.append(tls.read_exactly(sock, self.size))
        sock.sendall(ANSWER)


def answer_to(shape):
    return (tls.ACCESS_DENIED_ALERT, "fin") if shape.answer == "alert" else (b"", "rst")


def judged(t, server, shape, name):
    """One flight, and that all is as the table says."""
    reason = shape.allowed if name == ALLOWED else shape.denied
    flight = shape.make(name)
    server.size, server.got[:] = len(flight), []
    data, end = t.send(flight, role="raw")
    where = f"{shape.name}, {name.decode()}"
    if reason == "ok":
        assert (data, end) == (ANSWER, "fin"), f"{where}: {data[:40]!r}, {end}"
        assert server.got == [flight], f"{where}: the server got {server.got!r}"
    else:
        assert (data, end) == answer_to(shape), f"{where}: {data[:40]!r}, {end}"
        assert not server.got, f"{where}: the server got {server.got!r}"
    return reason


@test(seconds=60)
def every_shape_is_judged_as_the_table_says(t):
    server = Server(t)
    with server.raw:
        for shape in shapes.SHAPES:
            for name in ALLOWED, DENIED:
                reason = judged(t, server, shape, name)
                line = t.logged(reason=reason, verdict="allow" if reason == "ok" else "deny")
                assert reason != "ok" or line["name"] == ALLOWED.decode(), line
