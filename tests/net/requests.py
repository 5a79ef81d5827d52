# SPDX-License-Identifier: GPL-2.0-or-later
"""
HTTP/1 requests of every shape, what Sluice says of each, and why. test_requests.py sends them.

`allowed` is the reason given for a host that the policy allows ("ok": the request reaches the
server as it is), `denied` that for one it does not, `later` that for the allowed host when it
was allowed once already on this connection. A request may be made of two parts: then the
first is good by itself, and no more than it reaches the server.
"""

import dataclasses
import typing

# What a reason becomes once a name was allowed: nothing is a name any more but that name.
LATER = {"bad_name": "name_changed", "policy": "name_changed", "no_host": "name_changed",
         "not_tls": "bad_http"}


@dataclasses.dataclass(frozen=True)
class Request:
    name: str
    make: typing.Callable  # host (bytes) -> (good, what is behind it)
    why: str
    allowed: str
    denied: str
    later: str


REQUESTS = []


def add(name, why, make, allowed="ok", denied=None, later=None):
    REQUESTS.append(Request(name, make, why, allowed,
                            denied or ("policy" if allowed == "ok" else allowed),
                            later or LATER.get(allowed, allowed)))


def head(line, *fields):
    return b"\r\n".join((line, *fields, b"", b""))


def with_line(name, why, line, allowed="ok", **more):
    add(name, why, lambda host: (head(line, b"Host: " + host), b""), allowed, **more)


def with_field(name, why, field, allowed="bad_http", body=b"", line=b"POST / HTTP/1.1", **more):
    """host.test stands for the host, here and below."""
    add(name, why,
        lambda host: (head(line, b"Host: " + host, field.replace(b"host.test", host)) + body,
                      b""), allowed, **more)


def with_host(name, why, field, allowed="bad_http", line=b"GET / HTTP/1.1", **more):
    add(name, why,
        lambda host: (head(line.replace(b"host.test", host), field.replace(b"host.test", host)),
                      b""), allowed, **more)


def with_chunks(name, why, good, bad=b"", allowed="bad_http"):
    def make(host):
        return head(b"POST / HTTP/1.1", b"Host: " + host, b"Transfer-Encoding: chunked") + good, bad
    add(name, why, make, allowed if bad else "ok", denied="policy")


def then(name, why, first, second, allowed="bad_http"):
    """Two requests in one segment."""
    add(name, why,
        lambda host: (first.replace(b"host.test", host), second.replace(b"host.test", host)),
        allowed, denied="policy")


# --- request lines --------------------------------------------------------------------------

with_line("plain", "RFC 9112 3", b"GET / HTTP/1.1")
with_line("http_1_0", "RFC 9112 2.3", b"GET / HTTP/1.0")
with_line("options_asterisk", "RFC 9112 3.2.4", b"OPTIONS * HTTP/1.1")
with_line("method_with_hyphen", "RFC 3253: not every method is letters",
          b"VERSION-CONTROL /a HTTP/1.1")
with_line("method_unknown", "RFC 9110 9.1: methods are extensible", b"FROBNICATE / HTTP/1.1")
with_line(
    "method_with_underscore", "CCM_POST of SCCM, RPC_IN_DATA of Outlook", b"RPC_IN_DATA / HTTP/1.1")
with_line("method_token", "RFC 9110 5.6.2 allows it, no method has it, and tags of IMAP do",
          b"GET.! / HTTP/1.1", "not_tls")
with_line(
    "method_with_digit", "no method has one, and tags of IMAP have", b"A1 / HTTP/1.1", "not_tls")
with_line("method_too_long", "no method is longer than 32", b"G" * 33 + b" / HTTP/1.1", "not_tls")
with_line("method_lower_case",
          "RFC 9110 9.1: methods have a case; to who ignores it, this is another "
          "one (connect), and nginx and Node take none",
          b"get / HTTP/1.1", "not_tls")
with_line("method_mixed_case", "as above", b"Get / HTTP/1.1", "not_tls")
with_line("method_alone", "RFC 9112 3: HTTP/0.9 has no Host, RFC 1945", b"GET /", "bad_http")
with_line("two_spaces", "RFC 9112 3: a single space", b"GET  / HTTP/1.1", "bad_http")
with_line("tab_for_space", "as above", b"GET /\tHTTP/1.1", "bad_http")
with_line("space_in_target", "RFC 9112 3.2: no whitespace", b"GET /a b HTTP/1.1", "bad_http")
with_line("space_behind_version", "RFC 9112 3", b"GET / HTTP/1.1 ", "bad_http")
with_line("nul_in_target", "RFC 9112 2.2, RFC 3986 2", b"GET /\0 HTTP/1.1", "bad_http")
with_line("utf8_in_target",
          "curl's queries, Node's paths: not encoded, and no line or space to anyone",
          "GET /ü?ü HTTP/1.1".encode())
