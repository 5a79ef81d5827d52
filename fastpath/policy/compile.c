// SPDX-License-Identifier: GPL-2.0-or-later
// From rules to tables, in four steps: ports to classes; names to slots, each with the chain
// of entries that give it; chains to numbered sets; sets to decisions. Linear in the number of
// names, which may be millions: each takes eight bytes beyond the table itself, which are given
// back.
#include "fastpath/policy/compile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/policy/buckets.h"
#include "bpf/wire/hash.h"
#include "common/cleanup.h"
#include "fastpath/policy/ports.h"

#define DECISIONS_MAX (4u << 20)
#define ROOM_TRIES 8

/* An entry of a rule as a number: rule index, deny, exact. */
#define ITEM(rule, deny, exact) ((uint32_t)(rule) << 2 | (uint32_t)(deny) << 1 | (uint32_t)(exact))
#define ITEM_RULE(item) ((item) >> 2)
#define ITEM_DENY(item) ((item) >> 1 & 1)
#define ITEM_EXACT(item) ((item)&1)

/* An entry of a rule, found by its number among the entries of all rules, and chained with the
   others of the same text. Numbers are index + 1. */
struct link {
	uint32_t rule;
	uint32_t next;
};

struct set {
	uint32_t at, n; /* of items */
};

struct u32_list {
	uint32_t *at;
	size_t n, room;
};

struct compiler {
	const struct conf *conf;
	const uint64_t *key;
	struct tables *out;
	struct ports ports;
	struct link *links;
	uint32_t *first;       /* by rule: the number of its first entry */
	struct u32_list items; /* of all sets, one after the other */
	struct set *sets;      /* [0] is none */
	size_t n_sets, sets_room;
	uint32_t *index; /* open addressing: set numbers by content */
	uint64_t index_mask;
	struct u32_list here, below, groups, classes; /* scratch */
};

/* ---- small tools ---- */

static uint64_t slots_for(size_t n)
{
	uint64_t slots = 8;

	while (slots < 2 * (uint64_t)n)
		slots *= 2;
	return slots;
}

