/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The policy's answer for a name: one walk over the name from the right, with one look-up per
 * label. A suffix is hashed by its bytes in reverse order, so each longer suffix continues where
 * the shorter one stopped. The last set that decides anything is the most specific. Entries made at
 * run time take precedence over all of that.
 *
 * The includer provides access to the tables: its own `struct policy_tables` and four functions
 * over it, which return NULL for "not there":
 *   const struct filter_block *policy_filter_at(const struct policy_tables *, __u32 i);
 *   const struct bucket *policy_names_at(const struct policy_tables *, __u32 i);
 *   const struct bucket *policy_rules_at(const struct policy_tables *, __u32 i);
 *   const struct bucket *policy_changes_at(const struct policy_tables *, __u32 i);
 * fastpath/policy/policy.h describes what is compiled into the tables.
 */
#ifndef SLUICE_BPF_POLICY_VERDICT_H
#define SLUICE_BPF_POLICY_VERDICT_H

#include "bpf/abi/name.h"
#include "bpf/abi/policy.h"
#include "bpf/policy/buckets.h"
#include "bpf/wire/hash.h"

struct verdict_walk {
	struct policy_tables tables;
	struct sip hash;
	const __u8 *name; /* NAME_BUF bytes, normalised */
	__u32 len;
	__u16 group;
	__u16 port_class;
	__u32 name_buckets, rule_buckets, filter_blocks;
	__u32 has_changes;
	__u32 change; /* VERDICT_* of the most specific entry made at run time */
	__u32 trial;  /* a rule on trial, more specific than best, that would deny; 0: none */
	struct rule_decision best;
};

/* Looks up a key in one table; `at` is that table's function over policy_tables. 1 and *out, or
   0. */
#define verdict_find(at, w, n, key, out)                                                           \
	({                                                                                         \
		const struct bucket *one_ = at(&(w)->tables, bucket_one(key, n));                  \
		int found_ = bucket_find(one_, key, out);                                          \
		if (!found_ && bucket_more(one_))                                                  \
			found_ = bucket_find(at(&(w)->tables, bucket_two(key, n)), key, out);      \
		found_;                                                                            \
	})

PURE int verdict_try(struct verdict_walk *w, __u32 set, __u16 group, __u16 port_class)
{
	struct rule_key key = { .set = set, .group = group, .port_class = port_class };
	__u64 stirred = rule_key_stir(&key);
	struct slot_value d;

	if (!verdict_find(policy_rules_at, w, w->rule_buckets, stirred, &d))
		return 0;
	if (d.b == VERDICT_TRIAL) {
		w->trial = d.a;
	} else if (d.b != VERDICT_NONE) {
		w->best.rule = d.a;
		w->best.verdict = d.b;
		w->trial = 0;
	}
	return 1;
}

/* A group named in a set has its own answer for every port; otherwise the answer for all clients
   holds. */
PURE void verdict_ask(struct verdict_walk *w, __u32 set)
{
	if (set == 0)
		return;
	if (verdict_try(w, set, w->group, w->port_class) || verdict_try(w, set, w->group, 0) ||
	    w->group == GROUP_ALL)
		return;
	if (!verdict_try(w, set, GROUP_ALL, w->port_class))
		verdict_try(w, set, GROUP_ALL, 0);
}

/* What the policy says of the suffix hashed so far: of that name itself (here), or of names below
   it. */
PURE void verdict_suffix(struct verdict_walk *w, int here)
{
	__u64 hash = sip_value(&w->hash);
	struct slot_value found;
	__u32 word;

	/* Skip the filter for the full name: if anything matches it is usually this one, and the
	   filter would cost a cache line more. */
	if ((here ||
	     filter_has(policy_filter_at(&w->tables, filter_block_of(hash, w->filter_blocks)),
			hash)) &&
	    verdict_find(policy_names_at, w, w->name_buckets, hash, &found))
		verdict_ask(w, here ? found.a : found.b);
	if (!w->has_changes)
		return;
	if (verdict_find(policy_changes_at, w, CHANGES_BUCKETS, hash, &found)) {
		word = here ? found.a : found.b;
		if (word != VERDICT_NONE)
			w->change = word;
	}
}

static long verdict_byte(__u32 i, void *ctx)
{
	struct verdict_walk *w = ctx;
	__u8 c;

	if (i >= w->len)
		return LOOP_END;
	c = w->name[(w->len - 1 - i) & (NAME_BUF - 1)];
	if (c == '.')
		verdict_suffix(w, 0);
	sip_byte(&w->hash, c);
	return LOOP_NEXT;
}

/* A denial by a rule on trial is reported if the other rules allow the name. */
PURE void verdict_trial(struct verdict_walk *w, const struct policy_head *head)
{
	int allowed = w->best.verdict == VERDICT_NONE ? head->default_allow != 0 :
							w->best.verdict != VERDICT_DENY;

	if (!w->trial || !allowed)
		return;
	w->best.rule = w->trial;
	w->best.verdict = VERDICT_REPORT;
}

/*
 * Fills w->best for w->name: VERDICT_NONE if no entry covers it. The caller has set tables, name,
 * len, group and port_class.
 */
PURE void verdict_name(struct verdict_walk *w, const struct policy_head *head)
{
	sip_init(&w->hash, head->key[0], head->key[1]);
	w->name_buckets = head->name_buckets;
	w->rule_buckets = head->rule_buckets;
	w->filter_blocks = head->filter_blocks;
	w->has_changes = policy_changes_at(&w->tables, 0) != 0;
	w->change = LOOP_ZERO + VERDICT_NONE;
	w->trial = LOOP_ZERO;
	w->best.rule = LOOP_ZERO;
	w->best.verdict = LOOP_ZERO + VERDICT_NONE;
	loop(NAME_MAX_LEN, verdict_byte, w);
	verdict_suffix(w, 1);
	verdict_trial(w, head);
	if (w->change != VERDICT_NONE) {
		w->best.rule = RULE_RUNTIME;
		w->best.verdict = w->change;
	}
}

#endif
