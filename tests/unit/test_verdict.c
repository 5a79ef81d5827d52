// SPDX-License-Identifier: GPL-2.0-or-later
// verdict_name() against the rule as the manual tells it, over random small policies: the most
// specific name that has an answer for this client and port decides.
#include "tests/unit/sample.h"
#include "tests/unit/test.h"

#include "bpf/abi.h"
#include "bpf/hash.h"

#define NAMES 12
#define SETS 6
#define GROUPS 3
#define CLASSES 3
#define ROUNDS 3000
#define ASKED 20

struct entry {
	char name[32];
	__u64 hash;
	struct name_sets sets;
};

struct row {
	int there;
	struct rule_decision d;
};

struct policy_tables {
	const struct entry *names;
	const struct row (*rows)[GROUPS][CLASSES];
};

static const struct name_sets *policy_name(const struct policy_tables *t, __u64 hash)
{
	for (int i = 0; i < NAMES; i++)
		if (t->names[i].hash == hash)
			return &t->names[i].sets;
	return NULL;
}

static const struct rule_decision *policy_rule(const struct policy_tables *t,
					       const struct rule_key *key)
{
	const struct row *r = &t->rows[key->set][key->group][key->port_class];

	return r->there ? &r->d : NULL;
}

#include "bpf/verdict.h"

static const struct policy_head head = { .key = { 7, 8 } };
static struct entry names[NAMES];
static struct row rows[SETS][GROUPS][CLASSES];

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

static void draw_policy(void)
{
	for (int i = 0; i < NAMES; i++) {
		draw_name(names[i].name);
		names[i].hash = hash_back(names[i].name);
		names[i].sets.here = sample_random(SETS);
		names[i].sets.below = sample_random(SETS);
	}
	for (int s = 0; s < SETS; s++)
		for (int g = 0; g < GROUPS; g++)
			for (int c = 0; c < CLASSES; c++) {
				rows[s][g][c].there = s && sample_random(3);
				rows[s][g][c].d.rule = sample_random(1000);
				rows[s][g][c].d.verdict = sample_random(3);
			}
}

static const struct name_sets *plain_find(const char *name)
{
	for (int i = 0; i < NAMES; i++)
		if (strcmp(names[i].name, name) == 0)
			return &names[i].sets;
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

static struct rule_decision plain_judge(const char *name, int group, int class)
{
	const struct name_sets *sets = plain_find(name);
	const struct rule_decision *d = sets ? plain_row(sets->here, group, class) : NULL;
	const struct rule_decision none = { 0, VERDICT_NONE };

	while (!d || d->verdict == VERDICT_NONE) {
		name = strchr(name, '.');
		if (!name)
			return none;
		name++;
		sets = plain_find(name);
		d = sets ? plain_row(sets->below, group, class) : NULL;
	}
	return *d;
}

static void ask(const char *name, unsigned *decided)
{
	struct verdict_walk w = { .tables = { names, rows } };
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
	CHECK(decided > ROUNDS && decided < ROUNDS * ASKED);
	TEST_DONE("test_verdict");
}
