// SPDX-License-Identifier: GPL-2.0-or-later
// The verdict on a connection in user space: the reason, the rule, and whether that is counted, for
// each thing that may be heard of a client.
#include <arpa/inet.h>

#include "bpf/abi/reason.h"
#include "conf/ini.h"
#include "slowpath/proxy/verdict.h"
#include "tests/unit/folder.h"
#include "tests/unit/test.h"

#define RULES                                                                                      \
	"[listener a]\naddress = 127.0.0.1:3129\n"                                                 \
	"[rule web]\nallow = .open.test, 192.0.2.0/24\ndeny = shut.open.test, 192.0.2.2\n"         \
	"[rule trial]\nenforce = no\ndeny = trial.open.test, 192.0.2.3\n"

#define STRICT RULES "[tls]\nmin_version = 1.3\n"
#define NAMELESS RULES "[tls]\nno_sni = allow\n[http]\nno_host = allow\n"

#define TLS_1_2 0x0303
#define TLS_1_3 0x0304

/* What the verdict says of the rule. */
enum said {
	NOTHING, /* the policy was not asked */
	NAMED,	 /* to be logged */
	COUNTED, /* logged and counted */
	TRIED,	 /* counted, and on trial */
};

struct heard {
	const char *what;
	unsigned proto, version;
	const char *name; /* NULL: missing */
	bool numeric, standing;
	const char *original;
	unsigned why;
	enum said said;
	const char *rule;
};

static struct policy *policy_of(const char *text)
{
	char err[1024];
	struct conf *c;
	struct policy *p;

	folder_text("c.ini", text);
	c = conf_read("c.ini", err, sizeof(err));
	p = c ? policy_new(c, err, sizeof(err)) : NULL;
	if (!p) {
		fprintf(stderr, "%s\n", err);
		exit(1);
	}
	return p;
}

static enum said said_by(const struct verdict *v)
{
	if (!v->asked)
		return NOTHING;
	if (!v->rule_decided)
		return NAMED;
	return v->report ? TRIED : COUNTED;
}

static struct verdict decide(const struct policy *p, const struct heard *t)
{
	struct endpoint_addr original = { .port = 443 };
	struct verdict_question q = {
		.policy = p,
		.original = &original,
		.proto = t->proto,
		.version = t->version,
		.name = t->name ?: "",
		.name_len = t->name ? strlen(t->name) : 0,
		.missing = !t->name,
		.numeric = t->numeric,
		.standing = t->standing,
	};

	if (address_literal(t->original, strlen(t->original), &original.ip) != 0)
		abort();
	return verdict_decide(&q);
}

static void check_cases(const char *ini, const struct heard *t, size_t n)
{
	struct policy *p = policy_of(ini);

	for (size_t i = 0; i < n; i++) {
		struct verdict v = decide(p, &t[i]);
		enum said said = said_by(&v);

		if (v.why != t[i].why || said != t[i].said)
			fprintf(stderr, "%s: reason %u, rule said %d\n", t[i].what, v.why, said);
		CHECK(v.why == t[i].why && said == t[i].said);
		CHECK_STR(policy_rule_name(p, v.rule), t[i].rule);
	}
	CHECK(policy_hits(p, 0) == 0 && policy_hits(p, 1) == 0); /* whoever applies it counts */
	policy_unref(p);
}

#define CHECK_CASES(ini, cases) check_cases(ini, cases, sizeof(cases) / sizeof(*(cases)))

#define NET "192.0.2.1"	       /* allowed by web */
#define SHUT "192.0.2.2"       /* denied by web */
#define TRIAL "192.0.2.3"      /* on trial */
#define NOWHERE "198.51.100.1" /* no rule speaks of it */