static int push(struct u32_list *l, uint32_t value)
{
	size_t room = l->room ? l->room * 2 : 16;
	uint32_t *grown;

	if (l->n == l->room) {
		grown = reallocarray(l->at, room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		l->at = grown;
		l->room = room;
	}
	l->at[l->n++] = value;
	return 0;
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Sorted, each value once. */
static void tidy(struct u32_list *l)
{
	size_t n = 0;

	if (l->n > 1)
		qsort(l->at, l->n, sizeof(*l->at), compare_u32);
	for (size_t i = 0; i < l->n; i++)
		if (n == 0 || l->at[n - 1] != l->at[i])
			l->at[n++] = l->at[i];
	l->n = n;
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0x9e3779b97f4a7c15ull;
	return x ^ x >> 29;
}

/* ---- names to chains ---- */

uint64_t tables_hash(const uint64_t key[2], const char *name)
{
	struct sip s;

	sip_init(&s, key[0], key[1]);
	for (size_t i = strlen(name); i > 0; i--)
		sip_byte(&s, (__u8)name[i - 1]);
	return sip_value(&s);
}

static const struct conf_name *entry_name(const struct compiler *k, uint32_t number)
{
	uint32_t rule = k->links[number - 1].rule;

	return &k->conf->rules[rule].names[number - 1 - k->first[rule]];
}

/* Until chains are turned into sets, a slot holds the head of its chain. */
static int add_entry(struct compiler *k, uint32_t number)
{
	const char *text = k->conf->text + entry_name(k, number)->text;
	uint64_t hash = tables_hash(k->key, text);
	struct slot_value head = { .a = number };
	struct slot *s;

	if (hash == 0)
		return -EAGAIN;
	s = table_find(&k->out->names, hash);
	if (!s)
		return table_put(&k->out->names, hash, head);
	if (strcmp(k->conf->text + entry_name(k, s->value.a)->text, text) != 0)
		return -EAGAIN;
	k->links[number - 1].next = s->value.a;
	s->value.a = number;
	return 0;
}

/* Numbers the entries and returns how many there are, or -E2BIG or -ENOMEM. */
static int64_t number_entries(struct compiler *k)
{
	uint64_t n = 0;
	size_t at = 0;

	k->first = calloc(k->conf->n_rules ?: 1, sizeof(*k->first));
	if (!k->first)
		return -ENOMEM;
	for (size_t i = 0; i < k->conf->n_rules; i++) {
		k->first[i] = (uint32_t)n;
		n += k->conf->rules[i].n_names;
		if (n >= UINT32_MAX)
			return -E2BIG;
	}
	k->links = calloc(n ?: 1, sizeof(*k->links));
	if (!k->links)
		return -ENOMEM;
	for (size_t i = 0; i < k->conf->n_rules; i++)
		for (size_t j = 0; j < k->conf->rules[i].n_names; j++)
			k->links[at++].rule = (uint32_t)i;
	return (int64_t)n;
}

static int make_chains(struct compiler *k)
{
	int64_t n = number_entries(k);
	int err;

	if (n < 0)
		return (int)n;
	err = table_open(&k->out->names, (size_t)n);
	for (uint32_t number = 1; number <= n && !err; number++)
		err = add_entry(k, number);
	return err ?: table_fit(&k->out->names);
}

/* ---- chains to sets ---- */

static uint64_t hash_items(const struct u32_list *l)
{
	uint64_t h = l->n;

	for (size_t i = 0; i < l->n; i++)
		h = mix(h ^ l->at[i]);
	return h;
}

static bool same_items(const struct compiler *k, uint32_t set, const struct u32_list *l)
{
	const struct set *s = &k->sets[set];

	return s->n == l->n && memcmp(k->items.at + s->at, l->at, l->n * sizeof(*l->at)) == 0;
}

static void index_set(struct compiler *k, uint32_t set, uint64_t hash)
{
	uint64_t i = hash & k->index_mask;

	while (k->index[i])
		i = (i + 1) & k->index_mask;
	k->index[i] = set;
}

static int grow_index(struct compiler *k)
{
	struct u32_list l;
	uint32_t *grown;
	uint64_t slots = slots_for(k->n_sets * 2 + 8);

	grown = calloc(slots, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	free(k->index);
	k->index = grown;
	k->index_mask = slots - 1;
	for (uint32_t i = 1; i < k->n_sets; i++) {
		l = (struct u32_list){ .at = k->items.at + k->sets[i].at, .n = k->sets[i].n };
		index_set(k, i, hash_items(&l));
	}
	return 0;
}

static int new_set(struct compiler *k, const struct u32_list *l, uint64_t hash, uint32_t *out)
{
	size_t room = k->sets_room ? k->sets_room * 2 : 16;
	struct set *grown;
	struct set s = { .at = (uint32_t)k->items.n, .n = (uint32_t)l->n };

	if (k->n_sets >= DECISIONS_MAX || k->items.n + l->n > UINT32_MAX)
		return -E2BIG;
	if (k->n_sets == k->sets_room) {
		grown = reallocarray(k->sets, room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		k->sets = grown;
		k->sets_room = room;
	}
	for (size_t i = 0; i < l->n; i++)
		if (push(&k->items, l->at[i]) != 0)
			return -ENOMEM;
	*out = (uint32_t)k->n_sets;
	k->sets[k->n_sets++] = s;
	if (k->n_sets * 2 > k->index_mask)
		return grow_index(k);
	index_set(k, *out, hash);
	return 0;
}

/* The number of the set with exactly these items, which get sorted. */
static int intern(struct compiler *k, struct u32_list *l, uint32_t *out)
{
	uint64_t hash, i;

	*out = 0;
	if (l->n == 0)
		return 0;
	tidy(l);
	hash = hash_items(l);
	for (i = hash & k->index_mask; k->index[i]; i = (i + 1) & k->index_mask) {
		if (!same_items(k, k->index[i], l))
			continue;
		*out = k->index[i];
		return 0;
	}
	return new_set(k, l, hash, out);
}

/* Collects the items that a chain stands for, on the name itself and below it. */
static int collect(struct compiler *k, uint32_t number)
{
	const struct conf_name *name;
	int err = 0;

	k->here.n = k->below.n = 0;
	for (; number && !err; number = k->links[number - 1].next) {
		uint32_t rule = k->links[number - 1].rule;

		name = entry_name(k, number);
		if (name->kind != NAME_BELOW)
			err = push(&k->here, ITEM(rule, name->deny, name->kind == NAME_HOST));
		if (name->kind != NAME_HOST && !err)
			err = push(&k->below, ITEM(rule, name->deny, 0));
	}
	return err;
}

static int make_sets(struct compiler *k)
{
	struct table *t = &k->out->names;
	struct slot *s;
	int err = 0;

	k->n_sets = 1;
	k->sets_room = 16;
	k->sets = calloc(k->sets_room, sizeof(*k->sets));
	if (!k->sets || grow_index(k) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < (size_t)t->n_buckets * BUCKET_SLOTS && !err; i++) {
		s = table_slot(t, i);
		if (!s->key)
			continue;
		err = collect(k, s->value.a);
		err = err ?: intern(k, &k->here, &s->value.a);
		err = err ?: intern(k, &k->below, &s->value.b);
	}
	return err;
}

/* ---- sets to decisions ---- */

/* Which item of a set decides for a group and a class of ports, with or without denies on trial. */
static struct rule_decision best_item(const struct compiler *k, const struct set *s, uint16_t group,
				      uint16_t class, bool trials)
{
	struct rule_decision d = { .rule = 0, .verdict = VERDICT_NONE };
	unsigned best = 0, rank;

	for (uint32_t i = 0; i < s->n; i++) {
		uint32_t item = k->items.at[s->at + i], rule = ITEM_RULE(item);
		int reach = ports_rule_reach(&k->ports, rule, group, class);
		bool trial = ITEM_DENY(item) && !k->conf->rules[rule].enforce;

		if (reach == REACH_NONE || (trial && !trials))
			continue;
		rank = 1 +
		       tables_rank(ITEM_EXACT(item), reach == REACH_NAMED, ITEM_DENY(item), !trial);
		if (rank <= best) /* items are in the order of rules */
			continue;
		best = rank;
		d.rule = rule + 1;
		d.verdict = trial ? VERDICT_TRIAL : ITEM_DENY(item) ? VERDICT_DENY : VERDICT_ALLOW;
	}
	return d;
}

/* A deny on trial changes only what is reported: that it would deny what the other rules allow. */
static struct rule_decision decide(const struct compiler *k, const struct set *s, uint16_t group,
				   uint16_t class)
{
	struct rule_decision d = best_item(k, s, group, class, true), other;

	if (d.verdict != VERDICT_TRIAL)
		return d;
	other = best_item(k, s, group, class, false);
	if (other.verdict == VERDICT_DENY)
		return other;
	if (other.verdict == VERDICT_ALLOW)
		d.verdict = VERDICT_REPORT;
	return d;
}

static int decide_set(struct compiler *k, uint32_t set, uint16_t group, uint16_t class)
{
	struct rule_key key = { .set = set, .group = group, .port_class = class };
	struct rule_decision d = decide(k, &k->sets[set], group, class);

	return table_put(&k->out->rules, rule_key_stir(&key),
			 (struct slot_value){ .a = d.rule, .b = d.verdict });
}

/* Collects the groups and classes that the rules of a set name. */
static int collect_set(struct compiler *k, const struct set *s)
{
	int err = 0;

	k->groups.n = k->classes.n = 0;
	for (uint32_t i = 0; i < s->n && !err; i++) {
		const struct ports_rule *r = &k->ports.rules[ITEM_RULE(k->items.at[s->at + i])];

		for (size_t j = 0; j < r->n_groups && !err; j++)
			err = push(&k->groups, r->groups[j]);
		for (size_t j = 0; j < r->n_classes && !err; j++)
			err = push(&k->classes, r->classes[j]);
	}
	err = err ?: push(&k->classes, 0);
	tidy(&k->groups);
	tidy(&k->classes);
	return err;
}

/* Counts the rows of all sets. */
static int count_decisions(struct compiler *k, size_t *n)
{
	int err = 0;

	*n = 0;
	for (uint32_t set = 1; set < k->n_sets && !err; set++) {
		err = collect_set(k, &k->sets[set]);
		*n += k->groups.n * k->classes.n;
		if (*n > DECISIONS_MAX)
			err = -E2BIG;
	}
	return err;
}

static int put_decisions(struct compiler *k)
{
	int err = 0;

	for (uint32_t set = 1; set < k->n_sets && !err; set++) {
		err = collect_set(k, &k->sets[set]);
		for (size_t g = 0; g < k->groups.n; g++)
			for (size_t c = 0; c < k->classes.n && !err; c++)
				err = decide_set(k, set, (uint16_t)k->groups.at[g],
						 (uint16_t)k->classes.at[c]);
	}
	return err;
}

/* Drawing another key for the names does not help here: if decisions find no room, the table must
   be larger. */
static int make_decisions(struct compiler *k)
{
	size_t n;
	int err = count_decisions(k, &n), tries = 0;

	if (err)
		return err;
	do {
		table_close(&k->out->rules);
		err = table_open(&k->out->rules, n);
		err = err ?: put_decisions(k);
		n += n / 4 + 16;
	} while (err == -EAGAIN && ++tries < ROOM_TRIES);
	return err == -EAGAIN ? -E2BIG : err;
}

/* ---- the whole ---- */

static void free_compiler(struct compiler *k)
{
	ports_free(&k->ports);
	free(k->links);
	free(k->first);
	free(k->items.at);
	free(k->sets);
	free(k->index);
	free(k->here.at);
	free(k->below.at);
	free(k->groups.at);
	free(k->classes.at);
}

int tables_compile(const struct conf *c, const uint64_t key[2], struct tables *out)
{
	struct compiler k = { .conf = c, .key = key, .out = out };
	int err;

	memset(out, 0, sizeof(*out));
	err = ports_classify(c, &k.ports, out->port_classes);
	err = err ?: make_chains(&k);
	err = err ?: make_sets(&k);
	err = err ?: make_decisions(&k);
	err = err ?: filter_open(&out->filter, &out->names);
	free_compiler(&k);
	if (err) {
		tables_free(out);
		return err;
	}
	table_seal(&out->names);
	table_seal(&out->rules);
	return 0;
}

void tables_free(struct tables *t)
{
	table_close(&t->names);
	table_close(&t->rules);
	filter_close(&t->filter);
	memset(t, 0, sizeof(*t));
}