with_line("bytes_in_target", "as above, whatever they spell", b"GET /\x80\xff HTTP/1.1")
with_line("utf8_in_version", "RFC 9112 2.3", "GET / HTTP/1.1ü".encode(), "bad_http")
with_line("utf8_in_method", "RFC 9110 5.6.2: not of a token", "GETü / HTTP/1.1".encode(), "not_tls")
with_line("http_1_2", "RFC 9112 2.3: nobody knows that version", b"GET / HTTP/1.2", "bad_http")
with_line("http_2_0", "RFC 9113 does not begin so", b"GET / HTTP/2.0", "bad_http")
with_line("version_lower_case", "RFC 9112 2.3: case-sensitive", b"GET / http/1.1", "bad_http")
with_line("version_of_two_digits", "RFC 9112 2.3: one digit", b"GET / HTTP/1.10", "bad_http")
with_line("target_without_slash", "RFC 9112 3.2", b"GET index HTTP/1.1", "bad_http")
with_line("get_asterisk", "RFC 9112 3.2.4: only with OPTIONS", b"GET * HTTP/1.1", "bad_http")
with_line("connect", "RFC 9110 9.3.6: its tunnel would not be judged",
          b"CONNECT raw.test:443 HTTP/1.1", "bad_http")
with_line("connect_path", "as above, whatever the target", b"CONNECT / HTTP/1.1", "bad_http")
with_line("answer", "RFC 9112 4: that is what servers say", b"HTTP/1.1 200 OK", "not_tls")
add("http2_preface", "RFC 9113 3.4: requests that nobody would judge",
    lambda _: (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b""), "bad_http")
for number, (lines, allowed) in enumerate([
        (b"\r\n", "ok"), (b"\r\n" * 4, "ok"), (b"\r\n" * 5, "not_tls"), (b"\n", "not_tls"),
        (b"\r\n\n", "not_tls"), (b"\r", "not_tls"), (b"\r\n ", "not_tls")]):
    add(f"leading_lines_{number}",
        "RFC 9112 2.2: empty lines, CRLF, are ignored or an error; a few",
        lambda host, lines=lines: (lines + head(b"GET / HTTP/1.1", b"Host: " + host), b""), allowed)
add("leading_space", "RFC 9112 2.2",
    lambda host: (b" " + head(b"GET / HTTP/1.1", b"Host: " + host), b""), "not_tls")

# --- the host -------------------------------------------------------------------------------

with_host("host_upper_case", "RFC 9110 4.2.3", b"hOsT: host.test", "ok")
with_host("host_trailing_dot", "RFC 3986 3.2.2", b"Host: host.test.", "ok")
with_host("host_in_tabs", "a tab is space to some (RFC 9112 5) and part of the name to nginx",
          b"Host:\t host.test \t", "bad_http")
with_host("host_port", "RFC 9110 7.2", b"Host: host.test:80", "ok")
with_host("host_other_port", "judged, and led to, the port of the connection",
          b"Host: host.test:8080", "ok")
with_host("host_empty_port", "RFC 3986 3.2.3 allows it", b"Host: host.test:", "ok")
with_host("absolute_empty_port", "as above", b"Host: host.test:", "ok",
          line=b"GET http://host.test:/ HTTP/1.1")
with_host("absolute_empty_port_disagrees", "the same host, in other words, is not the same",
          b"Host: host.test", line=b"GET http://host.test:/ HTTP/1.1")
with_host("host_too_long", "no name and port is so long", b"Host: host.test" + b"a" * 300)
with_host("absolute_too_long", "as above", b"X: y",
          line=b"GET http://host.test" + b"a" * 300 + b"/ HTTP/1.1")
