// SPDX-License-Identifier: GPL-2.0-or-later
// Space-Saving: entries are found by a hash, and a heap has the smallest on top, so that counting
// costs a look-up and a few steps in the heap, whatever the input.
#include "slowpath/report/top.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "bpf/wire/hash.h"

#define BUCKETS (2 * TOP_ENTRIES)
#define NONE UINT16_MAX

_Static_assert(TOP_ENTRIES < NONE, "an entry's number fits");

struct entry {
	uint64_t count, over; /* count = over + denied + reported */
	uint64_t denied, reported;
	uint64_t hash;
	uint16_t next; /* in its bucket */
	uint16_t at;   /* in the heap */
	uint16_t len;
};

struct summary {
	uint16_t bucket[BUCKETS];
	uint16_t heap[TOP_ENTRIES];
	struct entry entry[TOP_ENTRIES];
	unsigned n;
	size_t key_room;
	uint8_t *keys; /* TOP_ENTRIES of key_room */
};

struct window {
	uint64_t began_ms;
	bool used;
	uint64_t denied, reported;
	struct summary of[TOP_KINDS];
};

struct top {
	uint64_t key[2];
	unsigned now; /* which window is being filled; the other is the previous one */
	struct window window[2];
};

static const size_t key_room[TOP_KINDS] = { NAME_BUF, sizeof(struct in6_addr) };

/* ---- one summary ---- */

static uint8_t *key_of(struct summary *s, unsigned i)
{
	return s->keys + i * s->key_room;
}

static void place(struct summary *s, unsigned at, uint16_t i)
{
	s->heap[at] = i;
	s->entry[i].at = (uint16_t)at;
}

