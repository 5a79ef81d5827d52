// SPDX-License-Identifier: GPL-2.0-or-later
// verdict_name() against the rule as the manual tells it, over random small policies: the most
// specific name that has an answer for this client and port decides, and before all of them what
// was said at run time.
#include "tests/unit/sample.h"
#include "tests/unit/test.h"

#include "bpf/abi/name.h"
#include "bpf/abi/policy.h"
#include "bpf/wire/hash.h"
#include "fastpath/policy/table.h"
#include "tests/unit/policy_tables.h"

#define NAMES 12
#define CHANGES 3
#define SETS 6
#define GROUPS 3
#define CLASSES 3
#define ROUNDS 3000
#define ASKED 20

struct entry {
	char name[32];
	struct slot_value value;
};

struct row {
	int there;
	struct rule_decision d;
};

static struct policy_head head = { .key = { 7, 8 } };
static struct entry names[NAMES], changes[CHANGES];
static int n_changes;
static struct row rows[SETS][GROUPS][CLASSES];
static struct policy_tables tables;

static __u64 hash_back(const char *name)
{
	size_t len = strlen(name);
	struct sip s;

	sip_init(&s, head.key[0], head.key[1]);
	while (len)
		sip_byte(&s, (__u8)name[--len]);
	return sip_value(&s);
}

static void draw_name(char *out)
{
	for (uint32_t labels = 1 + sample_random(3); labels--;) {
		*out++ = "ab"[sample_random(2)];
		if (sample_random(4) == 0)
			*out++ = 'b';
		if (labels)
			*out++ = '.';
	}
	*out = 0;
}

static void draw_entries(struct entry *e, int n, struct table *t, uint32_t values)
{
	for (int i = 0; i < n; i++) {
		draw_name(e[i].name);
		e[i].value.a = sample_random(values);
		e[i].value.b = sample_random(values);
		if (!table_find(t, hash_back(e[i].name))) /* the first of a name counts */
			CHECK(table_put(t, hash_back(e[i].name), e[i].value) == 0);
	}
}

static void draw_row(int s, int g, int c)
{
	struct rule_key key = { .set = (__u32)s, .group = (__u16)g, .port_class = (__u16)c };
	struct row *r = &rows[s][g][c];

	r->there = s && sample_random(3);
	r->d.rule = 1 + sample_random(1000);
	r->d.verdict = sample_random(VERDICT_TRIAL + 1);
	if (r->there)
		CHECK(table_put(&tables.rules, rule_key_stir(&key),
				(struct slot_value){ r->d.rule, r->d.verdict }) == 0);
}

static void draw_policy(void)
{
	table_close(&tables.names);
	table_close(&tables.rules);
	table_close(&tables.changes);
	CHECK(table_open(&tables.names, NAMES) == 0);
	CHECK(table_open(&tables.rules, SETS * GROUPS * CLASSES) == 0);
	head.default_allow = sample_random(2);
	n_changes = sample_random(2) ? CHANGES : 0;
	if (n_changes)
		CHECK(table_open_buckets(&tables.changes, CHANGES_BUCKETS) == 0);
	draw_entries(names, NAMES, &tables.names, SETS);
	draw_entries(changes, n_changes, &tables.changes, VERDICT_DENY + 1);
	for (int s = 0; s < SETS; s++)
		for (int g = 0; g < GROUPS; g++)
			for (int c = 0; c < CLASSES; c++)
				draw_row(s, g, c);
	table_seal(&tables.names);
	table_seal(&tables.rules);
	if (n_changes)
		table_seal(&tables.changes);
	head.name_buckets = tables.names.n_buckets;
	head.rule_buckets = tables.rules.n_buckets;
	filter_close(&tables.filter);
	CHECK(filter_open(&tables.filter, &tables.names) == 0);
	head.filter_blocks = tables.filter.n_blocks;
}

static const struct slot_value *plain_find(const struct entry *e, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(e[i].name, name) == 0)
			return &e[i].value;
	return NULL;
}

/* The row of a set that holds for a client: its group's, by port and then any; else all's. */
static const struct rule_decision *plain_row(__u32 set, int group, int class)
{
	int groups[] = { group, GROUP_ALL }, classes[] = { class, 0 };

	for (int g = 0; g < 2; g++)
		for (int c = 0; c < 2; c++)
			if (set && rows[set][groups[g]][classes[c]].there)
				return &rows[set][groups[g]][classes[c]].d;
	return NULL;
}

/* The most specific word of run time: VERDICT_NONE if there is none. */
static __u32 plain_change(const char *name)
{
	const struct slot_value *v = plain_find(changes, n_changes, name);
	__u32 word = v ? v->a : VERDICT_NONE;

	while (word == VERDICT_NONE && (name = strchr(name, '.'))) {
		name++;
		v = plain_find(changes, n_changes, name);
		word = v ? v->b : VERDICT_NONE;
	}
	return word;
}

/* The rows that speak of a name, the most specific first: NULL behind the last. */
static int plain_rows(const char *name, int group, int class, const struct rule_decision *rows[8])
{
	const struct slot_value *sets = plain_find(names, NAMES, name);
	const struct rule_decision *d = sets ? plain_row(sets->a, group, class) : NULL;
	int n = 0;

	if (d && d->verdict != VERDICT_NONE)
		rows[n++] = d;
	while ((name = strchr(name, '.'))) {
		sets = plain_find(names, NAMES, ++name);
		d = sets ? plain_row(sets->b, group, class) : NULL;
		if (d && d->verdict != VERDICT_NONE)
			rows[n++] = d;
	}
	return n;
}

static struct rule_decision plain_judge(const char *name, int group, int class)
{
	const struct rule_decision *rows[8];
	int n = plain_rows(name, group, class, rows), i = 0;
	__u32 change = plain_change(name), trial = 0;
	struct rule_decision d = { 0, VERDICT_NONE };

	if (change != VERDICT_NONE)
		return (struct rule_decision){ RULE_RUNTIME, change };
	for (; i < n && rows[i]->verdict == VERDICT_TRIAL; i++)
		trial = trial ?: rows[i]->rule;
	if (i < n)
		d = *rows[i];
	if (trial && (d.verdict == VERDICT_ALLOW || d.verdict == VERDICT_REPORT ||
		      (d.verdict == VERDICT_NONE && head.default_allow)))
		return (struct rule_decision){ trial, VERDICT_REPORT };
	return d;
}

static void ask(const char *name, unsigned *decided)
{
	struct verdict_walk w = { .tables = tables };
	__u8 buf[NAME_BUF] = { 0 };
	struct rule_decision want;

	memcpy(buf, name, strlen(name));
	w.name = buf;
	w.len = (__u32)strlen(name);
	w.group = (__u16)sample_random(GROUPS);
	w.port_class = (__u16)sample_random(CLASSES);
	verdict_name(&w, &head);
	want = plain_judge(name, w.group, w.port_class);
	CHECK(w.best.verdict == want.verdict && w.best.rule == want.rule);
	*decided += want.verdict != VERDICT_NONE;
}

int main(void)
{
	unsigned decided = 0;
	char name[32];

	for (int i = 0; i < ROUNDS; i++) {
		draw_policy();
		for (int j = 0; j < ASKED; j++) {
			draw_name(name);
			ask(name, &decided);
		}
	}
	table_close(&tables.names);
	table_close(&tables.rules);
	table_close(&tables.changes);
	filter_close(&tables.filter);
	CHECK(decided > ROUNDS && decided < ROUNDS * ASKED);
	TEST_DONE("test_verdict");
}
