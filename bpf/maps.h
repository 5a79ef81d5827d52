/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The policy's maps as a kernel program sees them, and the four functions over them that
 * bpf/policy/verdict.h needs. User space makes and fills the maps (fastpath/kernel/maps.c); what is
 * in them is described in bpf/abi/policy.h. Every program that includes this defines the maps; user
 * space has to give all programs the same ones.
 */
#ifndef SLUICE_BPF_MAPS_H
#define SLUICE_BPF_MAPS_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/abi/policy.h"

/* For a word that user space, or another run of the program, may change at the same time. */
#define READ_ONCE(x) (*(volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct policy_active);
} policy_active SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, POLICY_GENERATIONS);
	__type(key, __u32);
	__type(value, struct policy_head);
} policy_heads SEC(".maps");

struct port_classes {
	__u16 of_port[65536];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, POLICY_GENERATIONS);
	__type(key, __u32);
	__type(value, struct port_classes);
} policy_ports SEC(".maps");

/* Tables of buckets, see bpf/policy/buckets.h. */
struct buckets {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct bucket));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, POLICY_GENERATIONS);
	__type(key, __u32);
	__array(values, struct buckets);
} policy_names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, POLICY_GENERATIONS);
	__type(key, __u32);
	__array(values, struct buckets);
} policy_rules SEC(".maps");

/* Of struct filter_block, which has the size of a bucket. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, POLICY_GENERATIONS);
	__type(key, __u32);
	__array(values, struct buckets);
} policy_filters SEC(".maps");

/* Entries made at run time; a generation that has none has no table. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, POLICY_GENERATIONS);
	__type(key, __u32);
	__array(values, struct buckets);
} policy_changes SEC(".maps");

struct policy_tables {
	__u32 generation;
};

static __always_inline const struct bucket *bucket_at(void *outer, __u32 generation, __u32 i)
{
	void *table = bpf_map_lookup_elem(outer, &generation);

	return table ? bpf_map_lookup_elem(table, &i) : NULL;
}

static __always_inline const struct bucket *policy_names_at(const struct policy_tables *t, __u32 i)
{
	return bucket_at(&policy_names, t->generation, i);
}

static __always_inline const struct filter_block *policy_filter_at(const struct policy_tables *t,
								   __u32 i)
{
	return (const struct filter_block *)bucket_at(&policy_filters, t->generation, i);
}

static __always_inline const struct bucket *policy_rules_at(const struct policy_tables *t, __u32 i)
{
	return bucket_at(&policy_rules, t->generation, i);
}

static __always_inline const struct bucket *policy_changes_at(const struct policy_tables *t,
							      __u32 i)
{
	return bucket_at(&policy_changes, t->generation, i);
}

#endif