with_host("host_port_zeros", "octal to some", b"Host: host.test:080")
with_host("host_port_overflow", "80 to who counts in 16 bits", b"Host: host.test:65616")
with_host("host_two_ports", "RFC 3986 3.2", b"Host: host.test:80:80")
with_host("no_host", "RFC 9112 3.2", b"X: y", "no_host")
with_host("no_host_1_0", "RFC 9112 3.2", b"X: y", "no_host", line=b"GET / HTTP/1.0")
with_host("empty_host", "RFC 9110 7.2: an authority without a host", b"Host:", "no_host")
with_host("two_hosts", "RFC 9112 3.2: 400", b"Host: host.test\r\nHost: other.raw.test")
with_host("same_host_twice", "RFC 9112 3.2: 400", b"Host: host.test\r\nHost: host.test")
with_host("host_and_empty_host", "RFC 9112 3.2: 400", b"Host: host.test\r\nHost:")
with_host("host_with_user", "RFC 9110 4.2.4", b"Host: raw.test@host.test")
with_host("host_with_path", "RFC 9110 7.2", b"Host: host.test/x")
with_host("host_with_backslash", "a slash to some", b"Host: host.test\\x")
with_host("host_list", "RFC 9110 7.2: one", b"Host: host.test, raw.test")
with_host("host_space", "RFC 9110 7.2", b"Host: host.test raw.test")
with_host("host_percent", "RFC 3986 3.2.2: decoded by some", b"Host: raw%2etest", "bad_name")
with_host("host_nul", "RFC 9110 5.5", b"Host: host.test\0.raw.test")
with_host("host_bare_cr", "RFC 9112 2.2", b"Host: host.test\r.raw.test")
with_host("host_utf8", "RFC 3986 3.2.2", "Host: ü.host.test".encode())
with_host("host_empty_label", "RFC 1035 2.3.1", b"Host: a..host.test", "bad_name")
with_host("host_ipv4", "judged by networks", b"Host: 192.0.2.1", "policy")
with_host("host_ipv4_octal", "192.0.2.1 to some", b"Host: 0300.0.2.1", "bad_name")
with_host("host_ipv6", "RFC 3986 3.2.2, judged by networks", b"Host: [2001:db8::1]:80", "policy")
with_host("host_ipv6_bare", "RFC 3986 3.2.2: in brackets", b"Host: 2001:db8::1")
with_host("host_ipv6_zone", "RFC 9110 4.2: not in HTTP", b"Host: [fe80::1%25eth0]")
with_host("host_folded", "RFC 9112 5.2", b"Host:\r\n host.test")
with_host("host_space_before_colon", "RFC 9112 5.1: 400", b"Host : host.test")
with_host("host_indented", "RFC 9112 2.2", b" Host: host.test")
with_host("absolute", "RFC 9112 3.2.2", b"Host: host.test", "ok",
          line=b"GET http://host.test/a HTTP/1.1")
with_host("absolute_upper_scheme", "RFC 3986 3.1", b"Host: host.test", "ok",
          line=b"GET HTTP://host.test HTTP/1.1")
with_host("absolute_1_0", "RFC 9112 3.2.2", b"X: y", "ok", line=b"GET http://host.test/ HTTP/1.0")
with_host("absolute_disagrees", "RFC 9112 3.2.2: Host is ignored, by those who know",
          b"Host: raw.test", line=b"GET http://other.host.test/ HTTP/1.1")
with_host("host_disagrees", "as above", b"Host: other.raw.test",
          line=b"GET http://host.test/ HTTP/1.1")
with_host("absolute_user", "RFC 9110 4.2.4", b"X: y",
          line=b"GET http://raw.test@host.test/ HTTP/1.0")
with_host("absolute_no_host", "RFC 9110 4.2.1", b"Host: host.test", line=b"GET http:///a HTTP/1.1")
with_host("absolute_query", "RFC 3986 3.2: the authority ends there, to some", b"Host: host.test",
          line=b"GET http://host.test?a HTTP/1.1")
with_host("absolute_https", "no TLS here", b"Host: host.test",
          line=b"GET https://host.test/ HTTP/1.1")
with_host("path_of_two_slashes", "RFC 3986 3.3: still a path", b"Host: host.test", "ok",
          line=b"GET //other.test/ HTTP/1.1")

# --- fields ---------------------------------------------------------------------------------

