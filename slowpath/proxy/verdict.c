// SPDX-License-Identifier: GPL-2.0-or-later
// From what a client said to a verdict, in this order: is there a name at all, is the TLS version
// high enough, what do the rules say.
#include "slowpath/proxy/verdict.h"

#include "bpf/abi/reason.h"

struct subject verdict_subject(const char *text, size_t len)
{
	struct in6_addr literal;

	if (len == 0)
		return (struct subject){ .kind = SUBJECT_NONE };
	if (address_literal(text, len, &literal) == 0)
		return subject_address(literal.s6_addr);
	return subject_name(text, len);
}

static bool must_have_name(const struct verdict_question *q)
{
	const struct conf *c = policy_conf(q->policy);

	return (q->proto == PROTO_TLS && !c->no_sni_allow) ||
	       (q->proto == PROTO_HTTP && !c->no_host_allow);
}

/* Why a connection without a name is denied. */
static unsigned nameless(const struct verdict_question *q)
{
	switch (q->proto) {
	case PROTO_TLS:
		return REASON_NO_SNI;
	case PROTO_HTTP:
		return REASON_NO_HOST;
	}
	return REASON_NOT_TLS;
}

static bool too_old(const struct verdict_question *q)
{
	return q->proto == PROTO_TLS && !q->standing &&
	       q->version < policy_conf(q->policy)->min_version;
}

/* No name to judge: the address rules decide. Without a match it is denied, whatever [policy]
   default says, and the default's counter is untouched. */
static struct verdict by_address(const struct verdict_question *q)
{
	struct subject about = subject_address(q->original->ip.s6_addr);
	struct policy_verdict v = policy_decide(q->policy, q->group, &about, q->original->port);
	unsigned denied = v.report || q->standing ? REASON_POLICY : nameless(q);

	return (struct verdict){
		.why = v.allow ? REASON_OK : denied,
		.asked = true,
		.rule = v.rule,
		.rule_decided = v.rule != 0 || q->standing,
		.report = v.report,
	};
}

static struct verdict by_name(const struct verdict_question *q)
{
	struct subject about = verdict_subject(q->name, q->name_len);
	struct policy_verdict v;

	if (q->numeric && about.kind != SUBJECT_ADDRESS)
		return (struct verdict){ .why = REASON_BAD_NAME };
	v = policy_decide(q->policy, q->group, &about, q->original->port);
	return (struct verdict){
		.why = v.allow ? REASON_OK : REASON_POLICY,
		.asked = true,
		.rule = v.rule,
		.rule_decided = true,
		.report = v.report,
	};
}

struct verdict verdict_decide(const struct verdict_question *q)
{
	if (q->missing && must_have_name(q))
		return (struct verdict){ .why = nameless(q) };
	if (too_old(q))
		return (struct verdict){ .why = REASON_TLS_VERSION };
	return q->missing ? by_address(q) : by_name(q);
}