static void test_names(void)
{
	static const struct heard cases[] = {
		{ "allowed", PROTO_TLS, TLS_1_3, "a.open.test", 0, 0, NOWHERE, REASON_OK, COUNTED,
		  "web" },
		{ "allowed, of HTTP", PROTO_HTTP, 0, "a.open.test", 0, 0, NOWHERE, REASON_OK,
		  COUNTED, "web" },
		{ "denied", PROTO_TLS, TLS_1_3, "shut.open.test", 0, 0, NET, REASON_POLICY, COUNTED,
		  "web" },
		{ "the default", PROTO_TLS, TLS_1_3, "other.test", 0, 0, NET, REASON_POLICY,
		  COUNTED, "default" },
		{ "on trial", PROTO_TLS, TLS_1_3, "trial.open.test", 0, 0, NET, REASON_POLICY,
		  TRIED, "trial" },
		{ "too old", PROTO_TLS, TLS_1_2, "a.open.test", 0, 0, NET, REASON_TLS_VERSION,
		  NOTHING, "default" },
		{ "a number", PROTO_HTTP, 0, "1.2.3", 1, 0, NET, REASON_BAD_NAME, NOTHING,
		  "default" },
		{ "too old and a number", PROTO_TLS, TLS_1_2, "1.2.3", 1, 0, NET,
		  REASON_TLS_VERSION, NOTHING, "default" },
	};

	CHECK_CASES(STRICT, cases);
}

/* In place of a name the address that was said is judged, not the one that was wanted. */
static void test_literals(void)
{
	static const struct heard cases[] = {
		{ "allowed", PROTO_HTTP, 0, NET, 1, 0, NOWHERE, REASON_OK, COUNTED, "web" },
		{ "denied", PROTO_HTTP, 0, SHUT, 1, 0, NET, REASON_POLICY, COUNTED, "web" },
		{ "on trial", PROTO_HTTP, 0, TRIAL, 1, 0, NET, REASON_POLICY, TRIED, "trial" },
		{ "no entry", PROTO_HTTP, 0, NOWHERE, 1, 0, NET, REASON_POLICY, COUNTED,
		  "default" },
		{ "IPv6", PROTO_HTTP, 0, "[2001:db8::1]", 1, 0, NET, REASON_POLICY, COUNTED,
		  "default" },
	};

	CHECK_CASES(STRICT, cases);
}

static void test_must_have_name(void)
{
	static const struct heard cases[] = {
		{ "TLS", PROTO_TLS, TLS_1_3, NULL, 0, 0, NET, REASON_NO_SNI, NOTHING, "default" },
		{ "old TLS", PROTO_TLS, TLS_1_2, NULL, 0, 0, NET, REASON_NO_SNI, NOTHING,
		  "default" },
		{ "HTTP", PROTO_HTTP, 0, NULL, 0, 0, NET, REASON_NO_HOST, NOTHING, "default" },
		{ "neither", PROTO_NONE, 0, NULL, 0, 0, NET, REASON_OK, COUNTED, "web" },
	};

	CHECK_CASES(STRICT, cases);
}

static void test_nameless(void)
{
	static const struct heard cases[] = {
		{ "TLS", PROTO_TLS, TLS_1_3, NULL, 0, 0, NET, REASON_OK, COUNTED, "web" },
		{ "TLS, denied", PROTO_TLS, TLS_1_3, NULL, 0, 0, SHUT, REASON_NO_SNI, COUNTED,
		  "web" },
		{ "TLS, on trial", PROTO_TLS, TLS_1_3, NULL, 0, 0, TRIAL, REASON_POLICY, TRIED,
		  "trial" },
		{ "TLS, no entry", PROTO_TLS, TLS_1_3, NULL, 0, 0, NOWHERE, REASON_NO_SNI, NAMED,
		  "default" },
		{ "TLS, too old", PROTO_TLS, 0x0302, NULL, 0, 0, NET, REASON_TLS_VERSION, NOTHING,
		  "default" },
		{ "HTTP", PROTO_HTTP, 0, NULL, 0, 0, NET, REASON_OK, COUNTED, "web" },
		{ "HTTP, denied", PROTO_HTTP, 0, NULL, 0, 0, SHUT, REASON_NO_HOST, COUNTED, "web" },
		{ "HTTP, no entry", PROTO_HTTP, 0, NULL, 0, 0, NOWHERE, REASON_NO_HOST, NAMED,
		  "default" },
		{ "neither, denied", PROTO_NONE, 0, NULL, 0, 0, SHUT, REASON_NOT_TLS, COUNTED,
		  "web" },
		{ "neither, on trial", PROTO_NONE, 0, NULL, 0, 0, TRIAL, REASON_POLICY, TRIED,
		  "trial" },
		{ "neither, no entry", PROTO_NONE, 0, NULL, 0, 0, NOWHERE, REASON_NOT_TLS, NAMED,
		  "default" },
	};

	CHECK_CASES(NAMELESS, cases);
}

