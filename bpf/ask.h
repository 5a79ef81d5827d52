/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A verdict from the policy's maps, for every kernel program that gives one. The caller takes a
 * scratch, copies the bytes into it, says where in them the name stands, has parse_name() normalise
 * it, gets the generation from policy_in_force() and calls ask_rules(). If there is no scratch or
 * no policy in force, the program must leave the verdict to user space.
 *
 * ask_rules() and parse_name() are global functions: the verifier walks each once and by itself,
 * not once for every way its callers may have come. So they take and return nothing but the scratch
 * and numbers.
 */
#ifndef SLUICE_BPF_ASK_H
#define SLUICE_BPF_ASK_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/abi/policy.h"
#include "bpf/maps.h" /* before verdict.h, which asks its tables */
#include "bpf/policy/verdict.h"
#include "bpf/wire/name.h"

#define SCRATCHES_PER_CPU 4
#define SCRATCH_CPUS 64 /* more CPUs share; a taken scratch means "look" */

/* ---- scratches ---- */

/*
 * Not per-CPU: the program may be preempted by itself on the same CPU (it runs in process
 * context when a socket's backlog is worked off, with interrupts open), so a scratch has an
 * owner. The `taken` word is the lock.
 */
struct scratch {
	__u32 taken;
	__u32 len; /* of bytes */

	/* What the parsers found; offsets in bytes. */
	__u32 used;
	__u32 name_off, name_end;	    /* raw; equal: none */
	__u32 max_version;		    /* TLS */
	__u32 port, upgrade, chunked, head; /* HTTP */
	__u64 body_len;			    /* HTTP */

	__u32 rule;
	__u32 numeric;
	__u32 name_len;
	__u32 pad;
	__u8 name[NAME_BUF]; /* normalised */
	__u8 bytes[SCRATCH_LEN + BLIND_LEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SCRATCHES_PER_CPU *SCRATCH_CPUS);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

static struct scratch *scratch_take(void)
{
	__u32 first = (bpf_get_smp_processor_id() % SCRATCH_CPUS) * SCRATCHES_PER_CPU;
	struct scratch *s;

#pragma unroll
	for (__u32 i = 0; i < SCRATCHES_PER_CPU; i++) {
		__u32 key = first + i;

		s = bpf_map_lookup_elem(&scratches, &key);
		if (s && __sync_lock_test_and_set(&s->taken, 1) == 0)
			return s;
	}
	return NULL;
}

static void scratch_release(struct scratch *s)
{
	__sync_lock_test_and_set(&s->taken, 0);
}

/* ---- asking ---- */

/* PARSE_OK: s->name holds it, and it is a name, not an address. */
__noinline int parse_name(struct scratch *s)
{
	__u32 len = 0, numeric = 0;
	struct rd in;

	if (!s)
		return PARSE_BAD;
	in.buf = s->bytes;
	in.off = s->name_off;
	in.end = s->name_end;
	in.bad = 0;
	if (name_normalise(in, s->name, &len, &numeric) != PARSE_OK || numeric)
		return PARSE_BAD;
	s->name_len = len;
	return PARSE_OK;
}

/* The generation in force, or NULL: then user space judges. */
static struct policy_head *policy_in_force(__u32 *generation)
{
	__u32 zero = 0;
	struct policy_active *active = bpf_map_lookup_elem(&policy_active, &zero);
	struct policy_head *head;

	if (!active)
		return NULL;
	*generation = READ_ONCE(active->generation);
	if (*generation >= POLICY_GENERATIONS)
		return NULL;
	head = bpf_map_lookup_elem(&policy_heads, generation);
	return head && head->ready ? head : NULL;
}

/* Whether the tables are there, and still the same ones. If one was replaced meanwhile, it and its
   successor were each asked only in part; and a table that is gone has not said "no rule". */
static __always_inline int tables_are(const struct policy_tables *t, const struct bucket *names,
				      const struct bucket *rules, const struct bucket *changes)
{
	return names && rules && names == policy_names_at(t, 0) && rules == policy_rules_at(t, 0) &&
	       changes == policy_changes_at(t, 0);
}

/* VERDICT_* for s->name, and s->rule. */
__noinline int ask_rules(struct scratch *s, __u32 generation, __u32 group, __u32 port)
{
	struct verdict_walk w = { .tables = { .generation = generation } };
	struct policy_head *head = bpf_map_lookup_elem(&policy_heads, &generation);
	struct port_classes *ports = bpf_map_lookup_elem(&policy_ports, &generation);
	const struct bucket *names = policy_names_at(&w.tables, 0);
	const struct bucket *rules = policy_rules_at(&w.tables, 0);
	const struct bucket *changes = policy_changes_at(&w.tables, 0);

	if (!s || !head || !ports)
		return VERDICT_DENY;
	w.name = s->name;
	w.len = s->name_len;
	w.group = group;
	w.port_class = ports->of_port[port & 0xffff];
	verdict_name(&w, head);
	s->rule = w.best.rule;
	if (!tables_are(&w.tables, names, rules, changes))
		return VERDICT_REPORT;
	if (w.best.verdict == VERDICT_NONE)
		return head->default_allow ? VERDICT_ALLOW : VERDICT_DENY;
	return w.best.verdict;
}

/*
 * For the check of a load, and run by nothing but BPF_PROG_TEST_RUN: the answer of the very code
 * and the very maps that give verdicts. rule << 2 | VERDICT_*, or -1.
 */
SEC("tc")
int sluice_ask(struct __sk_buff *skb)
{
	struct policy_question q = {};
	struct scratch *s;
	int word = -1;

	if (bpf_skb_load_bytes(skb, 0, &q, sizeof(q)) != 0)
		return -1;
	s = scratch_take();
	if (!s)
		return -1;
	if (bpf_skb_load_bytes(skb, sizeof(q), s->name, NAME_BUF) == 0 && q.len <= NAME_MAX_LEN) {
		s->name_len = q.len;
		word = ask_rules(s, q.generation, q.group, q.port);
		word |= s->rule << 2;
	}
	scratch_release(s);
	return word;
}

#endif
