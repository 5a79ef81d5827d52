/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The verdict on a connection in user space: what the client said is put to the policy, and to the
 * keys of the configuration that deny before the policy is asked. This changes nothing and counts
 * nothing; the connection applies the verdict.
 */
#ifndef SLUICE_SLOWPATH_PROXY_VERDICT_H
#define SLUICE_SLOWPATH_PROXY_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fastpath/policy/policy.h"
#include "slowpath/address/address.h"

struct verdict_question {
	const struct policy *policy;
	uint32_t group;			      /* the client's */
	const struct endpoint_addr *original; /* where it wanted to go */
	unsigned proto;			      /* PROTO_*; PROTO_NONE: there can be no name */
	unsigned version;		      /* TLS: highest offered */
	const char *name;		      /* normalised, or an address */
	size_t name_len;
	bool missing; /* there is no name */
	bool numeric; /* the name is an address literal or looks like a number */
	/* The connection was let through before; would today's policy allow it? The TLS version is
	   not judged again, and without a name the reason is the policy, even where no address rule
	   matches. */
	bool standing;
};

struct verdict {
	unsigned why;	   /* REASON_OK, or why not */
	bool asked;	   /* the policy was asked: the rest is its answer */
	uint32_t rule;	   /* for policy_rule_name() */
	bool rule_decided; /* the rule is to be counted */
	bool report;	   /* the rule is on trial: denied in the log only */
};

struct verdict verdict_decide(const struct verdict_question *q);

/* A name as the client sent it (borrowed), or an address in place of one; SUBJECT_NONE for an empty
   text. */
struct subject verdict_subject(const char *text, size_t len);

#endif
