# SPDX-License-Identifier: GPL-2.0-or-later
"""What is measured, and what Sluice is to reach in it."""

import dataclasses

CONNECTION_RATE = 1000  # a second, for the CPU seconds of a connection
BULK_RATE = 1000  # Mbit a second, for the CPU seconds of a GB


@dataclasses.dataclass(frozen=True)
class Value:
    """One number of a row. goal: of the ratio of Sluice to the best of the others; a rate must
    reach it, anything else must stay below."""
    key: str
    title: str
    rate: bool = False
    digits: int = 0
    goal: float = None
    less_direct: bool = False  # what routing alone costs is taken off


@dataclasses.dataclass(frozen=True)
class Row:
    """Rows of one part share a life of each contender."""
    name: str
    part: str
    what: str
    values: tuple
    mode: str = ""  # and options of load
    options: tuple = ()
    ms: int = 1200  # measured, after a warm-up
    all_cpus: bool = False  # also with all CPUs


def _times(p50=None, p99=None):
    return Value("p50_us", "p50 us", goal=p50), Value("p99_us", "p99 us", goal=p99)


def _rate(goal=None):
    return Value("per_second", "per second", rate=True, goal=goal)


def _bulk(mode, streams, what):
    return Row(f"{mode}-{streams}", "bulk", f"Gbit/s {what}",
               (Value("gbit", "Gbit/s", rate=True, digits=2, goal=1.0),),
               mode, ("-c", streams), all_cpus=True)


def _cost(mode, goal=None):
    return Row(f"cost-{mode}", "cost", f"CPU of the whole machine for bulk {mode} at "
               f"{BULK_RATE / 1000:.0f} Gbit/s, 8 streams, less that of routing alone",
               (Value("per_gb", "CPU s per GB", digits=3, goal=goal, less_direct=True),),
               mode, ("-c", 8, "-r", BULK_RATE), ms=3000)


def _requests(connections, goals):
    rate, p50 = goals
    return Row(f"rounds-{connections}", "requests",
               f"200 bytes there and back, open connections: {connections}",
               (_rate(rate), *_times(p50)), "rounds", ("-c", connections), all_cpus=True)


ROWS = (
    Row("connect", "connections", "new connections, 32 at a time; the server answers the hello; "
        "time from connect() to the first byte", (_rate(1.1), *_times(p99=0.9)),
        "connect", ("-c", 32, "-a"), ms=1500, all_cpus=True),
    Row("connect-record", "connections", "the same, hello and record sent at once, the server "
        "answers the record", (_rate(), *_times()), "connect", ("-c", 32), ms=800),
    _requests(1, (None, None)),
    _requests(32, (1.25, 0.8)),
    _requests(256, (1.25, 0.8)),
    _bulk("up", 1, "from the client, 1 stream"),
    _bulk("up", 8, "from the client, 8 streams"),
    _bulk("down", 1, "to the client, 1 stream"),
    _bulk("down", 8, "to the client, 8 streams"),
    _cost("down", 0.8),
    _cost("up", 0.8),
    Row("cost-connect", "cost", f"CPU of the whole machine for new connections, {CONNECTION_RATE} "
        "a second, less that of routing alone",
        (Value("per_10000", "CPU s per 10,000", digits=3, less_direct=True),),
        "connect", ("-c", 1000, "-r", CONNECTION_RATE, "-a"), ms=3000),
    Row("idle", "memory", "memory for each of 5,000 idle connections, user and kernel, less that "
        "of routing alone; and what the program takes before the first one",
        (Value("total_kb", "kB each", digits=1, goal=0.5, less_direct=True),
         Value("user_kb", "of it user", digits=1, less_direct=True),
         Value("kernel_kb", "of it kernel", digits=1, less_direct=True),
         Value("rest_mb", "MB at rest", digits=1, less_direct=True)), "idle"),
    Row("tls-requests", "tls", "real TLS: wrk to nginx, requests on 32 open connections",
        (_rate(), *_times()), "wrk"),
    Row("tls-connect", "tls", "real TLS: wrk to nginx, a new connection for each request, 32 at a "
        "time", (_rate(), *_times()), "wrk", ("-H", "Connection: close")),
)

CALL_ROWS = "connect", "rounds-1", "rounds-32"  # where system calls are counted
SQUID_GOAL = 8.0  # connections a second of Sluice to those of Squid


def parts():
    """In the order of the rows."""
    return list(dict.fromkeys(row.part for row in ROWS))
