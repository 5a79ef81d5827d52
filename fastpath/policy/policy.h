/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The policy: what struct conf says, compiled so that a verdict costs one look-up a label. The
 * tables are the same on both sides of the kernel boundary and so is the code that walks them
 * (bpf/policy/verdict.h); here is the user-space copy, from which fastpath/ fills the kernel's
 * maps.
 *
 * How it is compiled. Every name has two sets of rules, `here` (the name itself) and `below`
 * (names under it). A set is the list of (rule, allow or deny, exactness) that apply there;
 * equal lists share one number, so there are few sets however many names. A table then says
 * for each (set, group, port class) which rule decides:
 *   - the name itself: NAME_HOST entries before NAME_TREE entries (more specific);
 *   - a rule for a named group before one for all; at the same, deny before allow;
 *   - a deny on trial (enforce = no) does not change that: it is in the row only where the other
 *     rules of the set allow, or do not apply;
 *   - VERDICT_NONE where no rule of the set covers that group and port.
 * Ports that all rules treat alike form a class; class 0 is "not named in this set". A set has
 * a row for a named group only if one of its rules names that group, and then for every class
 * of the set and class 0, with the rules for `all` folded in.
 *
 * A policy is immutable after policy_new(), but for its hits, and may be read from any thread.
 * Reference counted.
 */
#ifndef SLUICE_FASTPATH_POLICY_POLICY_H
#define SLUICE_FASTPATH_POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/abi/name.h"
#include "bpf/abi/policy.h"
#include "conf/conf.h"
#include "fastpath/policy/subject.h"

struct policy;
struct table;
struct filter;

struct policy_verdict {
	uint32_t rule; /* for policy_rule_name(); 0: default, RULE_RUNTIME: a run-time entry */
	bool allow;
	bool report; /* its rule has enforce = no and would deny what the others allow: to be let
			  through and reported */
};

/* An entry made at run time (sluicectl allow, deny). Goes before everything in the file. */
struct policy_change {
	char name[NAME_BUF]; /* normalised, without the prefix */
	uint8_t kind;	     /* enum name_kind */
	bool deny;
	int64_t made, until; /* seconds since the epoch; until 0: for good */
	uint32_t uid;	     /* who made it */
};

/*
 * The same policy with these entries made at run time in place of those it had; all that is large
 * is shared. Among these entries the most specific decides; at equal specificity deny beats allow.
 * They are for every client and port. NULL: no memory, or more than CHANGES_MAX names (*err is
 * -ENOMEM or -E2BIG).
 */
struct policy *policy_with_changes(const struct policy *p, const struct policy_change *at, size_t n,
				   int *err);
const struct policy_change *policy_changes(const struct policy *p, size_t *n);

/* Takes conf over on success and frees it with the policy. NULL and a line in err if the policy
   cannot be built; conf is then still the caller's. */
struct policy *policy_new(struct conf *conf, char *err, size_t err_len);
const struct conf *policy_conf(const struct policy *p);
/* policy_conf() for the caller to keep: it outlives the policy, but without its rules, and is to be
   freed by conf_free() after the last reference to p and to policies made of p. */
struct conf *policy_keep_conf(struct policy *p);
struct policy *policy_ref(struct policy *p);
void policy_unref(struct policy *p); /* NULL is fine */

/* The group of the client with the longest matching prefix; GROUP_ALL if none. */
uint32_t policy_group(const struct policy *p, const uint8_t addr[16]);
const char *policy_group_name(const struct policy *p, uint32_t group);

/*
 * The one door for a verdict. An address is judged by the address rules: longest prefix first, then
 * as for names; without a matching entry it is denied, whatever the default.
 */
struct policy_verdict policy_decide(const struct policy *p, uint32_t group,
				    const struct subject *about, uint16_t port);

/* The name of rule number `rule` (from 1); "default" for 0, "runtime" for RULE_RUNTIME; "-" for one
   that is not there. */
const char *policy_rule_name(const struct policy *p, uint32_t rule);
size_t policy_rules(const struct policy *p); /* how many rules there are */

/* How often a rule has decided: 0 is the default, 1 and up are the rules in the order of the file,
   RULE_RUNTIME is for entries made at run time. The caller that applies a verdict counts, from any
   thread; a number that is no rule's is ignored. Policies that differ only in changes share the
   counts. */
uint64_t policy_hits(const struct policy *p, uint32_t rule);
void policy_hit(struct policy *p, uint32_t rule, uint64_t times);
/* Adds old's hit counts to p, matching rules by name. Call it once nothing counts in old. 0, or
   -ENOMEM: p starts from zero. */
int policy_inherit_hits(struct policy *p, const struct policy *old);

/* Where the entry that decided stands, for `explain`: "file:line", and the entry as written,
   "file:line: .example.com"; "runtime: .example.com" for one that was made at run time. 0, or
   -ENOENT when no entry did (the default). */
int policy_explain(const struct policy *p, uint32_t group, const struct subject *about,
		   uint16_t port, char *where, size_t where_len);

/* ---- for fastpath/ alone: the tables, to be copied into maps ---- */

const struct policy_head *policy_head(const struct policy *p);
void policy_set_serial(struct policy *p, uint32_t serial); /* before others see it */
size_t policy_names(const struct policy *p);		   /* distinct names */
const struct table *policy_names_table(const struct policy *p);
const struct table *policy_rules_table(const struct policy *p);
const struct filter *policy_filter(const struct policy *p);
const struct bucket *policy_changes_table(const struct policy *p); /* CHANGES_BUCKETS; NULL: none */
const uint16_t *policy_port_classes(const struct policy *p);	   /* 65536 of them, by port */

#endif
