/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What parsers.bpf.c answers for one input. Values behind a parser that failed mean nothing. */
#ifndef SLUICE_TESTS_UNIT_PARSERS_H
#define SLUICE_TESTS_UNIT_PARSERS_H

#include "bpf/abi/name.h"
#include "bpf/wire/loop.h"
#include "bpf/wire/retry.h"

struct parsed {
	__u32 hello, hello_used, max_version, sni_off, sni_end;
	struct tls_answer answer; /* in and out */
	struct tls_follow follow; /* in and out */
	__u32 followed, passed;
	__u32 head, head_used, host_off, host_end, port, upgrade, chunked, head_method;
	__u64 body_len;
	__u32 name, name_len;
	__u32 group, rule_port; /* in */
	__u32 verdict, rule;
	__u32 len; /* in */
	__u8 text[NAME_BUF];
	__u8 bytes[SCRATCH_LEN]; /* in */
};

#endif
