# SPDX-License-Identifier: GPL-2.0-or-later
"""
A client's certificate in TLS 1.2, cut into records so that one begins like a hello.
tests/net/client-cert has every size.
"""

import clientcert
from case import test


def works(t, certificate, *options, **how):
    failure = clientcert.fails(t, certificate, *options, **how)
    assert not failure, f"{options}: {failure}"
    t.logged(name=clientcert.NAME, reason="ok")


@test(plain=True)
def a_record_that_begins_like_a_hello_is_none(t):
    certificates = clientcert.certificates_of(t.lab)
    message = certificates.message(certificates.usual)
    sizes = [n for n in clientcert.SIZES if clientcert.begins_like_a_hello(message, n)]
    assert sizes, "a certificate without a 1 in it"
    with clientcert.Server(t):
        for size in sizes[:4]:
            works(t, certificates.usual, "-max_send_frag", size)


@test(plain=True)
def many_records_that_begin_like_a_hello_are_none(t):
    certificates = clientcert.certificates_of(t.lab)
    with clientcert.Server(t):
        for size in 512, 614, 617, 624, 627, 700, 4000:
            works(t, certificates.ones, "-max_send_frag", size)


@test(plain=True)
def a_chain_larger_than_a_record_passes(t):
    certificates = clientcert.certificates_of(t.lab)
    message = certificates.message(certificates.ones)
    assert clientcert.begins_like_a_hello(message, clientcert.RECORD_MAX), len(message)
    with clientcert.Server(t):
        works(t, certificates.ones)
        works(t, certificates.ones, version="-tls1_3")


@test(plain=True)
def a_client_with_max_fragment_length_passes(t):
    certificates = clientcert.certificates_of(t.lab)
    with clientcert.Server(t):
        for size in 512, 1024, 2048, 4096:
            works(t, certificates.ones, "-maxfraglen", size)
