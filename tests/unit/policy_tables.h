/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tables that a test fills by itself, as bpf/policy/verdict.h wants to be told of them. */
#ifndef SLUICE_TESTS_UNIT_POLICY_TABLES_H
#define SLUICE_TESTS_UNIT_POLICY_TABLES_H

#include "fastpath/policy/table.h"

struct policy_tables {
	struct table names, rules, changes;
	struct filter filter;
};

static const struct bucket *policy_names_at(const struct policy_tables *t, __u32 i)
{
	return &t->names.at[i];
}

static const struct filter_block *policy_filter_at(const struct policy_tables *t, __u32 i)
{
	return &t->filter.at[i];
}

static const struct bucket *policy_rules_at(const struct policy_tables *t, __u32 i)
{
	return &t->rules.at[i];
}

static const struct bucket *policy_changes_at(const struct policy_tables *t, __u32 i)
{
	return t->changes.at ? &t->changes.at[i] : NULL;
}

#include "bpf/policy/verdict.h"

#endif
