# SPDX-License-Identifier: GPL-2.0-or-later
"""Big transfers by real programs: every byte arrives, and the log says who carried them."""

import hashlib
import os

from case import test
from servers import MEGABYTE, make_content

_sums = {}


def content(t):
    """(name, SHA-256, size) of the big file, made once."""
    size = (10 if t.core else 100) * MEGABYTE
    name = f"{size}.bin"
    path = t.lab.path("www", name)
    if path not in _sums:
        _sums[path] = make_content(path, size)
    return name, _sums[path], size


def carried_by(t):
    return ("kernel", "mixed") if t.mode == "on" else "user"


def check_line(t, size, direction, proto):
    if not t.sluice:
        return
    line = t.logged(name="allowed.test", reason="ok", proto=proto, path=carried_by(t))
    assert line[direction] >= size, f"{direction} of {line}"


def download(t, scheme):
    name, expected, size = content(t)
    digest = hashlib.sha256()
    status, err = t.pipe(["curl", "-sSf", "--cacert", t.lab.path("ca.pem"),
                          t.url(scheme, "allowed.test", f"/files/{name}")], digest.update)
    assert status == 0, f"curl: {status} {err}"
    assert digest.hexdigest() == expected, "the checksum differs"
    check_line(t, size, "bytes_down", "tls" if scheme == "https" else "http")


def upload(t, scheme):
    name, expected, size = content(t)
    target = t.lab.path("put", name)
    if os.path.exists(target):
        os.unlink(target)
    done = t.curl("-f", "-T", t.lab.path("www", name),
                  t.url(scheme, "allowed.test", f"/put/{name}"))
    assert done.returncode == 0, f"curl: {done.returncode} {done.stderr}"
    digest = hashlib.sha256()
    with open(target, "rb") as f:
        while block := f.read(MEGABYTE):
            digest.update(block)
    assert digest.hexdigest() == expected, "the checksum differs"
    check_line(t, size, "bytes_up", "tls" if scheme == "https" else "http")


@test(core=True, plain=True, seconds=60)
def https_download_is_whole(t):
    download(t, "https")


@test(core=True, plain=True, seconds=60)
def https_upload_is_whole(t):
    upload(t, "https")


@test(core=True, plain=True, seconds=60)
def http_download_is_whole(t):
    download(t, "http")


@test(core=True, plain=True, seconds=60)
def http_upload_is_whole(t):
    upload(t, "http")


@test(plain=True)
def slow_server_is_waited_for(t):
    name, _, _ = content(t)
    done = t.curl("-r", "0-1048575", "-o", os.devnull, "-w", "%{size_download}",
                  t.url("https", "allowed.test", f"/slow/{name}"))
    assert (done.returncode, done.stdout) == (0, "1048576"), f"{done.stdout} {done.stderr}"
    t.logged(name="allowed.test", reason="ok")