static void sift_up(struct summary *s, unsigned at)
{
	uint16_t i = s->heap[at];

	while (at > 0 && s->entry[s->heap[(at - 1) / 2]].count > s->entry[i].count) {
		place(s, at, s->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	place(s, at, i);
}

static void sift_down(struct summary *s, unsigned at)
{
	uint16_t i = s->heap[at];

	for (unsigned child; (child = 2 * at + 1) < s->n; at = child) {
		if (child + 1 < s->n &&
		    s->entry[s->heap[child + 1]].count < s->entry[s->heap[child]].count)
			child++;
		if (s->entry[s->heap[child]].count >= s->entry[i].count)
			break;
		place(s, at, s->heap[child]);
	}
	place(s, at, i);
}

static uint16_t find(struct summary *s, const void *key, size_t len, uint64_t hash)
{
	uint16_t i = s->bucket[hash % BUCKETS];

	while (i != NONE && (s->entry[i].hash != hash || s->entry[i].len != len ||
			     memcmp(key_of(s, i), key, len) != 0))
		i = s->entry[i].next;
	return i;
}

static void unlink_entry(struct summary *s, uint16_t i)
{
	uint16_t *at = &s->bucket[s->entry[i].hash % BUCKETS];

	while (*at != i)
		at = &s->entry[*at].next;
	*at = s->entry[i].next;
}

/* A counter for a key that has none: a new counter, or the smallest, which is on top of the
   heap. */
static uint16_t take(struct summary *s, const void *key, size_t len, uint64_t hash)
{
	struct entry e = { .hash = hash, .len = (uint16_t)len };
	bool is_new = s->n < TOP_ENTRIES;
	uint16_t i = is_new ? (uint16_t)s->n : s->heap[0];

	if (!is_new) {
		unlink_entry(s, i);
		e.count = e.over = s->entry[i].count;
		e.at = s->entry[i].at;
	}
	e.next = s->bucket[hash % BUCKETS];
	s->bucket[hash % BUCKETS] = i;
	s->entry[i] = e;
	memcpy(key_of(s, i), key, len);
	if (is_new) {
		place(s, s->n++, i);
		sift_up(s, s->entry[i].at);
	}
	return i;
}

static uint64_t hash_of(const struct top *t, const void *key, size_t len)
{
	const uint8_t *p = key;
	struct sip sip;

	sip_init(&sip, t->key[0], t->key[1]);
	for (size_t i = 0; i < len; i++)
		sip_byte(&sip, p[i]);
	return sip_value(&sip);
}

static void count_one(struct top *t, struct summary *s, const void *key, size_t len, bool reported)
{
	uint64_t hash = hash_of(t, key, len);
	uint16_t i = find(s, key, len, hash);

	if (i == NONE)
		i = take(s, key, len, hash);
	s->entry[i].count++;
	*(reported ? &s->entry[i].reported : &s->entry[i].denied) += 1;
	sift_down(s, s->entry[i].at);
}

static void empty(struct summary *s)
{
	s->n = 0;
	memset(s->bucket, 0xff, sizeof(s->bucket));
}

/* ---- the windows ---- */

static void begin(struct window *w, uint64_t now_ms)
{
	w->began_ms = now_ms;
	w->used = true;
	w->denied = w->reported = 0;
	for (int k = 0; k < TOP_KINDS; k++)
		empty(&w->of[k]);
}

/* A window begins with the first denial in it. */
static void turn(struct top *t, uint64_t now_ms)
{
	struct window *now = &t->window[t->now], *before = &t->window[!t->now];

	if (before->used && now_ms - before->began_ms >= 2 * TOP_WINDOW_MS)
		before->used = false;
	if (!now->used || now_ms - now->began_ms < TOP_WINDOW_MS)
		return;
	before->used = false;
	t->now = !t->now;
	if (now_ms - now->began_ms >= 2 * TOP_WINDOW_MS)
		now->used = false;
}

void top_count(struct top *t, const struct in6_addr *client, const char *name, bool reported,
	       uint64_t now_ms)
{
	struct window *w;

	turn(t, now_ms);
	w = &t->window[t->now];
	if (!w->used)
		begin(w, now_ms);
	*(reported ? &w->reported : &w->denied) += 1;
	count_one(t, &w->of[TOP_NAMES], name, strnlen(name, NAME_MAX_LEN), reported);
	count_one(t, &w->of[TOP_CLIENTS], client, sizeof(*client), reported);
}

/* ---- sums ---- */

static bool make_room(struct top_sum *sum, int kind, size_t more)
{
	size_t room = sum->n[kind] + more;
	struct top_row *grown;

	if (room <= sum->room[kind])
		return true;
	grown = realloc(sum->rows[kind], room * sizeof(*grown));
	if (!grown) {
		sum->failed = true;
		return false;
	}
	sum->rows[kind] = grown;
	sum->room[kind] = room;
	return true;
}

/* Rows hold the part of a count above `least`, which top_finish() adds to all of them. */
static void add_summary(struct summary *s, int kind, struct top_sum *sum)
{
	uint64_t least = s->n == TOP_ENTRIES ? s->entry[s->heap[0]].count : 0;

	if (!make_room(sum, kind, s->n))
		return;
	sum->least[kind] += (int64_t)least;
	for (unsigned i = 0; i < s->n; i++) {
		struct top_row *row = &sum->rows[kind][sum->n[kind]++];
		const struct entry *e = &s->entry[i];

		memset(row, 0, sizeof(*row));
		memcpy(row->name, key_of(s, i), e->len);
		row->count = (int64_t)(e->count - least);
		row->over = (int64_t)e->over - (int64_t)least;
		row->denied = e->denied;
		row->reported = e->reported;
	}
}

void top_add(struct top *t, uint64_t now_ms, struct top_sum *sum)
{
	turn(t, now_ms);
	for (int i = 0; i < 2; i++) {
		struct window *w = &t->window[i];

		if (!w->used)
			continue;
		if (sum->since_ms == 0 || w->began_ms < sum->since_ms)
			sum->since_ms = w->began_ms;
		sum->denied += w->denied;
		sum->reported += w->reported;
		for (int k = 0; k < TOP_KINDS; k++)
			add_summary(&w->of[k], k, sum);
	}
}

/* The bytes after a key are zero, so this is the order of names and of addresses. */
static int by_key(const void *a, const void *b)
{
	const struct top_row *x = a, *y = b;

	return memcmp(x->name, y->name, NAME_BUF);
}

static int by_count(const void *a, const void *b)
{
	int64_t x = ((const struct top_row *)a)->count, y = ((const struct top_row *)b)->count;

	return x == y ? by_key(a, b) : x > y ? -1 : 1;
}

/* Rows with the same key are next to each other: the first absorbs the others. */
static size_t fold(struct top_row *rows, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		struct top_row *row = kept ? &rows[kept - 1] : NULL;

		if (!row || by_key(row, &rows[i]) != 0) {
			rows[kept++] = rows[i];
			continue;
		}
		row->count += rows[i].count;
		row->over += rows[i].over;
		row->denied += rows[i].denied;
		row->reported += rows[i].reported;
	}
	return kept;
}

void top_finish(struct top_sum *sum)
{
	for (int k = 0; k < TOP_KINDS; k++) {
		struct top_row *rows = sum->rows[k];

		if (sum->n[k] == 0)
			continue;
		qsort(rows, sum->n[k], sizeof(*rows), by_key);
		sum->n[k] = fold(rows, sum->n[k]);
		for (size_t i = 0; i < sum->n[k]; i++) {
			rows[i].count += sum->least[k];
			rows[i].over += sum->least[k];
		}
		qsort(rows, sum->n[k], sizeof(*rows), by_count);
	}
}

void top_sum_free(struct top_sum *sum)
{
	for (int k = 0; k < TOP_KINDS; k++)
		free(sum->rows[k]);
}

/* ---- life ---- */

struct top *top_new(void)
{
	struct top *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	for (int i = 0; i < 2 * TOP_KINDS; i++) {
		struct summary *s = &t->window[i / TOP_KINDS].of[i % TOP_KINDS];

		s->key_room = key_room[i % TOP_KINDS];
		s->keys = calloc(TOP_ENTRIES, s->key_room);
		if (!s->keys) {
			top_free(t);
			return NULL;
		}
	}
	if (getrandom(t->key, sizeof(t->key), 0) != sizeof(t->key)) {
		top_free(t);
		return NULL;
	}
	return t;
}

void top_free(struct top *t)
{
	if (!t)
		return;
	for (int i = 0; i < 2 * TOP_KINDS; i++)
		free(t->window[i / TOP_KINDS].of[i % TOP_KINDS].keys);
	free(t);
}
