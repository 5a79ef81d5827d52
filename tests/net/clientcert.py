# SPDX-License-Identifier: GPL-2.0-or-later
"""
`openssl s_client -tls1_2` with a certificate of its own, in records of a size that it is told, and
an s_server that insists on one and says the client's lines backwards. In TLS 1.2 a client's
certificate goes over the wire in the clear, so a record may begin with whatever byte stands there.
"""

import functools
import ssl
import subprocess

from netns import run, until

NAME = "cert.raw.test"
PORT = 443
SIZES = range(512, 701)  # OpenSSL takes 512 to 16384
RECORD_MAX = 16384
HELLO_TYPE = 1
ONES = 17000


# --- certificates ---------------------------------------------------------------------------

class Certificates:
    """usual: what clients have. ones: more than a record, and wherever it is cut, there is a 1, as
    there is at the beginning of a ClientHello."""

    def __init__(self, lab):
        self.lab = lab
        self.usual = self._make("usual", "")
        octets = f"04:82:{ONES >> 8:02x}:{ONES & 255:02x}" + ":01" * ONES
        self.ones = self._make("ones", f"1.3.6.1.4.1.99999.1=DER:{octets}\n")

    def _make(self, name, extensions):
        key, request, made, ext = (self.lab.path(f"{name}.{end}")
                                   for end in ("key", "csr", "pem", "ext"))
        with open(ext, "w", encoding="ascii") as f:
            f.write("keyUsage=digitalSignature\n" + extensions)
        run(["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj",
             f"/CN=client {name}", "-keyout", key, "-out", request])
        run(["openssl", "x509", "-req", "-in", request, "-CA", self.lab.path("ca.pem"),
             "-CAkey", self.lab.path("ca.key"), "-set_serial", 7, "-days", "2",
             "-extfile", ext, "-out", made])
        return made, key

    def message(self, certificate):
        """The handshake message that it goes in, with the chain."""
        chain = b""
        for path in certificate[0], self.lab.path("ca.pem"):
            with open(path, encoding="ascii") as f:
                der = ssl.PEM_cert_to_DER_cert(f.read())
            chain += len(der).to_bytes(3, "big") + der
        chain = len(chain).to_bytes(3, "big") + chain
        return b"\x0b" + len(chain).to_bytes(3, "big") + chain


@functools.cache
def certificates_of(lab):
    return Certificates(lab)


def begins_like_a_hello(message, size):
    """In records of that size one, but not the first, begins with a 1."""
    return HELLO_TYPE in message[size::size]


# --- server and client ----------------------------------------------------------------------

def endpoint(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class Server:
    """s_server while the with-block lasts."""

    def __init__(self, t):
        self.t, path = t, t.lab.path
        with open(path("s_server.out"), "wb") as out:
            self.process = t.lab.start(
                t.lab.server, ["openssl", "s_server", "-accept", endpoint(t.server("raw"), PORT),
                               "-cert", path("cert.pem"), "-key", path("key.pem"), "-CAfile",
                               path("ca.pem"), "-Verify", 3, "-verify_return_error", "-rev"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        until(self._listens, 20, "s_server listens")

    def _listens(self):
        found = self.t.lab.server.run("ss", "-Htln", f"sport = :{PORT}").stdout
        return self.t.server("raw") in found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.t.lab.processes.stop(self.process)


def fails(t, certificate, *options, version="-tls1_2"):
    """One handshake and a line there and back: what went wrong, or None."""
    argv = ["openssl", "s_client", "-connect", endpoint(t.server("raw"), PORT),
            "-servername", NAME, "-CAfile", t.lab.path("ca.pem"), "-verify_return_error",
            "-cert", certificate[0], "-key", certificate[1], "-cert_chain", t.lab.path("ca.pem"),
            version, "-ign_eof", "-quiet", *map(str, options)]
    try:
        done = t.run(*argv, input="olleh\nCLOSE\n", timeout=10)
    except subprocess.TimeoutExpired:
        return "no answer"
    if done.returncode == 0 and "hello" in done.stdout:
        return None
    return f"exit {done.returncode}: {done.stdout[-100:]!r} {done.stderr[-300:]!r}"
