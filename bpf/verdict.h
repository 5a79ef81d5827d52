/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The policy's answer for a name: one walk over it from the right, one look-up a label. The
 * hash of a suffix is that of its bytes in reverse order, so each longer suffix goes on where
 * the shorter one stopped. The last set that has something to say is the most specific.
 *
 * The includer says where the tables are, by two functions over its own `policy_tables`:
 *   const struct name_sets *policy_name(const struct policy_tables *, __u64 hash);
 *   const struct rule_decision *policy_rule(const struct policy_tables *, const struct rule_key *);
 * NULL is "not there". What is compiled into the tables is told in fastpath/policy.h.
 */
#ifndef SLUICE_BPF_VERDICT_H
#define SLUICE_BPF_VERDICT_H

#include "bpf/abi.h"
#include "bpf/hash.h"

struct verdict_walk {
	struct policy_tables tables;
	struct sip hash;
	const __u8 *name; /* NAME_BUF bytes, normalised */
	__u32 len;
	__u16 group;
	__u16 port_class;
	struct rule_decision best;
};

PURE int verdict_try(struct verdict_walk *w, __u32 set, __u16 group, __u16 port_class)
{
	struct rule_key key = { .set = set, .group = group, .port_class = port_class };
	const struct rule_decision *d = policy_rule(&w->tables, &key);

	if (!d)
		return 0;
	if (d->verdict != VERDICT_NONE)
		w->best = *d;
	return 1;
}

/* A group that a set names has its own answer for every port; else that of all clients holds. */
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

static long verdict_byte(__u32 i, void *ctx)
{
	struct verdict_walk *w = ctx;
	const struct name_sets *sets;
	__u8 c;

	if (i >= w->len)
		return LOOP_END;
	c = w->name[(w->len - 1 - i) & (NAME_BUF - 1)];
	if (c == '.') {
		sets = policy_name(&w->tables, sip_value(&w->hash));
		if (sets)
			verdict_ask(w, sets->below);
	}
	sip_byte(&w->hash, c);
	return LOOP_NEXT;
}

/*
 * Fills w->best for w->name: VERDICT_NONE if no rule speaks of it. The caller has set tables,
 * name, len, group and port_class.
 */
PURE void verdict_name(struct verdict_walk *w, const struct policy_head *head)
{
	const struct name_sets *sets;

	sip_init(&w->hash, head->key[0], head->key[1]);
	w->best.rule = LOOP_ZERO;
	w->best.verdict = LOOP_ZERO + VERDICT_NONE;
	loop(NAME_MAX_LEN, verdict_byte, w);
	sets = policy_name(&w->tables, sip_value(&w->hash));
	if (sets)
		verdict_ask(w, sets->here);
}

#endif