with_field("folded", "RFC 9112 5.2", b"X: a\r\n b")
with_field("bare_lf", "RFC 9112 2.2", b"X: a\nHost: raw.test")
with_field("bare_cr", "RFC 9112 2.2", b"X: a\rHost: raw.test")
with_field("nul", "RFC 9110 5.5", b"X: a\0b")
with_field("no_colon", "RFC 9112 5", b"X")
with_field("no_name", "RFC 9110 5.1", b": a")
with_field("space_before_colon", "RFC 9112 5.1", b"X : a")
with_field("odd_name", "RFC 9110 5.6.2", b"X(a): b")
with_field("utf8_name", "RFC 9110 5.6.2", "ü: b".encode())
with_field("token_name", "RFC 9110 5.6.2", b"!#$%&'*+-.^_`|~1: b", "ok")
with_field("obs_text", "RFC 9110 5.5", b"X: \x80\xff", "ok")
with_field("many_fields", "no number of fields is too many",
           b"\r\n".join(b"X%d: y" % i for i in range(1000)),
           "ok")
with_field("long_head", "65,536 bytes", b"X: " + b"y" * 100000)
with_field("connection_names_host", "RFC 9110 7.6.1: a proxy would take it away",
           b"Connection: close, Host")
with_field("keep_alive_1_0", "RFC 9112 C.2.2", b"Connection: keep-alive", "ok",
           line=b"GET / HTTP/1.0")
with_field("upgrade", "RFC 9110 7.8; the server says no", b"Connection: upgrade\r\nUpgrade: x",
           "ok")
