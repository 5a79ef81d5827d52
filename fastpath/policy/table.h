/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A table of bpf/policy/buckets.h while it is built, and as user space uses it. Memory: 64 bytes
 * per bucket, and one bucket for 2.4 keys (TABLE_FILL), so 27 bytes per key, plus 1 kB. Inserting
 * moves other keys to their second bucket; values move with them, so a pointer holds until the next
 * insertion. A table is sealed when it is complete: from then on look-ups go by
 * bpf/policy/buckets.h, and nothing more may be put in.
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
	uint64_t walk;	    /* state of the choice of which key makes way for another */
};

/* Makes room for n keys. 0, -ENOMEM or -E2BIG; t is zeroed on failure. */
int table_open(struct table *t, size_t n);
int table_open_buckets(struct table *t, uint32_t n_buckets); /* for as many as fit: half is safe */
void table_close(struct table *t);			     /* a zeroed struct is fine */
/* Gives back memory that the table does not need, if that is worth it. 0, or an error of the two
   functions above; the table is intact in any case. */
int table_fit(struct table *t);

/* NULL: not there. Not for a sealed table: see bpf/policy/buckets.h. */
struct slot *table_find(const struct table *t, uint64_t key);
/* Puts in a key that is not there yet and is not 0. 0, or -EAGAIN: this key, or another in its
   place, found no room, and the table is then useless. Try more buckets, or other keys. */
int table_put(struct table *t, uint64_t key, struct slot_value value);

/* Marks the buckets whose keys had to go to their second bucket. Call it once, and last: values
   must not be changed after it either. */
void table_seal(struct table *t);

/* A filter of a table's keys, ten bits for each. 0 or -ENOMEM. */
struct filter {
	struct filter_block *at;
	uint32_t n_blocks; /* at least 1 */
};

int filter_open(struct filter *f, const struct table *t);
void filter_close(struct filter *f); /* a zeroed struct is fine */

/* Slot i of n_buckets * BUCKET_SLOTS; one with key 0 is free. */
static inline struct slot *table_slot(const struct table *t, size_t i)
{
	return &t->at[i / BUCKET_SLOTS].at[i % BUCKET_SLOTS];
}

#endif
