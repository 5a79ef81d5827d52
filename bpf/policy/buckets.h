/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A table that both sides look up in: buckets of one cache line, each key in one of two of them
 * (cuckoo hashing, Pagh and Rodler 2001; buckets of four after Dietzfelbinger and Weidling 2005).
 * So a look-up reads at most two lines, whatever the table holds and whoever chose the keys; a bit
 * in the first bucket says whether the second is worth reading. Keys are already hashes, 64 bits
 * that are as good as random; 0 is not a key and marks a free slot. A table is built in user space
 * and never changes after that.
 */
#ifndef SLUICE_BPF_POLICY_BUCKETS_H
#define SLUICE_BPF_POLICY_BUCKETS_H

#include "bpf/abi/policy.h"
#include "bpf/wire/loop.h"

/* The two buckets of a key, out of n: each half of the key, scaled to n. */
PURE __u32 bucket_one(__u64 key, __u32 n)
{
	return (__u32)((key & 0xffffffff) * n >> 32);
}

PURE __u32 bucket_two(__u64 key, __u32 n)
{
	return (__u32)((key >> 32) * n >> 32);
}

/* 1 and *out, or 0. b may be NULL. */
PURE int bucket_find(const struct bucket *b, __u64 key, struct slot_value *out)
{
	const struct slot *s;

	if (!b)
		return 0;
	if (b->at[0].key == key)
		s = &b->at[0];
	else if (b->at[1].key == key)
		s = &b->at[1];
	else if (b->at[2].key == key)
		s = &b->at[2];
	else if (b->at[3].key == key)
		s = &b->at[3];
	else
		return 0;
	out->a = s->value.a;
	out->b = s->value.b & ~BUCKET_MORE;
	return 1;
}

PURE int bucket_more(const struct bucket *b)
{
	return b && b->at[0].value.b & BUCKET_MORE;
}

/*
 * A blocked Bloom filter (Putze, Sanders, Singler 2007): the hash picks one block out of n and four
 * of its 512 bits, each bit by nine bits of the hash.
 */
#define FILTER_BITS 4

PURE __u32 filter_block_of(__u64 hash, __u32 n)
{
	return (__u32)((hash & 0xffffffff) * n >> 32);
}

/* Bit i of FILTER_BITS: which word it is in, and its mask within that word. */
PURE __u32 filter_word(__u64 hash, __u32 i)
{
	return (__u32)(hash >> (28 + 9 * i + 6)) & 7;
}

PURE __u64 filter_bit(__u64 hash, __u32 i)
{
	return 1ULL << (hash >> (28 + 9 * i) & 63);
}

/* 0: certainly not in the table. If b is NULL the answer is 1: it may be. */
PURE int filter_has(const struct filter_block *b, __u64 hash)
{
	if (!b)
		return 1;
	return (b->word[filter_word(hash, 0)] & filter_bit(hash, 0)) &&
	       (b->word[filter_word(hash, 1)] & filter_bit(hash, 1)) &&
	       (b->word[filter_word(hash, 2)] & filter_bit(hash, 2)) &&
	       (b->word[filter_word(hash, 3)] & filter_bit(hash, 3));
}

/* The key of a row of decisions: all its fields, mixed so that both halves depend on every bit. */
PURE __u64 rule_key_stir(const struct rule_key *k)
{
	__u64 x = (__u64)k->port_class << 48 | (__u64)k->group << 32 | k->set;

	x ^= x >> 32;
	x *= 0x9e3779b97f4a7c15ULL;
	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9ULL;
	return x ^ x >> 32;
}

#endif
