/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A table of bpf/policy/buckets.h in the making, and in use in user space. Memory: 64 bytes a
 * bucket, and one bucket for 2.4 keys (TABLE_FILL), so 27 bytes a key, and 1 kB. Inserting moves
 * other keys to their second bucket; values move with them, so a pointer holds until the next
 * insertion. A table is sealed when all is in it: then it can be looked up in as
 * bpf/policy/buckets.h says, and nothing more is put.
 */
#ifndef SLUICE_FASTPATH_POLICY_TABLE_H
#define SLUICE_FASTPATH_POLICY_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "bpf/abi/policy.h"

struct table {
	struct bucket *at;
	uint32_t n_buckets; /* at least 1 */
	size_t n;	    /* keys in it */
	uint64_t walk;	    /* which key makes way for another */
};

/* Room for n keys. 0, -ENOMEM, or -E2BIG; t is zero then. */
int table_open(struct table *t, size_t n);
int table_open_buckets(struct table *t, uint32_t n_buckets); /* for as many as fit: half is safe */
void table_close(struct table *t);			     /* a zeroed struct is fine */
/* Gives back what it has too much of, if that is worth it. 0 or an error of the two others; the
   table is whole in any case. */
int table_fit(struct table *t);

/* NULL: not there. Not in a sealed table: see bpf/policy/buckets.h. */
struct slot *table_find(const struct table *t, uint64_t key);
/* Of a key that is not there and not 0. 0, or -EAGAIN: this key, or another in its place, finds no
   room; the table is of no use then. Try more buckets, or other keys. */
int table_put(struct table *t, uint64_t key, struct slot_value value);

/* Marks the buckets from which a key had to go. Once, and last: values are not to be changed
 * either. */
void table_seal(struct table *t);

/* A filter of the keys of a table, ten bits each. 0 or -ENOMEM. */
struct filter {
	struct filter_block *at;
	uint32_t n_blocks; /* at least 1 */
};

int filter_open(struct filter *f, const struct table *t);
void filter_close(struct filter *f); /* a zeroed struct is fine */

/* The i-th slot of all, n_buckets * BUCKET_SLOTS of them; key 0 is a free one. */
static inline struct slot *table_slot(const struct table *t, size_t i)
{
	return &t->at[i / BUCKET_SLOTS].at[i % BUCKET_SLOTS];
}

#endif
