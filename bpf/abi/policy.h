/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The policy's maps, which user space fills and the kernel programs read. Host byte order. Padding
 * is named and zero. Sizes are asserted, so a drift fails both compilers.
 */
#ifndef SLUICE_BPF_ABI_POLICY_H
#define SLUICE_BPF_ABI_POLICY_H

#include <linux/types.h>

enum {
	VERDICT_NONE = 0,
	VERDICT_ALLOW = 1,
	VERDICT_DENY = 2,
	/* A rule with enforce = no would deny. The name is judged as if that rule were not there;
	   if it is allowed then, user space lets it through and reports it. */
	VERDICT_REPORT = 3, /* this set allows */
	VERDICT_TRIAL =
		4, /* this set says nothing else, less specific names decide; in rows only */
};
enum { MISSING_DENY = 0, MISSING_LOOK = 1 };

#define POLICY_GENERATIONS 2
#define GROUP_ALL 0		 /* the group of every client that no other group claims */
#define RULE_RUNTIME 0x3fffffffu /* in place of a rule's number: an entry made at run time */

/* The scalars of one generation of the policy. */
struct policy_head {
	__u64 key[2];	     /* SipHash key of the names */
	__u32 default_allow; /* 1: names that no rule covers are allowed */
	__u32 no_sni;	     /* MISSING_* */
	__u32 enforce;	     /* 0: the kernel denies nothing, user space reports */
	__u32 min_version;   /* highest version a client must offer, 0x0303 */
	__u32 ready;	     /* 1: the generation is complete */
	__u32 serial;	     /* counts the loads */
	__u32 name_buckets;  /* of the table of names */
	__u32 rule_buckets;  /* of the table of decisions */
	__u32 filter_blocks; /* of the filter of the names */
	__u32 pad32;
};

/*
 * A slot of a table (bpf/policy/buckets.h). Three tables:
 *   names    key: hash of the name           value: the sets of rules that speak of it
 *   rules    key: rule_key, stirred          value: which rule decides, and how
 *   changes  key: hash of the name           value: what an entry made at run time says of it
 */
struct slot_value {
	__u32 a; /* names: set for the name itself; rules: rule; changes: VERDICT_* for itself */
	__u32 b; /* names: set for what is below;  rules: VERDICT_*; changes: VERDICT_* below */
};

struct slot {
	__u64 key; /* 0: free */
	struct slot_value value;
};

#define BUCKET_SLOTS 4
/* Set in b of a bucket's first slot, used or free, when a key whose first bucket is this one is in
   its second bucket. If it is clear nobody need look there. Not part of the value. */
#define BUCKET_MORE 0x80000000u

struct bucket {
	struct slot at[BUCKET_SLOTS];
};

/*
 * A filter of the names' hashes, in blocks of one cache line: a name in the table has all its bits
 * set, a name that is not in it has them set one time in forty. In a policy of millions of names
 * the filter fits in the cache and the table does not. It only saves time: without it the answers
 * are the same.
 */
struct filter_block {
	__u64 word[8];
};

/* Entries made at run time: one table of this size, however many there are. */
#define CHANGES_MAX 2048
#define CHANGES_BUCKETS (CHANGES_MAX / 2)

/* (set, group, port class) -> decision. Port class 0 is every port that the set does not name. */
struct rule_key {
	__u32 set;
	__u16 group;
	__u16 port_class;
};

struct rule_decision {
	__u32 rule;
	__u32 verdict; /* VERDICT_NONE: this set says nothing here, less specific names decide */
};

/* The question that the check of a load asks the program: the head of a packet that is never sent.
   The normalised name follows, in NAME_BUF bytes. The answer is rule << 2 | VERDICT_*. */
struct policy_question {
	__u8 ether[16]; /* the packet's Ethernet header; ignored */
	__u32 generation;
	__u32 group;
	__u32 port;
	__u32 len; /* of the name */
};

/* The word that user space flips to put a generation in force. */
struct policy_active {
	__u32 generation; /* 0 or 1; with anything else every flow is left to user space */
	__u32 pad;
};

_Static_assert(sizeof(struct policy_head) == 56, "policy_head");
_Static_assert(sizeof(struct slot) == 16, "slot");
_Static_assert(sizeof(struct bucket) == 64, "bucket");
_Static_assert(sizeof(struct filter_block) == 64, "filter_block");
_Static_assert(sizeof(struct policy_question) == 32, "policy_question");
_Static_assert(sizeof(struct rule_key) == 8, "rule_key");
_Static_assert(sizeof(struct rule_decision) == 8, "rule_decision");

#endif
