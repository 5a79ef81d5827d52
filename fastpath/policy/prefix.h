/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Networks, each with a number, and a search for the longest of them that hold an address. Built
 * once, then read from any thread.
 */
#ifndef SLUICE_FASTPATH_POLICY_PREFIX_H
#define SLUICE_FASTPATH_POLICY_PREFIX_H

#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"

#define PREFIX_LONGEST 128

struct prefix {
	struct cidr cidr;
	uint32_t value;
};

struct prefix_table {
	struct prefix *at; /* sorted by length, then network, then value */
	size_t n;
	uint32_t first[PREFIX_LONGEST + 2]; /* those of length b are first[b] .. first[b + 1] - 1 */
};

/* Makes room for n networks in a zeroed table. Then call prefix_add() n times, then
   prefix_ready(). */
int prefix_alloc(struct prefix_table *t, size_t n); /* 0 or -ENOMEM */
void prefix_add(struct prefix_table *t, const struct cidr *c, uint32_t value);
void prefix_ready(struct prefix_table *t);
void prefix_free(struct prefix_table *t);

/*
 * The entries for the longest network of at most `bits` that holds addr: a pointer to the first of
 * *n, or NULL. As with cidr_has(), an IPv6 network shorter than /96 does not hold IPv4.
 */
const struct prefix *prefix_find(const struct prefix_table *t, const uint8_t addr[16], int bits,
				 size_t *n);

#endif
