// SPDX-License-Identifier: GPL-2.0-or-later
// Inserting walks at random: a key that finds both its buckets full takes the place of another,
// which then looks for its own second bucket. With four slots per bucket up to 95 of 100 slots
// could be in use. With 60 the walk is a step or two, and eight of nine look-ups for a missing name
// need not read a second line, which in a table of millions is most of their cost.
#include "fastpath/policy/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/policy/buckets.h"

#define TABLE_FILL 60	 /* of 100 slots */
#define SPARE_BUCKETS 16 /* with few buckets, many keys have the same one for both of theirs */
#define WALK_MAX 1000
#define FILTER_BITS_A_KEY 10
#define FILTER_BLOCK_BITS 512
#define BUCKETS_MAX (UINT32_MAX / sizeof(struct bucket)) /* a map's value area is below 4 GiB */

int table_open_buckets(struct table *t, uint32_t n_buckets)
{
	*t = (struct table){ .at = calloc(n_buckets, sizeof(struct bucket)), .walk = 1 };
	t->n_buckets = t->at ? n_buckets : 0;
	return t->at ? 0 : -ENOMEM;
}

int table_open(struct table *t, size_t n)
{
	uint64_t slots = (uint64_t)n * 100 / TABLE_FILL;
	uint64_t buckets = slots / BUCKET_SLOTS + SPARE_BUCKETS;

	*t = (struct table){ 0 };
	return buckets > BUCKETS_MAX ? -E2BIG : table_open_buckets(t, (uint32_t)buckets);
}

void table_close(struct table *t)
{
	free(t->at);
	memset(t, 0, sizeof(*t));
}

static struct slot *find_in(struct bucket *b, uint64_t key)
{
	for (int i = 0; i < BUCKET_SLOTS; i++)
		if (b->at[i].key == key)
			return &b->at[i];
	return NULL;
}

struct slot *table_find(const struct table *t, uint64_t key)
{
	struct slot *s = find_in(&t->at[bucket_one(key, t->n_buckets)], key);

	return s ?: find_in(&t->at[bucket_two(key, t->n_buckets)], key);
}

/* Xorshift (Marsaglia 2003): guessing it gains nobody anything, because the hash keys are drawn at
   random. */
static uint32_t next_random(struct table *t)
{
	t->walk ^= t->walk << 13;
	t->walk ^= t->walk >> 7;
	t->walk ^= t->walk << 17;
	return (uint32_t)t->walk;
}

int table_put(struct table *t, uint64_t key, struct slot_value value)
{
	struct slot mine = { .key = key, .value = value };
	uint32_t at = bucket_one(key, t->n_buckets), other;

	for (int i = 0; i < WALK_MAX; i++) {
		struct slot *place = find_in(&t->at[at], 0), moved;

		if (!place) {
			other = bucket_one(mine.key, t->n_buckets);
			other = other == at ? bucket_two(mine.key, t->n_buckets) : other;
			place = find_in(&t->at[other], 0);
		}
		if (place) {
			*place = mine;
			t->n++;
			return 0;
		}
		place = &t->at[at].at[next_random(t) % BUCKET_SLOTS];
		moved = *place;
		*place = mine;
		mine = moved;
		other = bucket_one(mine.key, t->n_buckets);
		at = other == at ? bucket_two(mine.key, t->n_buckets) : other;
	}
	return -EAGAIN;
}

void table_seal(struct table *t)
{
	for (size_t i = 0; i < (size_t)t->n_buckets * BUCKET_SLOTS; i++) {
		uint64_t key = table_slot(t, i)->key;
		uint32_t first = bucket_one(key, t->n_buckets);

		if (key && first != i / BUCKET_SLOTS)
			t->at[first].at[0].value.b |= BUCKET_MORE;
	}
}

int table_fit(struct table *t)
{
	size_t slots = (size_t)t->n_buckets * BUCKET_SLOTS;
	struct table fit;
	int err;

	if (t->n > slots / 2)
		return 0;
	err = table_open(&fit, t->n);
	for (size_t i = 0; i < slots && !err; i++)
		if (table_slot(t, i)->key)
			err = table_put(&fit, table_slot(t, i)->key, table_slot(t, i)->value);
	if (err) {
		table_close(&fit);
		return err;
	}
	table_close(t);
	*t = fit;
	return 0;
}

int filter_open(struct filter *f, const struct table *t)
{
	uint32_t blocks = (uint32_t)(t->n * FILTER_BITS_A_KEY / FILTER_BLOCK_BITS) + 1;

	*f = (struct filter){ .at = calloc(blocks, sizeof(*f->at)), .n_blocks = blocks };
	if (!f->at)
		return -ENOMEM;
	for (size_t i = 0; i < (size_t)t->n_buckets * BUCKET_SLOTS; i++) {
		uint64_t key = table_slot(t, i)->key;
		struct filter_block *b = &f->at[filter_block_of(key, blocks)];

		for (uint32_t k = 0; key && k < FILTER_BITS; k++)
			b->word[filter_word(key, k)] |= filter_bit(key, k);
	}
	return 0;
}

void filter_close(struct filter *f)
{
	free(f->at);
	memset(f, 0, sizeof(*f));
}
