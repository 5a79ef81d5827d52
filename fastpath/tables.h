/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The compiled policy in user space: two open addressing tables and the classes of ports, as
 * told in fastpath/policy.h. Made by tables_compile(), then only read.
 */
#ifndef SLUICE_FASTPATH_TABLES_H
#define SLUICE_FASTPATH_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/abi.h"
#include "conf/conf.h"

#define TABLES_PORTS 65536

struct name_slot {
	uint64_t hash;
	struct name_sets sets; /* both 0: free */
};

struct decision_slot {
	struct rule_key key; /* set 0: free */
	struct rule_decision d;
};

struct tables {
	struct name_slot *names;
	uint64_t names_mask; /* slots - 1, slots a power of two */
	size_t n_names;
	struct decision_slot *decisions;
	uint64_t decisions_mask;
	size_t n_decisions;
	uint16_t port_classes[TABLES_PORTS];
};

/*
 * 0; -EAGAIN: two names share a hash under this key, draw another; -E2BIG: too many
 * decisions; -ENOMEM. On failure *out is zero.
 */
int tables_compile(const struct conf *c, const uint64_t key[2], struct tables *out);
void tables_free(struct tables *t); /* its contents; a zeroed struct is fine */

/* NULL: not there. */
const struct name_sets *tables_name(const struct tables *t, uint64_t hash);
const struct rule_decision *tables_decision(const struct tables *t, const struct rule_key *key);

/*
 * The order among entries that speak of the same name or network: higher goes before. Between
 * equals the rule that comes first in the file does.
 */
static inline unsigned tables_rank(bool exact, bool named_group, bool deny)
{
	return (unsigned)exact << 2 | (unsigned)named_group << 1 | (unsigned)deny;
}

#endif
