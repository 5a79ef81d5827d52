# SPDX-License-Identifier: GPL-2.0-or-later
"""
Every shape of shapes.py, for a name that is allowed and for one that is not, cut in every way.
An allowed flight reaches the server exactly as it was sent; of a denied one the server hears
nothing, and the client gets its answer.
"""

import collections

import mixed
import shapes
import tls
from case import test

ALLOWED, DENIED = b"shape.raw.test", b"shape.unlisted.test"
ANSWER = b"+"


class Server:
    """Takes flights of a known size; what came is in `got`."""

    def __init__(self, t, port):
        self.size, self.got = 0, []
        self.raw = t.raw_server(self.serve, port)

    def serve(self, sock):
        self.got.append(tls.read_exactly(sock, self.size))
        sock.sendall(ANSWER)


def answered(shape, data, end):
    """Whether a denied client got what it should."""
    if shape.answer == "page":
        return data.startswith(b"HTTP/1.1 403 ") and end == "fin"
    return (data, end) == (
        (tls.ACCESS_DENIED_ALERT, "fin") if shape.answer == "alert" else (b"", "rst"))


def reason_for(shape, name):
    return shape.allowed if name == ALLOWED else shape.denied


class Shapes:
    """Sends, and holds what comes of it against the table."""

    def __init__(self, t, port=443):
        self.t, self.port = t, port
        self.server = Server(t, port)

    def one(self, shape, reason, pieces):
        """One flight, and that all is as the table says."""
        flight, got = b"".join(pieces), self.server.got
        self.server.size, got[:] = len(flight), []
        data, end = self.t.send(pieces, role="raw", port=self.port, acked=len(pieces) < 4)
        where = f"{shape.name}, {[len(p) for p in pieces][:5]}, {data[:40]!r}, {end}"
        if reason == "ok":
            assert (data, end) == (ANSWER, "fin"), where
            assert got == [flight], f"{where}: the server got {got!r}"
        else:
            assert answered(shape, data, end), where
            assert not got, f"{where}: the server got {got!r}"

    def all_of(self, shape, name, cut, places):
        """Its flights cut in all the ways of `cut`. Returns how many."""
        flight, count = shape.make(name), 0
        for pieces in cut(shape, flight, places(flight, name)):
            self.one(shape, reason_for(shape, name), pieces)
            count += 1
        return count

    def check_log(self, reason, count):
        self.t.sluice.quiet()
        lines = self.t.lines()
        for line in lines:
            self.t.fields(line, reason=reason, verdict="allow" if reason == "ok" else "deny")
            assert reason != "ok" or line["name"].endswith(ALLOWED.decode()), line
        assert len(lines) == count, f"{len(lines)} lines for {count} flights, {reason}"

    def table(self, cut, places=shapes.interesting):
        """The whole table, cut so, those with the same reason one after another; {reason:
        flights}"""
        flights = [(shape, name) for shape in shapes.SHAPES for name in (ALLOWED, DENIED)]
        count = collections.Counter()
        with self.server.raw:
            for reason in sorted({reason_for(*flight) for flight in flights}):
                for flight in flights:
                    if reason_for(*flight) == reason:
                        count[reason] += self.all_of(*flight, cut, places)
                self.check_log(reason, count[reason])
        assert count["ok"] and count["policy"], count
        return count


@test(seconds=60)
def whole_at_the_port_of_http(t):
    Shapes(t, 80).table(shapes.whole)


@test(seconds=120)
def cut_in_every_way(t):
    for cut in shapes.CUTS:
        Shapes(t).table(cut)


@test(seconds=60)
def mixed_at_random_the_server_sees_the_name_that_was_judged(t):
    reasons, _, problems = mixed.compare(t, 500)
    assert not problems, problems
    assert reasons["ok"] > 100 and reasons["bad_tls"] and reasons["bad_name"], reasons


@test(daemon=False, modes=(None,), families=(None,))
def comparison_of_names_notices(_t):
    """A name nobody judged, one that nobody asked for, and one too many that OpenSSL refused."""
    judged = [{"connected": True, "name": "a.test"}, {"connected": False, "name": "b.test"}]
    assert not mixed.problems(judged, ["A.test."])
    assert not mixed.problems(judged, ["!bad extension"])
    for seen in ["b.test"], ["a.test", "a.test"], [], ["a.test", "!bad extension"]:
        assert mixed.problems(judged, seen), seen
