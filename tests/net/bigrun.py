# SPDX-License-Identifier: GPL-2.0-or-later
"""
What the commands that take long have in common (integrity, shapes-all, mixed ...): a daemon for
each mode, one line for each mode and family. Exit status: 0 all is well, 1 it is not, 2 it could
not be tried.
"""

import argparse
import os
import signal
import sys
import time

import servers
from case import MODES, Case
from lab import Lab
from netns import end_in_order
from sluice import Sluice

NOT_ROOT = 77
TOLD = 10  # problems

# Every connection leaves ports and conntrack entries behind for a while.
SYSCTLS = {"ipv4/ip_local_port_range": "1024 65000", "ipv4/tcp_tw_reuse": 1,
           "netfilter/nf_conntrack_tcp_timeout_time_wait": 5,
           "netfilter/nf_conntrack_tcp_timeout_close": 2}


def parser(description):
    p = argparse.ArgumentParser(description=description)
    p.add_argument("--build", metavar="DIR", default=os.environ.get("SLUICE_BUILD", "."),
                   help="the build, with make net-programs (SLUICE_BUILD, or here)")
    p.add_argument("--mode", choices=("on", "off", "both"), default="both")
    p.add_argument("--family", choices=("4", "6", "both"), default="both")
    return p


class BigRun:
    """one(Case) does the work for a mode and family: (what to print, list of problems)."""

    def __init__(self, arguments, one):
        self.one = one
        self.build = os.path.abspath(arguments.build)
        self.modes = MODES if arguments.mode == "both" else (arguments.mode,)
        self.families = (4, 6) if arguments.family == "both" else (int(arguments.family),)
        self.good = True

    def _one(self, t):
        begin = time.monotonic()
        try:
            text, problems = self.one(t)
        except Exception:
            print(f"sluiced, exit status {t.sluice.process.poll()}, says:\n"
                  f"{t.sluice.stderr()[-3000:]}", file=sys.stderr)
            raise
        print(f"{t.mode:3} v{t.family}: {text}, {time.monotonic() - begin:.0f} s", flush=True)
        for problem in problems[:TOLD]:
            print(f"  {problem}", flush=True)
        self.good = self.good and not problems

    def all(self):
        lab = Lab()
        try:
            servers.start_servers(lab)
            for ns in lab.client, lab.gateway:
                for name, value in SYSCTLS.items():
                    if ns is lab.gateway or name.startswith("ipv4"):
                        ns.sysctl(name, value)
            for mode in self.modes:
                sluice = Sluice(lab, self.build, mode)
                for family in self.families:
                    self._one(Case(lab, self.build, sluice, mode, family, 1, False))
                sluice.stop()
        finally:
            for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
                signal.signal(number, signal.SIG_IGN)
            lab.close()
        return 0 if self.good else 1


def main(arguments, one):
    """The exit status."""
    name = f"tests/net/{os.path.basename(sys.argv[0])}"
    if os.geteuid():
        print(f"{name}: not root, no network namespaces", file=sys.stderr)
        return NOT_ROOT
    end_in_order()
    try:
        return BigRun(arguments, one).all()
    except Exception as error:  # not a verdict on the daemon
        print(f"{name}: {error!r}", file=sys.stderr)
        return 2
