/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The compiled policy in user space: the tables of names and of decisions and the classes of ports,
 * as described in fastpath/policy/policy.h. Made by tables_compile(), then only read.
 */
#ifndef SLUICE_FASTPATH_POLICY_COMPILE_H
#define SLUICE_FASTPATH_POLICY_COMPILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "fastpath/policy/table.h"

#define TABLES_PORTS 65536

struct tables {
	struct table names;   /* of distinct names */
	struct table rules;   /* of decisions */
	struct filter filter; /* of the names */
	uint16_t port_classes[TABLES_PORTS];
};

/*
 * 0; -EAGAIN: two names share a hash under this key, so draw another; -E2BIG: too many decisions;
 * -ENOMEM. On failure *out is zeroed.
 */
int tables_compile(const struct conf *c, const uint64_t key[2], struct tables *out);
void tables_free(struct tables *t); /* frees its contents; a zeroed struct is fine */

/* The hash that bpf/policy/verdict.h uses: from the last byte to the first. */
uint64_t tables_hash(const uint64_t key[2], const char *name);

/*
 * The order among entries for the same name or network: the higher rank wins, and among equal ones
 * the rule that comes first in the file. Of two denies, an enforced one wins over one on trial.
 */
static inline unsigned tables_rank(bool exact, bool named_group, bool deny, bool enforce)
{
	return (unsigned)exact << 3 | (unsigned)named_group << 2 | (unsigned)deny << 1 |
	       (unsigned)(deny && enforce);
}

#endif