/* What was let through before is judged by the policy alone. */
static void test_standing(void)
{
	static const struct heard cases[] = {
		{ "a name", PROTO_TLS, 0, "a.open.test", 0, 1, NOWHERE, REASON_OK, COUNTED, "web" },
		{ "denied", PROTO_TLS, 0, "shut.open.test", 0, 1, NET, REASON_POLICY, COUNTED,
		  "web" },
		{ "on trial", PROTO_TLS, 0, "trial.open.test", 0, 1, NET, REASON_POLICY, TRIED,
		  "trial" },
		{ "an address", PROTO_HTTP, 0, SHUT, 0, 1, NET, REASON_POLICY, COUNTED, "web" },
		{ "neither, no entry", PROTO_NONE, 0, NULL, 0, 1, NOWHERE, REASON_POLICY, COUNTED,
		  "default" },
	};
	static const struct heard strict[] = {
		{ "TLS", PROTO_TLS, 0, NULL, 0, 1, NET, REASON_NO_SNI, NOTHING, "default" },
		{ "HTTP", PROTO_HTTP, 0, NULL, 0, 1, NET, REASON_NO_HOST, NOTHING, "default" },
	};
	static const struct heard nameless[] = {
		{ "TLS", PROTO_TLS, 0, NULL, 0, 1, NET, REASON_OK, COUNTED, "web" },
		{ "TLS, denied", PROTO_TLS, 0, NULL, 0, 1, SHUT, REASON_POLICY, COUNTED, "web" },
		{ "TLS, no entry", PROTO_TLS, 0, NULL, 0, 1, NOWHERE, REASON_POLICY, COUNTED,
		  "default" },
		{ "HTTP, on trial", PROTO_HTTP, 0, NULL, 0, 1, TRIAL, REASON_POLICY, TRIED,
		  "trial" },
	};

	CHECK_CASES(STRICT, cases);
	CHECK_CASES(STRICT, strict);
	CHECK_CASES(NAMELESS, nameless);
}

static void test_subjects(void)
{
	struct subject s = verdict_subject("a.test", 6);

	CHECK(s.kind == SUBJECT_NAME && s.len == 6 && memcmp(s.name, "a.test", 6) == 0);
	s = verdict_subject("192.0.2.1", 9);
	CHECK(s.kind == SUBJECT_ADDRESS && s.addr[11] == 0xff && s.addr[15] == 1);
	s = verdict_subject("[2001:db8::1]", 13);
	CHECK(s.kind == SUBJECT_ADDRESS && s.addr[0] == 0x20 && s.addr[15] == 1);
	CHECK(verdict_subject("2001:db8::1", 11).kind == SUBJECT_NAME); /* Host has brackets */
	CHECK(verdict_subject("1.2.3", 5).kind == SUBJECT_NAME);
	CHECK(verdict_subject("", 0).kind == SUBJECT_NONE);
}

int main(void)
{
	folder_enter();
	RUN(test_names);
	RUN(test_literals);
	RUN(test_must_have_name);
	RUN(test_nameless);
	RUN(test_standing);
	RUN(test_subjects);
	folder_leave();
	TEST_DONE("decide");
}
