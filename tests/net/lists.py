#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Lists of names as public blocklists are: the same arguments give the same bytes.

    tests/net/lists.py [--names N] [--format plain|hosts|dstdomain] [--seed N] >FILE

Names are 2 to 5 labels below a few hundred suffixes, some 22 bytes long on average, and all
different. dstdomain has `.example.com` and `example.com` side by side, hosts has one to four
names a line; all have comments, blank lines and a header.
"""

import argparse
import random
import sys

FORMATS = ("plain", "hosts", "dstdomain")
SYLLABLES = ("ad al an ar be ca ce co de di do el en er es fi ga go ha he in is it ka la le li lo "
             "ma me mi mo na ne no on or pa pe pi ra re ri ro sa se si so sta ta te ti to tra tri "
             "un ur va ve vi web x y zo").split()
FIRST = ("www", "ads", "track", "cdn", "stats", "pixel", "m", "metrics", "a1", "s3-eu", "click")
SUFFIXES = ("com", "com", "com", "com", "net", "org", "de", "co.uk", "ru", "info", "io", "com.br")
HEADER = ("# Title: a list made for tests", "# Expires: never", "#", "")
BLOCK = 4096  # names for which the dice are thrown at once


def names(count, seed=1):
    """`count` names, no two alike: the number of each is in it."""
    dice = random.Random(seed)
    stems = ["".join(dice.choices(SYLLABLES, k=dice.choice((2, 3, 3, 4)))) for _ in range(50_000)]
    for start in range(0, count, BLOCK):
        n = min(BLOCK, count - start)
        for i, (stem, suffix, first, deep) in enumerate(zip(
                dice.choices(stems, k=n), dice.choices(SUFFIXES, k=n),
                dice.choices(FIRST, k=n), dice.choices((0, 0, 0, 1, 1, 2), k=n))):
            name = f"{stem}{start + i:x}.{suffix}"
            if deep:
                name = f"{first}.{name}"
            if deep == 2:
                name = f"{stem[:5]}-{i % 97}.{name}"
            yield name


def plain(source):
    for i, name in enumerate(source):
        yield name if i % 1000 else f"{name}  # {i}\n"


def hosts(source):
    yield "127.0.0.1 localhost localhost.localdomain"
    yield "::1 localhost ip6-localhost ip6-loopback"
    for i, name in enumerate(source):
        if i % 50:
            yield f"0.0.0.0 {name}"
        else:
            yield "\n# more\n127.0.0.1\t" + " ".join([name, *(x for _, x in zip(range(3), source))])


def dstdomain(source):
    """Each fifth is there twice: the tree and the host."""
    for i, name in enumerate(source):
        yield f".{name}"
        if i % 5 == 0 and next(source, None):
            yield name


def lines(form, count, seed=1):
    """The lines of a list with that many names, without their ends."""
    yield from HEADER
    yield from {"plain": plain, "hosts": hosts, "dstdomain": dstdomain}[form](names(count, seed))


def write(path, form, count, seed=1):
    with open(path, "w", encoding="ascii") as f:
        f.writelines(line + "\n" for line in lines(form, count, seed))


def main():
    p = argparse.ArgumentParser(description="writes a list of names to standard output")
    p.add_argument("--names", type=int, default=1_000_000)
    p.add_argument("--format", choices=FORMATS, default="plain")
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    sys.stdout.writelines(line + "\n" for line in lines(a.format, a.names, a.seed))


if __name__ == "__main__":
    main()