with_field("upgrade_without_connection", "RFC 9110 7.8", b"Upgrade: x", "ok")
with_field("upgrade_h2c", "RFC 7540 3.2: the server says no",
           b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk", "ok")
with_field("upgrade_h2c_without_settings", "as above; without them too",
           b"Connection: Upgrade\r\nUpgrade: h2c", "ok")
with_field(
    "upgrade_tls", "RFC 2817: the server says no", b"Connection: Upgrade\r\nUpgrade: TLS/1.0", "ok")
with_field("expect", "RFC 9110 10.1.1", b"Expect: 100-continue\r\nContent-Length: 2", "ok",
           body=b"ab")

# --- where a body ends ----------------------------------------------------------------------

LENGTH = b"Content-Length: "
CHUNKED = b"Transfer-Encoding: chunked"
with_field("length", "RFC 9112 6.2", LENGTH + b"5", "ok", body=b"GET /")
with_field("length_get", "RFC 9110 9.3.1: a body all the same", LENGTH + b"5", "ok", body=b"GET /",
           line=b"GET / HTTP/1.1")
with_field("length_zero", "RFC 9112 6.2", LENGTH + b"0", "ok")
with_field("length_upgrade", "RFC 9110 7.8: the request first", LENGTH + b"2\r\nUpgrade: x", "ok",
           body=b"ab")
for number, (value, what) in enumerate([
        (b"", "no number"), (b"+5", "a sign"), (b"-5", "a sign"), (b"0x5", "hexadecimal"),
        (b"05", "octal to some"), (b"5 ,5", "a list"), (b"5,5", "a list of the same"),
        (b"5, 6", "a list"), (b"5 0", "a space"), (b"5.0", "a fraction"), (b"5\0", "NUL"),
        (b"18446744073709551621", "5 to who counts in 64 bits")]):
    with_field(f"length_{number}", f"RFC 9112 6.3: {what}", LENGTH + value, body=b"abcde")
with_field("two_lengths", "RFC 9112 6.3", LENGTH + b"5\r\n" + LENGTH + b"6", body=b"abcdef")
with_field("same_length_twice", "RFC 9112 6.3: some take it", LENGTH + b"5\r\n" + LENGTH + b"5",
           body=b"abcde")
with_field("length_underscore", "the same name to CGI, RFC 3875 4.1.18", b"Content_Length: 5",
           body=b"abcde")
with_field("chunked_and_length", "RFC 9112 6.1", CHUNKED + b"\r\n" + LENGTH + b"5",
           body=b"0\r\n\r\n")
with_field("length_and_chunked", "RFC 9112 6.1", LENGTH + b"5\r\n" + CHUNKED, body=b"0\r\n\r\n")
with_field("chunked_1_0", "RFC 9112 6.1", CHUNKED, body=b"0\r\n\r\n", line=b"POST / HTTP/1.0")
for number, value in enumerate([
        b"", b"identity", b"xchunked", b"gzip, chunked", b"chunked, identity", b"chunked, chunked",
        b'"chunked"', b"chunked;q=1", b"chun ked", b"\x0bchunked", b"chunked\0",
        b"\r\n chunked", b"chunked\r\nTransfer-Encoding: chunked"]):
    with_field(f"coding_{number}", "RFC 9112 6.1, 7: exactly chunked, once",
               b"Transfer-Encoding: " + value, body=b"0\r\n\r\n")

with_chunks("chunks", "RFC 9112 7.1", b"5\r\nGET /\r\n00\r\n\r\n")
with_chunks("chunk_extension", "RFC 9112 7.1.1", b"5;a=b;c=\"d e\"\r\nhello\r\n0;x\r\n\r\n")
with_chunks("trailers", "RFC 9112 7.1.2", b"1\r\na\r\n0\r\nX: y\r\nZ:\r\n\r\n")
for number, (good, bad) in enumerate([
        (b"", b"+1\r\na\r\n0\r\n\r\n"), (b"0", b"x1\r\na\r\n0\r\n\r\n"),
        (b"", b" 1\r\na\r\n0\r\n\r\n"),
        (b"1", b" \r\na\r\n0\r\n\r\n"), (b"1", b"\na\r\n0\r\n\r\n"), (b"", b"g\r\n"),
        (b"", b"\r\n"),
        (b"0" * 15, b"1\r\n"), (b"f" * 15, b"f\r\n"),
        (b"1;a", b"\nb\r\n0\r\n\r\n"), (b"1;a\r", b"b\r\n"), (b"1\r\na", b"b\r\n0\r\n\r\n"),
        (b"1\r\na", b"0\r\n\r\n"), (b"1\r\na", b"\n0\r\n\r\n"), (b"1\r\na\r", b"0\r\n\r\n")]):
    with_chunks(f"chunk_size_{number}", "RFC 9112 7.1: 1*HEXDIG, CRLF", good, bad)
for number, (good, bad) in enumerate([
        (b"Host", b": raw.test\r\n\r\n"), (b"Content-Length", b": 5\r\n\r\n"),
        (b"GET", b" / HTTP/1.1\r\n\r\n"),
        (b"content_length", b": 5\r\n\r\n"), (b"X: a\r\n", b" b\r\n\r\n"),
        (b"X: a", b"\nb\r\n\r\n")]):
    with_chunks(f"trailer_{number}", "RFC 9110 6.5.1: nothing of framing or routing",
                b"0\r\n" + good, bad)

# --- what follows a request -----------------------------------------------------------------

GET = b"GET / HTTP/1.1\r\nHost: host.test\r\n\r\n"
OTHER = b"GET / HTTP/1.1\r\nHost: other.raw.test\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nHost: host.test\r\nConnection: close\r\n\r\n"
BODY = b"POST / HTTP/1.1\r\nHost: host.test\r\nContent-Length: 3\r\n\r\nabc"
add("pipelined", "RFC 9112 9.3.2",
    lambda host: ((GET + BODY + GET).replace(b"host.test", host), b""))
then("other_name", "every head is judged", GET, OTHER, "name_changed")
then("other_name_behind_a_body", "every head is judged", BODY, OTHER, "name_changed")
then("other_name_behind_close", "RFC 9112 9.6: not every server stops there", CLOSE, OTHER,
     "name_changed")
then("other_name_behind_1_0", "RFC 9112 9.3", GET.replace(b"1.1", b"1.0"), OTHER, "name_changed")
then("other_name_behind_chunks", "RFC 9112 7.1",
     GET.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), OTHER,
     "name_changed")
then("other_name_behind_h2c", "RFC 7540 3.2: a request like any other",
     GET.replace(b"\r\n\r\n", b"\r\nUpgrade: h2c\r\nHTTP2-Settings:\r\n\r\n"), OTHER,
     "name_changed")
add("crlf_behind_a_body", "RFC 9112 2.2: of old clients, and to be ignored",
    lambda host: ((BODY + b"\r\n" + GET + b"\r\n" * 4 + GET).replace(b"host.test", host), b""))
then("other_name_behind_crlf", "every head is judged", BODY, b"\r\n" + OTHER, "name_changed")
then("lines_behind_a_body", "a few, not many", BODY, b"\r\n" * 5 + GET)
then("lf_behind_a_body", "RFC 9112 2.2: only CRLF is a line's end to all", BODY, b"\n" + GET)
then("bytes_behind_a_body", "RFC 9112 6.2", BODY, b"def")
then("preface_behind_h2c", "RFC 7540 3.2",
     GET.replace(b"\r\n\r\n", b"\r\nUpgrade: h2c\r\nHTTP2-Settings:\r\n\r\n"),
     b"PRI * HTTP/2.0\r\n\r\n")
