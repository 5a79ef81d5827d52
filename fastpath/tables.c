// SPDX-License-Identifier: GPL-2.0-or-later
// From rules to tables, in four steps: ports to classes; names to slots, each with the chain
// of entries that give it; chains to numbered sets; sets to decisions. Linear in the number of
// names, which may be a million.
#include "fastpath/tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/hash.h"
#include "common/cleanup.h"
#include "fastpath/ports.h"

#define DECISIONS_MAX (4u << 20)

/* An entry of a rule as a number: rule index, deny, exact. */
#define ITEM(rule, deny, exact) ((uint32_t)(rule) << 2 | (uint32_t)(deny) << 1 | (uint32_t)(exact))
#define ITEM_RULE(item) ((item) >> 2)
#define ITEM_DENY(item) ((item) >> 1 & 1)
#define ITEM_EXACT(item) ((item) & 1)

/* A name of a rule, chained with the others of the same text. Numbers are index + 1. */
struct entry {
	const struct conf_name *name;
	uint32_t rule;
	uint32_t next;
};

struct chain {
	uint64_t hash;
	uint32_t head; /* 0: free */
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
	struct entry *entries;
	size_t n_entries;
	struct chain *chains;
	uint64_t chains_mask;
	size_t n_chains;
	struct u32_list items;	   /* of all sets, one behind the other */
	struct set *sets;	   /* [0] is none */
	size_t n_sets, sets_room;
	uint32_t *index;	   /* open addressing: set numbers by content */
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

/* As bpf/verdict.h hashes: from the last byte to the first. */
static uint64_t hash_name(const uint64_t key[2], const char *name)
{
	struct sip s;

	sip_init(&s, key[0], key[1]);
	for (size_t i = strlen(name); i > 0; i--)
		sip_byte(&s, (__u8)name[i - 1]);
	return sip_value(&s);
}

static int add_entry(struct compiler *k, const struct conf_name *name, uint32_t rule)
{
	const char *text = k->conf->text + name->text;
	uint64_t hash = hash_name(k->key, text), i = hash & k->chains_mask;
	struct entry *e = &k->entries[k->n_entries++];
	struct chain *c;

	while (k->chains[i].head && k->chains[i].hash != hash)
		i = (i + 1) & k->chains_mask;
	c = &k->chains[i];
	if (c->head == 0)
		k->n_chains++;
	else if (strcmp(k->conf->text + k->entries[c->head - 1].name->text, text) != 0)
		return -EAGAIN;
	*e = (struct entry){ .name = name, .rule = rule, .next = c->head };
	c->hash = hash;
	c->head = (uint32_t)k->n_entries;
	return 0;
}

static int make_chains(struct compiler *k)
{
	size_t n = 0;
	int err = 0;

	for (size_t i = 0; i < k->conf->n_rules; i++)
		n += k->conf->rules[i].n_names;
	if (n >= UINT32_MAX)
		return -E2BIG;
	k->chains_mask = slots_for(n) - 1;
	k->chains = calloc(k->chains_mask + 1, sizeof(*k->chains));
	k->entries = calloc(n ? n : 1, sizeof(*k->entries));
	if (!k->chains || !k->entries)
		return -ENOMEM;
	for (size_t i = 0; i < k->conf->n_rules; i++)
		for (size_t j = 0; j < k->conf->rules[i].n_names && !err; j++)
			err = add_entry(k, &k->conf->rules[i].names[j], (uint32_t)i);
	return err;
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

/* The number of the set with exactly these items; sorts them. */
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

/* Which items a chain stands for, on the name itself and below it. */
static int collect(struct compiler *k, uint32_t number)
{
	const struct entry *e;
	int err = 0;

	k->here.n = k->below.n = 0;
	for (; number && !err; number = e->next) {
		e = &k->entries[number - 1];
		if (e->name->kind != NAME_BELOW)
			err = push(&k->here, ITEM(e->rule, e->name->deny,
						  e->name->kind == NAME_HOST));
		if (e->name->kind != NAME_HOST && !err)
			err = push(&k->below, ITEM(e->rule, e->name->deny, 0));
	}
	return err;
}

static void put_name(struct tables *t, uint64_t hash, struct name_sets sets)
{
	uint64_t i = hash & t->names_mask;

	while (t->names[i].sets.here || t->names[i].sets.below)
		i = (i + 1) & t->names_mask;
	t->names[i] = (struct name_slot){ .hash = hash, .sets = sets };
	t->n_names++;
}

static int make_sets(struct compiler *k)
{
	struct tables *t = k->out;
	struct name_sets sets;
	int err;

	k->n_sets = 1;
	k->sets_room = 16;
	k->sets = calloc(k->sets_room, sizeof(*k->sets));
	t->names_mask = slots_for(k->n_chains) - 1;
	t->names = calloc(t->names_mask + 1, sizeof(*t->names));
	if (!k->sets || !t->names || grow_index(k) != 0)
		return -ENOMEM;
	for (uint64_t i = 0; i <= k->chains_mask; i++) {
		if (!k->chains[i].head)
			continue;
		err = collect(k, k->chains[i].head);
		err = err ?: intern(k, &k->here, &sets.here);
		err = err ?: intern(k, &k->below, &sets.below);
		if (err)
			return err;
		put_name(t, k->chains[i].hash, sets);
	}
	return 0;
}

/* ---- sets to decisions ---- */

static void put_decision(struct tables *t, const struct decision_slot *slot)
{
	uint64_t word, i;

	memcpy(&word, &slot->key, sizeof(word));
	for (i = mix(word) & t->decisions_mask; t->decisions[i].key.set;)
		i = (i + 1) & t->decisions_mask;
	t->decisions[i] = *slot;
	t->n_decisions++;
}

static int grow_decisions(struct tables *t)
{
	struct tables old = { .decisions = t->decisions, .decisions_mask = t->decisions_mask };
	uint64_t slots = slots_for(t->n_decisions + 4);

	if (t->n_decisions >= DECISIONS_MAX)
		return -E2BIG;
	t->decisions = calloc(slots, sizeof(*t->decisions));
	if (!t->decisions) {
		t->decisions = old.decisions;
		return -ENOMEM;
	}
	t->decisions_mask = slots - 1;
	t->n_decisions = 0;
	for (uint64_t i = 0; old.decisions && i <= old.decisions_mask; i++)
		if (old.decisions[i].key.set)
			put_decision(t, &old.decisions[i]);
	free(old.decisions);
	return 0;
}

/* Which item of a set decides for a group and a class of ports. */
static struct rule_decision decide(const struct compiler *k, const struct set *s, uint16_t group,
				   uint16_t class)
{
	struct rule_decision d = { .rule = 0, .verdict = VERDICT_NONE };
	unsigned best = 0, rank;

	for (uint32_t i = 0; i < s->n; i++) {
		uint32_t item = k->items.at[s->at + i], rule = ITEM_RULE(item);
		int reach = ports_rule_reach(&k->ports, rule, group, class);

		if (reach == REACH_NONE)
			continue;
		rank = tables_rank(ITEM_EXACT(item), reach == REACH_NAMED, ITEM_DENY(item)) + 1;
		if (rank <= best) /* items are in the order of rules */
			continue;
		best = rank;
		d.rule = rule + 1;
		d.verdict = ITEM_DENY(item) ? VERDICT_DENY : VERDICT_ALLOW;
	}
	return d;
}

static int decide_set(struct compiler *k, uint32_t set, uint16_t group, uint16_t class)
{
	struct tables *t = k->out;
	struct decision_slot slot = {
		.key = { .set = set, .group = group, .port_class = class },
		.d = decide(k, &k->sets[set], group, class),
	};
	int err = 0;

	if (t->n_decisions * 2 >= t->decisions_mask)
		err = grow_decisions(t);
	if (!err)
		put_decision(t, &slot);
	return err;
}

/* The groups and classes that the rules of a set name. */
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

static int make_decisions(struct compiler *k)
{
	int err = grow_decisions(k->out);

	for (uint32_t set = 1; set < k->n_sets && !err; set++) {
		err = collect_set(k, &k->sets[set]);
		for (size_t g = 0; g < k->groups.n; g++)
			for (size_t c = 0; c < k->classes.n && !err; c++)
				err = decide_set(k, set, (uint16_t)k->groups.at[g],
						 (uint16_t)k->classes.at[c]);
	}
	return err;
}

/* ---- the whole ---- */

static void free_compiler(struct compiler *k)
{
	ports_free(&k->ports);
	free(k->entries);
	free(k->chains);
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
	free_compiler(&k);
	if (err)
		tables_free(out);
	return err;
}

void tables_free(struct tables *t)
{
	free(t->names);
	free(t->decisions);
	memset(t, 0, sizeof(*t));
}

const struct name_sets *tables_name(const struct tables *t, uint64_t hash)
{
	for (uint64_t i = hash & t->names_mask;; i = (i + 1) & t->names_mask) {
		const struct name_slot *s = &t->names[i];

		if (s->sets.here == 0 && s->sets.below == 0)
			return NULL;
		if (s->hash == hash)
			return &s->sets;
	}
}

const struct rule_decision *tables_decision(const struct tables *t, const struct rule_key *key)
{
	uint64_t word;

	memcpy(&word, key, sizeof(word));
	for (uint64_t i = mix(word) & t->decisions_mask;; i = (i + 1) & t->decisions_mask) {
		const struct decision_slot *s = &t->decisions[i];

		if (s->key.set == 0)
			return NULL;
		if (memcmp(&s->key, key, sizeof(*key)) == 0)
			return &s->d;
	}
}
