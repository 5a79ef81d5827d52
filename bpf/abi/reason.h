/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why a connection ended or was denied, and what it spoke: words that the kernel programs, the
 * access log and the counters share.
 */
#ifndef SLUICE_BPF_ABI_REASON_H
#define SLUICE_BPF_ABI_REASON_H

/* The one word of the access log (slowpath/report/log_line.c). The number is an index of the
 * counters. */
enum {
	REASON_OK = 0,
	REASON_POLICY,
	REASON_NO_SNI,
	REASON_BAD_NAME,
	REASON_BAD_TLS,
	REASON_TLS_VERSION,
	REASON_NOT_TLS,
	REASON_BAD_HTTP,
	REASON_NO_HOST,
	REASON_NAME_CHANGED,
	REASON_UNRESOLVED,
	REASON_BAD_DESTINATION,
	REASON_HELLO_TIMEOUT,
	REASON_LIMIT,
	REASON_LOOP,
	REASON_UPSTREAM_REFUSED,
	REASON_UPSTREAM_TIMEOUT,
	REASON_UPSTREAM_RESET,
	REASON_UNTRACKED,
	REASON_COUNT
};

enum { PROTO_NONE = 0, PROTO_TLS = 1, PROTO_HTTP = 2 };

#endif
