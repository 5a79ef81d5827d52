/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a verdict is about: a name, an address in place of one, or nothing. A few words that are
 * passed by value; the name is borrowed.
 */
#ifndef SLUICE_FASTPATH_POLICY_SUBJECT_H
#define SLUICE_FASTPATH_POLICY_SUBJECT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum subject_kind {
	SUBJECT_NONE, /* nothing to judge by: denied, whatever the default */
	SUBJECT_NAME,
	SUBJECT_ADDRESS,
};

struct subject {
	enum subject_kind kind;
	const uint8_t *name; /* normalised (bpf/wire/name.h), len bytes */
	size_t len;
	uint8_t addr[16]; /* v4-mapped when IPv4 */
};

static inline struct subject subject_name(const void *name, size_t len)
{
	return (struct subject){ .kind = SUBJECT_NAME, .name = name, .len = len };
}

static inline struct subject subject_address(const uint8_t addr[16])
{
	struct subject s = { .kind = SUBJECT_ADDRESS };

	memcpy(s.addr, addr, sizeof(s.addr));
	return s;
}

#endif
