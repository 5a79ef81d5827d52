#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Runs a program as a service manager does:

    activate.py FD,FD... NAME:NAME... PROGRAM [ARGUMENT...]

The descriptors become 3 and following; LISTEN_PID can only be said by the process itself. The
last may be "closed", of which only the number is told.
"""

import fcntl
import os
import sys

FIRST = 3


def main():
    words, names, argv = sys.argv[1], sys.argv[2], sys.argv[3:]
    numbers = words.split(",")
    # Out of the way first, so that none is overwritten before it has its place.
    high = [fcntl.fcntl(int(n), fcntl.F_DUPFD_CLOEXEC, 100) for n in numbers if n != "closed"]
    os.closerange(FIRST, 100)
    for i, fd in enumerate(high):
        os.dup2(fd, FIRST + i)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(numbers)),
                      LISTEN_FDNAMES=names)
    os.execv(argv[0], argv)


if __name__ == "__main__":
    main()
