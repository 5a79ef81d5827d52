/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why a connection ended or was denied, and what it spoke: words that the kernel programs, the
 * access log and the counters share.
 */
#ifndef SLUICE_BPF_ABI_REASON_H
#define SLUICE_BPF_ABI_REASON_H

/*
 * X(name behind REASON_, the one word of the access log, the counters and the deny page). The
 * number is an index of the counters. A new reason goes to the end.
 */
#define REASONS(X)                                                                                 \
	X(OK, "ok")                                                                                \
	X(POLICY, "policy")                                                                        \
	X(NO_SNI, "no_sni")                                                                        \
	X(BAD_NAME, "bad_name")                                                                    \
	X(BAD_TLS, "bad_tls")                                                                      \
	X(TLS_VERSION, "tls_version")                                                              \
	X(NOT_TLS, "not_tls")                                                                      \
	X(BAD_HTTP, "bad_http")                                                                    \
	X(NO_HOST, "no_host")                                                                      \
	X(NAME_CHANGED, "name_changed")                                                            \
	X(UNRESOLVED, "unresolved")                                                                \
	X(BAD_DESTINATION, "bad_destination")                                                      \
	X(HELLO_TIMEOUT, "hello_timeout")                                                          \
	X(LIMIT, "limit")                                                                          \
	X(LOOP, "loop")                                                                            \
	X(UPSTREAM_REFUSED, "upstream_refused")                                                    \
	X(UPSTREAM_TIMEOUT, "upstream_timeout")                                                    \
	X(UPSTREAM_RESET, "upstream_reset")                                                        \
	X(UNTRACKED, "untracked")

#define REASON(name_, word_) REASON_##name_,

enum { REASONS(REASON) REASON_COUNT };

#undef REASON

enum { PROTO_NONE = 0, PROTO_TLS = 1, PROTO_HTTP = 2 };

#endif
