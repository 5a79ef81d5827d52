// SPDX-License-Identifier: GPL-2.0-or-later
// The compiled policy against the contract. The other half of the comparison is written from
// the contract's words alone: it walks all rules for every question and compares as it goes.
// With a number as argument: time a policy of that many names.
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "conf/ini.h"
#include "fastpath/policy/policy.h"
#include "fastpath/policy/table.h"
#include "tests/unit/folder.h"
#include "tests/unit/test.h"

#define LISTENER "[listener a]\naddress = 127.0.0.1:3129\n"
#define POLICIES 3000
#define QUESTIONS 120

static char err[1024];

/* Of the c.ini that was written. */
static struct policy *policy_written(void)
{
	struct conf *c = conf_read("c.ini", err, sizeof(err));
	struct policy *p;

	if (!c) {
		fprintf(stderr, "%s\n", err);
		CHECK(!"the test's configuration is good");
		exit(1);
	}
	p = policy_new(c, err, sizeof(err));
	CHECK(p != NULL);
	if (!p)
		exit(1);
	return p;
}

static struct policy *policy_of(const char *text)
{
	folder_text("c.ini", text);
	return policy_written();
}

static FILE *start_ini(void)
{
	FILE *f = fopen("c.ini", "w");

	if (!f)
		abort();
	fputs(LISTENER, f);
	return f;
}

static struct policy *end_ini(FILE *f)
{
	if (fclose(f) != 0)
		abort();
	return policy_written();
}

static void address(const char *text, uint8_t out[16])
{
	struct cidr c;

	if (cidr_parse(text, &c) != 0 || c.bits != 128)
		abort();
	memcpy(out, c.addr, 16);
}

/* ---- by hand ---- */

static struct policy_verdict judge(const struct policy *p, uint32_t group, const void *name,
				   size_t len, uint16_t port)
{
	struct subject about = subject_name(name, len);

	return policy_decide(p, group, &about, port);
}

static struct policy_verdict judge_addr(const struct policy *p, uint32_t group,
					const uint8_t addr[16], uint16_t port)
{
	struct subject about = subject_address(addr);

	return policy_decide(p, group, &about, port);
}

static int explain_name(const struct policy *p, uint32_t group, const char *name, uint16_t port,
			char *where, size_t where_len)
{
	struct subject about = subject_name(name, strlen(name));

	return policy_explain(p, group, &about, port, where, where_len);
}

static int explain_addr(const struct policy *p, const uint8_t addr[16], char *where,
			size_t where_len)
{
	struct subject about = subject_address(addr);

	return policy_explain(p, 0, &about, 443, where, where_len);
}

static void ask(const struct policy *p, uint32_t group, const char *name, uint16_t port,
		const char *want)
{
	uint8_t buf[NAME_BUF] = { 0 };
	struct policy_verdict v;
	char got[128];

	memcpy(buf, name, strlen(name));
	v = judge(p, group, buf, strlen(name), port);
	snprintf(got, sizeof(got), "%s %s", v.allow ? "allow" : "deny",
		 policy_rule_name(p, v.rule));
	CHECK_STR(got, want);
}

static void explain(const struct policy *p, uint32_t group, const char *name, const char *want)
{
	char got[256] = "-";
	int found;

	found = explain_name(p, group, name, 443, got, sizeof(got));
	CHECK(found == 0 || found == -ENOENT);
	CHECK_STR(got, want);
}

static void ask_addr(const struct policy *p, uint32_t group, const char *text, uint16_t port,
		     const char *want)
{
	struct policy_verdict v;
	uint8_t addr[16];
	char got[128];

	address(text, addr);
	v = judge_addr(p, group, addr, port);
	snprintf(got, sizeof(got), "%s %s", v.allow ? "allow" : "deny",
		 policy_rule_name(p, v.rule));
	CHECK_STR(got, want);
}

static void test_contract(void)
{
	struct policy *p = policy_of(
		LISTENER "[clients agents]\nnetworks = 10.0.0.0/8\n"
			 "[clients crawlers]\nnetworks = 10.9.0.0/16\n"
			 "[rule api]\nclients = agents\n"
			 "allow = .openai.com, api.anthropic.com, *.below.example\n"
			 "deny = telemetry.openai.com\nports = 443, 80\n"
			 "[rule web]\nallow = .example.com\ndeny = host.example.com\n"
			 "[rule own]\nclients = agents\nallow = .example.com, host.example.com\n"
			 "deny = .secret.example.com\n"
			 "[rule wide]\nallow = .com\nports = 8443\n"
			 "[rule tie]\nallow = tie.example\ndeny = tie.example\n"
			 "[rule hosttree]\nallow = ht.example\ndeny = .ht.example\n"
			 "[rule crawl]\nclients = crawlers, all\nallow = crawl.example\n"
			 "[rule nocrawl]\ndeny = crawl.example\n");

	ask(p, 1, "openai.com", 443, "allow api");
	ask(p, 1, "api.openai.com", 80, "allow api");
	ask(p, 1, "a.b.openai.com", 443, "allow api");
	ask(p, 1, "xopenai.com", 443, "deny default");
	ask(p, 1, "openai.com.evil.org", 443, "deny default");
	ask(p, 1, "com", 443, "deny default");
	ask(p, 1, "telemetry.openai.com", 443, "deny api");
	ask(p, 1, "x.telemetry.openai.com", 443, "allow api");
	/* another port: the rule does not apply, a less specific one does */
	ask(p, 1, "telemetry.openai.com", 8443, "allow wide");
	ask(p, 1, "telemetry.openai.com", 22, "deny default");
	/* another group */
	ask(p, 2, "openai.com", 443, "deny default");
	ask(p, 0, "openai.com", 443, "deny default");
	ask(p, 1, "below.example", 443, "deny default");
	ask(p, 1, "x.below.example", 443, "allow api");
	/* a named group before all, at equal specificity only */
	ask(p, 0, "host.example.com", 443, "deny web");
	ask(p, 1, "host.example.com", 443, "allow own");
	ask(p, 2, "x.example.com", 443, "allow web");
	ask(p, 1, "secret.example.com", 443, "deny own");
	ask(p, 1, "a.secret.example.com", 443, "deny own");
	ask(p, 2, "a.secret.example.com", 443, "allow web");
	ask(p, 0, "tie.example", 443, "deny tie");
	ask(p, 0, "ht.example", 443, "allow hosttree");
	ask(p, 0, "x.ht.example", 443, "deny hosttree");
	ask(p, 2, "crawl.example", 443, "allow crawl");
	ask(p, 1, "crawl.example", 443, "deny nocrawl");
	ask(p, 0, "x.com", 8443, "allow wide");
	ask(p, 0, "com", 8443, "allow wide");

	explain(p, 1, "a.b.openai.com", "c.ini:9: .openai.com");
	explain(p, 1, "telemetry.openai.com", "c.ini:10: telemetry.openai.com");
	explain(p, 1, "x.below.example", "c.ini:9: *.below.example");
	explain(p, 0, "x.ht.example", "c.ini:27: .ht.example");
	explain(p, 0, "ht.example", "c.ini:26: ht.example");
	explain(p, 0, "nowhere.example", "-");

	CHECK(policy_rules(p) == 8);
	CHECK_STR(policy_rule_name(p, 1), "api");
	CHECK_STR(policy_rule_name(p, 9), "-");
	CHECK_STR(policy_group_name(p, 0), "all");
	CHECK_STR(policy_group_name(p, 2), "crawlers");
	CHECK_STR(policy_group_name(p, 3), "-");
	policy_unref(p);
}

/* The worked example of sluice.ini(5). */
static void test_manual(void)
{
	struct policy *p = policy_of(
		LISTENER "[clients agents]\nnetworks = 10.1.0.0/16, fd00:1::/64\n"
			 "[rule base]\nallow = .debian.org\n"
			 "[rule api]\nclients = agents\nallow = .openai.com, api.anthropic.com\n"
			 "deny = telemetry.openai.com\nports = 443, 80\n"
			 "[rule lab]\nclients = agents\nallow = *.test.debian.org\n"
			 "deny = .debian.org\nports = 443\n");

	ask(p, 1, "openai.com", 443, "allow api");
	ask(p, 1, "openai.com", 22, "deny default");
	ask(p, 0, "openai.com", 443, "deny default");
	ask(p, 1, "telemetry.openai.com", 443, "deny api");
	ask(p, 1, "x.telemetry.openai.com", 443, "allow api");
	ask(p, 0, "ftp.debian.org", 443, "allow base");
	ask(p, 1, "ftp.debian.org", 443, "deny lab");
	ask(p, 1, "ftp.debian.org", 80, "allow base");
	ask(p, 1, "a.test.debian.org", 443, "allow lab");
	policy_unref(p);
}

static void test_head(void)
{
	struct policy *p = policy_of(LISTENER "[policy]\ndefault = allow\nenforce = no\n"
					      "[tls]\nno_sni = allow\nmin_version = 1.3\n");
	const struct policy_head *h = policy_head(p);
	uint8_t name[NAME_BUF] = "a";
	struct policy_verdict v;

	CHECK(h->default_allow == 1 && h->enforce == 0 && h->no_sni == MISSING_LOOK);
	CHECK(h->min_version == 0x0304 && h->ready == 1);
	CHECK(h->key[0] != 0 && h->key[1] != 0);
	CHECK(policy_names(p) == 0 && policy_rules_table(p)->n == 0);
	ask(p, 0, "anything.example", 443, "allow default");
	ask_addr(p, 0, "192.0.2.1", 443, "deny default"); /* whatever the default */
	/* what was not normalised is not judged by the default */
	v = judge(p, 0, name, 0, 443);
	CHECK(!v.allow && v.rule == 0);
	v = judge(p, 0, name, 254, 443);
	CHECK(!v.allow);
	v = judge(p, 7, name, 1, 443);
	CHECK(!v.allow);
	/* nor is nothing */
	v = policy_decide(p, 0, &(struct subject){ .kind = SUBJECT_NONE }, 443);
	CHECK(!v.allow && v.rule == 0 && !v.report);
	CHECK(policy_ref(p) == p);
	policy_unref(p);
	CHECK(policy_conf(p)->default_allow);
	policy_unref(p);
	policy_unref(NULL);
	p = policy_of(LISTENER);
	h = policy_head(p);
	CHECK(h->default_allow == 0 && h->enforce == 1 && h->no_sni == MISSING_DENY);
	CHECK(h->min_version == 0x0303 && h->ready == 1);
	policy_unref(p);
}

static void test_addresses(void)
{
	struct policy *p = policy_of(LISTENER
				     "[clients g]\nnetworks = 10.0.0.0/8\n"
				     "[rule wide]\nallow = 192.0.2.0/24, ::/0\n"
				     "[rule narrow]\ndeny = 192.0.2.0/28\nports = 443\n"
				     "[rule own]\nclients = g\nallow = 192.0.2.0/28, 192.0.2.1\n"
				     "[rule not]\ndeny = 192.0.2.1\n");
	uint8_t addr[16];
	char where[64];

	ask_addr(p, 0, "192.0.2.100", 443, "allow wide");
	ask_addr(p, 0, "192.0.2.2", 443, "deny narrow");
	ask_addr(p, 0, "192.0.2.2", 80, "allow wide");
	ask_addr(p, 1, "192.0.2.2", 443, "allow own");
	ask_addr(p, 0, "192.0.2.1", 80, "deny not");
	ask_addr(p, 1, "192.0.2.1", 80, "allow own");
	ask_addr(p, 0, "192.0.3.1", 80, "deny default"); /* ::/0 is not IPv4 */
	ask_addr(p, 0, "2001:db8::1", 80, "allow wide");
	address("192.0.2.2", addr);
	CHECK(explain_addr(p, addr, where, sizeof(where)) == 0);
	CHECK_STR(where, "c.ini:8: 192.0.2.0/28");
	address("192.0.3.2", addr);
	CHECK(explain_addr(p, addr, where, sizeof(where)) == -ENOENT);
	policy_unref(p);
}

static void check_group(const struct policy *p, const char *text, uint32_t want)
{
	uint8_t addr[16];

	address(text, addr);
	CHECK(policy_group(p, addr) == want);
}

static void test_groups(void)
{
	struct policy *p = policy_of(LISTENER
				     "[clients wide]\nnetworks = 10.0.0.0/8, ::/0\n"
				     "[clients narrow]\nnetworks = 10.1.0.0/16, 2001:db8::/32\n"
				     "[clients one]\nnetworks = 10.1.2.3\n"
				     "[clients all]\nnetworks = 10.1.4.0/24\n"
				     "[clients four]\nnetworks = 0.0.0.0/0\n");

	check_group(p, "10.0.0.1", 1);
	check_group(p, "10.1.0.1", 2);
	check_group(p, "10.1.2.3", 3);
	check_group(p, "10.1.4.9", 0);
	check_group(p, "192.0.2.1", 4);
	check_group(p, "2001:db8::1", 2);
	check_group(p, "2001:db9::1", 1);
	policy_unref(p);
}

/* ---- against the words of the contract ---- */

static uint32_t seed = 20240501;

static uint32_t dice(uint32_t sides)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % sides;
}

/* One to four labels of few letters, so that names meet. */
static void random_name(char *out)
{
	unsigned labels = 1 + dice(4);

	*out = '\0';
	for (unsigned i = 0; i < labels; i++)
		strcat(strcat(out, i ? "." : ""),
		       (const char *[]){ "a", "b", "ab", "c-1" }[dice(4)]);
}

static const uint16_t some_ports[] = { 1, 79, 80, 81, 443, 444, 8000, 8050, 8100, 65535 };

#define ONE_OF(array) ((array)[dice(sizeof(array) / sizeof((array)[0]))])

static void random_entries(FILE *f, const char *key)
{
	static const char *const nets[] = {
		"10.0.0.0/15", "10.0.0.0/16", "10.0.1.0/24", "10.0.1.1",
		"0.0.0.0/0",   "::/0",	      "fd00::/8",    "fd00::1"
	};
	unsigned entries = 1 + dice(5);
	char name[64];

	fprintf(f, "%s = ", key);
	for (unsigned i = 0; i < entries; i++) {
		random_name(name);
		if (dice(5) == 0)
			fprintf(f, "%s, ", ONE_OF(nets));
		else
			fprintf(f, "%s%s, ", (const char *[]){ "", ".", "*." }[dice(3)], name);
	}
	fputs("\n", f);
}

static void random_rule(FILE *f, unsigned number)
{
	static const char *const clients[] = { "all",	 "g1",	    "g2",	  "g3",
					       "g1, g2", "g2, all", "all, g1, g3" };
	static const char *const ports[] = { "80",	  "443",	  "80, 443", "1-100",
					     "8000-8100", "80-8050, 443", "1-65535", "65535, 1" };
	bool allow = dice(3) != 0;

	fprintf(f, "[rule r%u]\n", number);
	if (dice(3))
		fprintf(f, "clients = %s\n", ONE_OF(clients));
	if (dice(2))
		fprintf(f, "ports = %s\n", ONE_OF(ports));
	if (allow)
		random_entries(f, "allow");
	if (!allow || dice(2))
		random_entries(f, "deny");
	if (dice(4) == 0)
		fputs("enforce = no\n", f);
}

static struct policy *random_policy(void)
{
	FILE *f = start_ini();
	unsigned rules = 1 + dice(8);

	fprintf(f,
		"[policy]\ndefault = %s\n"
		"[clients g1]\nnetworks = 192.0.2.1\n"
		"[clients g2]\nnetworks = 192.0.2.2\n"
		"[clients g3]\nnetworks = 192.0.2.3\n",
		dice(2) ? "deny" : "allow");
	for (unsigned i = 0; i < rules; i++)
		random_rule(f, i);
	return end_ini(f);
}

static bool speaks(const struct conf_rule *r, uint32_t group, uint16_t port, bool *named)
{
	bool everyone = false, in_range = r->n_ports == 0;

	*named = false;
	for (size_t i = 0; i < r->n_groups; i++) {
		if (r->groups[i] == 0)
			everyone = true;
		else if (r->groups[i] == group)
			*named = true;
	}
	for (size_t i = 0; i < r->n_ports; i++)
		if (r->ports[i].first <= port && port <= r->ports[i].last)
			in_range = true;
	return in_range && (everyone || *named);
}

/* "The most specific name decides": more labels in common, and the host before its tree. */
static int specificity(const char *entry, unsigned kind, const char *name)
{
	size_t e = strlen(entry), n = strlen(name);
	bool is = strcmp(entry, name) == 0;
	bool under = n > e + 1 && name[n - e - 1] == '.' && strcmp(name + n - e, entry) == 0;

	if (kind == NAME_HOST)
		return is ? 1000 : -1;
	if (kind == NAME_TREE)
		return is ? 999 : under ? (int)e : -1;
	return under ? (int)e : -1;
}

struct naive {
	int specific;
	bool named, deny, enforced, found;
	uint32_t rule;
};

static void offer(struct naive *best, int specific, bool named, bool deny, bool enforced,
		  uint32_t rule)
{
	bool better = !best->found;

	if (best->found && specific != best->specific)
		better = specific > best->specific;
	else if (best->found && named != best->named)
		better = named;
	else if (best->found && deny != best->deny)
		better = deny;
	else if (best->found && deny && enforced != best->enforced)
		better = enforced;
	if (better)
		*best = (struct naive){ specific, named, deny, enforced, true, rule };
}

/* Of all rules, and of all but the denies on trial: these are as if they were not there, except
   that what they would deny of what is allowed is told. */
struct naives {
	struct naive with, without;
};

static void offer_both(struct naives *n, int specific, bool named, bool deny, bool enforced,
		       uint32_t rule)
{
	offer(&n->with, specific, named, deny, enforced, rule);
	if (enforced || !deny)
		offer(&n->without, specific, named, deny, enforced, rule);
}

static struct policy_verdict naive_verdict(const struct naives *n, bool by_default)
{
	bool allowed = n->without.found ? !n->without.deny : by_default;

	if (n->with.found && n->with.deny && !n->with.enforced && allowed)
		return (struct policy_verdict){ .rule = n->with.rule, .report = true };
	return (struct policy_verdict){ .rule = n->without.rule, .allow = allowed };
}

static struct policy_verdict naive_name(const struct conf *c, uint32_t group, const char *name,
					uint16_t port)
{
	struct naives best = { 0 };
	bool named;

	for (size_t i = 0; i < c->n_rules; i++) {
		if (!speaks(&c->rules[i], group, port, &named))
			continue;
		for (size_t j = 0; j < c->rules[i].n_names; j++) {
			const struct conf_name *e = &c->rules[i].names[j];
			int s = specificity(c->text + e->text, e->kind, name);

			if (s >= 0)
				offer_both(&best, s, named, e->deny, c->rules[i].enforce,
					   (uint32_t)i + 1);
		}
	}
	return naive_verdict(&best, c->default_allow);
}

static bool net_holds(const struct cidr *net, const uint8_t addr[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (net->bits < 96 && memcmp(addr, mapped, 12) == 0)
		return false;
	for (unsigned bit = 0; bit < net->bits; bit++)
		if ((net->addr[bit / 8] ^ addr[bit / 8]) & 0x80 >> bit % 8)
			return false;
	return true;
}

static struct policy_verdict naive_addr(const struct conf *c, uint32_t group,
					const uint8_t addr[16], uint16_t port)
{
	struct naives best = { 0 };
	bool named;

	for (size_t i = 0; i < c->n_rules; i++) {
		if (!speaks(&c->rules[i], group, port, &named))
			continue;
		for (size_t j = 0; j < c->rules[i].n_nets; j++) {
			const struct conf_net *e = &c->rules[i].nets[j];

			if (net_holds(&e->cidr, addr))
				offer_both(&best, e->cidr.bits, named, e->deny, c->rules[i].enforce,
					   (uint32_t)i + 1);
		}
	}
	return naive_verdict(&best, false);
}

/* What explain points at must be an entry that says what the verdict says. */
static void check_explained(const struct policy *p, uint32_t group, const char *name, uint16_t port,
			    struct policy_verdict v)
{
	const struct conf *c = policy_conf(p);
	char where[256], want[256];
	int best = -1, found;

	found = explain_name(p, group, name, port, where, sizeof(where));
	CHECK((found == 0) == (v.rule != 0));
	if (found != 0 || v.rule == 0)
		return;
	for (size_t j = 0; j < c->rules[v.rule - 1].n_names; j++) {
		const struct conf_name *e = &c->rules[v.rule - 1].names[j];
		int s = specificity(c->text + e->text, e->kind, name);

		if (e->deny == v.allow || s <= best)
			continue;
		best = s;
		snprintf(want, sizeof(want), "c.ini:%u: %s%s", e->line,
			 (const char *[]){ "", ".", "*." }[e->kind], c->text + e->text);
	}
	CHECK(best >= 0);
	if (best >= 0)
		CHECK_STR(where, want);
}

static void compare_name(const struct policy *p)
{
	uint32_t group = dice(4);
	uint16_t port = ONE_OF(some_ports);
	uint8_t buf[NAME_BUF] = { 0 };
	struct policy_verdict got, want;
	char name[64];

	random_name(name);
	memcpy(buf, name, strlen(name));
	got = judge(p, group, buf, strlen(name), port);
	want = naive_name(policy_conf(p), group, name, port);
	CHECK(got.allow == want.allow && got.report == want.report);
	CHECK(got.rule == want.rule);
	check_explained(p, group, name, port, got);
}

static void compare_addr(const struct policy *p)
{
	static const char *const addrs[] = { "10.0.1.1",  "10.0.1.2", "10.0.2.1", "10.1.1.1",
					     "192.0.2.1", "fd00::1",  "fd00::2",  "2001:db8::1" };
	uint32_t group = dice(4);
	uint16_t port = ONE_OF(some_ports);
	struct policy_verdict got, want;
	uint8_t addr[16];

	address(ONE_OF(addrs), addr);
	got = judge_addr(p, group, addr, port);
	want = naive_addr(policy_conf(p), group, addr, port);
	CHECK(got.allow == want.allow && got.report == want.report);
	CHECK(got.rule == want.rule);
}

/* ---- on trial ---- */

static void test_trial(void)
{
	struct policy *p = policy_of(
		LISTENER
		"[rule base]\nallow = .open.test, 192.0.2.0/24\ndeny = .shut.open.test\n"
		"[rule trial]\nenforce = no\n"
		"deny = .open.test, x.shut.open.test, other.test, 192.0.2.1, 198.51.100.1\n"
		"allow = new.test\n");
	uint8_t name[NAME_BUF] = "a.open.test", addr[16];

	/* told, and let through, where the others allow */
	ask(p, 0, "a.open.test", 443, "deny trial");
	CHECK(judge(p, 0, name, strlen((char *)name), 443).report);
	ask_addr(p, 0, "192.0.2.1", 443, "deny trial");
	address("192.0.2.1", addr);
	CHECK(judge_addr(p, 0, addr, 443).report);
	/* trying a rule opens nothing */
	ask(p, 0, "x.shut.open.test", 443, "deny base");
	ask(p, 0, "other.test", 443, "deny default");
	ask_addr(p, 0, "198.51.100.1", 443, "deny default");
	strcpy((char *)name, "other.test");
	CHECK(!judge(p, 0, name, strlen((char *)name), 443).report);
	/* what it allows is allowed */
	ask(p, 0, "new.test", 443, "allow trial");
	explain(p, 0, "a.open.test", "c.ini:8: .open.test");
	policy_unref(p);
	p = policy_of("[policy]\ndefault = allow\n" LISTENER
		      "[rule t]\nenforce = no\ndeny = .a.test\n"
		      "[rule b]\ndeny = b.a.test\n");
	ask(p, 0, "x.a.test", 443, "deny t");
	ask(p, 0, "b.a.test", 443, "deny b");
	ask(p, 0, "c.test", 443, "allow default");
	policy_unref(p);
}

/* ---- at run time ---- */

static struct policy_change change_of(const char *entry, bool deny)
{
	struct policy_change c = { .kind = NAME_HOST, .deny = deny };

	if (strncmp(entry, "*.", 2) == 0)
		c.kind = NAME_BELOW;
	else if (*entry == '.')
		c.kind = NAME_TREE;
	strcpy(c.name, entry + strspn(entry, "*."));
	return c;
}

static void test_changes(void)
{
	struct policy *p =
		policy_of(LISTENER "[rule r]\nallow = .example.com\ndeny = bad.example.com\n");
	struct policy_change c[] = {
		change_of(".example.com", true),     change_of("api.example.com", false),
		change_of("bad.example.com", false), change_of("*.tie.test", false),
		change_of(".tie.test", true),	     change_of("new.test", false),
	};
	int err = 1;
	struct policy *q = policy_with_changes(p, c, 6, &err);

	CHECK(q && err == 0);
	ask(q, 0, "example.com", 443, "deny runtime");
	ask(q, 0, "www.example.com", 443, "deny runtime");
	ask(q, 0, "api.example.com", 443, "allow runtime");
	ask(q, 0, "x.api.example.com", 443, "deny runtime");
	ask(q, 0, "bad.example.com", 443, "allow runtime");
	ask(q, 0, "tie.test", 443, "deny runtime");
	ask(q, 0, "x.tie.test", 443, "deny runtime");
	ask(q, 0, "new.test", 443, "allow runtime");
	ask(q, 0, "x.new.test", 443, "deny default");
	explain(q, 0, "www.example.com", "runtime: .example.com");
	explain(q, 0, "api.example.com", "runtime: api.example.com");
	/* the policy it was made of is as before, and both live by themselves */
	ask(p, 0, "www.example.com", 443, "allow r");
	policy_unref(p);
	p = policy_with_changes(q, c, 0, &err);
	policy_unref(q);
	ask(p, 0, "www.example.com", 443, "allow r");
	ask(p, 0, "bad.example.com", 443, "deny r");
	explain(p, 0, "www.example.com", "c.ini:4: .example.com");
	policy_unref(p);
}

/* A file that was edited may say both of one entry. */
static void test_both_said(void)
{
	struct policy *p = policy_of(LISTENER), *q;
	int err;

	for (unsigned last = 0; last < 2; last++) {
		struct policy_change c[] = {
			change_of("host.test", !last),	change_of("host.test", last),
			change_of(".tree.test", !last), change_of(".tree.test", last),
			change_of("*.sub.test", !last), change_of("*.sub.test", last),
			change_of(".odd.test", !last),	change_of("odd.test", false),
		};

		q = policy_with_changes(p, c, 8, &err);
		ask(q, 0, "host.test", 443, "deny runtime");
		ask(q, 0, "tree.test", 443, "deny runtime");
		ask(q, 0, "x.tree.test", 443, "deny runtime");
		ask(q, 0, "x.sub.test", 443, "deny runtime");
		ask(q, 0, "odd.test", 443, "allow runtime");
		explain(q, 0, "host.test", "runtime: host.test");
		policy_unref(q);
	}
	policy_unref(p);
}

/* Who needs the keys of a configuration does not hold its lists in memory. */
static void test_kept_conf(void)
{
	struct policy *p = policy_of(LISTENER "[policy]\ndeny_tls = reset\n"
					      "[rule r]\nallow = a.example\n");
	struct conf *c = policy_keep_conf(p);
	struct policy *with;
	int why = 0;

	with = policy_with_changes(p, NULL, 0, &why);
	policy_unref(p);
	CHECK(c->n_rules == 1 && c->text_len > 0);
	policy_unref(with);
	CHECK(c->n_rules == 0 && c->text_len == 0 && !c->text && !c->rules);
	CHECK(c->deny_tls == DENY_TLS_RESET && c->n_listeners == 1);
	conf_free(c);
}

static void test_many_changes(void)
{
	struct policy_change *c = calloc(CHANGES_MAX + 1, sizeof(*c));
	struct policy *p = policy_of(LISTENER), *q;
	char name[64];
	int err;

	for (unsigned i = 0; i <= CHANGES_MAX; i++) {
		sprintf(name, "n%u.example", i);
		c[i] = change_of(name, i % 2);
	}
	CHECK(policy_with_changes(p, c, CHANGES_MAX + 1, &err) == NULL && err == -E2BIG);
	q = policy_with_changes(p, c, CHANGES_MAX, &err);
	CHECK(q != NULL);
	for (unsigned i = 0; q && i < CHANGES_MAX; i++) {
		sprintf(name, "n%u.example", i);
		ask(q, 0, name, 443, i % 2 ? "deny runtime" : "allow runtime");
	}
	policy_unref(q);
	policy_unref(p);
	free(c);
}

static void test_random(void)
{
	for (unsigned i = 0; i < POLICIES && !test_failures; i++) {
		struct policy *p = random_policy();

		for (unsigned j = 0; j < QUESTIONS; j++)
			compare_name(p);
		for (unsigned j = 0; j < QUESTIONS / 4; j++)
			compare_addr(p);
		policy_unref(p);
	}
	if (test_failures && system("cat c.ini >&2") != 0)
		perror("cat");
}

/* Random networks in few bits of both families; a naive search over all of them. */
static void random_net(char *out)
{
	static const char *const six[] = { "fd00::/8",	   "fd00:1::/32",     "fd00:1:1::/48",
					   "::/0",	   "fd00:1:1:1::/64", "::/1",
					   "fd00:1:1:1::1" };
	unsigned bits = 8 + dice(25);
	uint32_t a = (10u << 24 | dice(1 << 24)) & 0x0a0f0f0f & (uint32_t)(~0ull << (32 - bits));

	if (dice(10) == 0)
		strcpy(out, ONE_OF(six));
	else
		sprintf(out, "%u.%u.%u.%u/%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255, bits);
}

static uint32_t naive_group(const struct conf *c, const uint8_t addr[16])
{
	uint32_t best = GROUP_ALL;
	int bits = -1;

	for (size_t i = 0; i < c->n_groups; i++)
		for (size_t j = 0; j < c->groups[i].networks.n; j++) {
			const struct cidr *n = &c->groups[i].networks.at[j];

			if (n->bits > bits && net_holds(n, addr)) {
				bits = n->bits;
				best = (uint32_t)i;
			}
		}
	return best;
}

/* Groups with networks of their own each: one that is taken is left out. */
static struct policy *random_groups(unsigned n)
{
	static char taken[512][64];
	FILE *f = start_ini();
	unsigned n_taken = 0, i;
	char net[64];

	for (unsigned g = 0; g < n; g++) {
		random_net(net);
		for (i = 0; i < n_taken && strcmp(taken[i], net) != 0; i++)
			;
		if (i < n_taken)
			continue;
		strcpy(taken[n_taken++], net);
		fprintf(f, "[clients g%u]\nnetworks = %s\n", g, net);
	}
	return end_ini(f);
}

static void test_random_groups(void)
{
	for (unsigned i = 0; i < 200 && !test_failures; i++) {
		struct policy *p = random_groups(1 + dice(300));

		for (unsigned j = 0; j < 500; j++) {
			uint32_t four = htonl(10u << 24 | (dice(1 << 24) & 0x0f0f0f));
			uint8_t addr[16] = { [10] = 0xff, [11] = 0xff };

			memcpy(addr + 12, &four, 4);
			if (dice(8) == 0)
				address((const char *[]){ "fd00:1:1:1::1", "fd00:1:1:1::2",
							  "fd00:1:2::1", "::1",
							  "fe00::1" }[dice(5)],
					addr);
			CHECK(policy_group(p, addr) == naive_group(policy_conf(p), addr));
		}
		policy_unref(p);
	}
}

/* ---- the tables ---- */

static size_t used_slots(const struct table *t)
{
	size_t n = 0;

	for (size_t i = 0; i < (size_t)t->n_buckets * BUCKET_SLOTS; i++)
		n += table_slot(t, i)->key != 0;
	return n;
}

static void test_tables(void)
{
	struct policy *p = policy_of(LISTENER
				     "[clients g]\nnetworks = ::1\n"
				     "[rule r]\nallow = a, .b, *.c, a, d, e, f\nports = 80, 443\n"
				     "[rule s]\ndeny = g, .a.b\nclients = g\nports = 443-445\n");
	const uint16_t *class = policy_port_classes(p);

	CHECK(policy_names(p) == 8 && used_slots(policy_names_table(p)) == 8);
	/* sets: host and tree entries of r, tree ones only, host of s, tree of s */
	CHECK(policy_rules_table(p)->n == 2 * 3 + 2 * 3);
	CHECK(used_slots(policy_rules_table(p)) == policy_rules_table(p)->n);
	CHECK(class[0] == 0 && class[22] == 0 && class[65535] == 0);
	CHECK(class[80] != 0 && class[443] != 0 && class[444] != 0);
	CHECK(class[80] != class[443] && class[443] != class[444] && class[444] == class[445]);
	policy_unref(p);
}

/* Every port a class of its own: numbers go up to 65535 and no further. Rule n has the ports
   with bit n set. */
static void test_many_classes(void)
{
	FILE *f = start_ini();
	struct policy *p;

	for (unsigned bit = 0; bit < 16; bit++) {
		fprintf(f, "[rule r%u]\nallow = n%u\n", bit, bit);
		for (unsigned from = 1u << bit; from < 65536; from += 2u << bit)
			fprintf(f, "ports = %u-%u\n", from, from + (1u << bit) - 1);
	}
	p = end_ini(f);
	ask(p, 0, "n0", 1, "allow r0");
	ask(p, 0, "n0", 65535, "allow r0");
	ask(p, 0, "n0", 65534, "deny default");
	ask(p, 0, "n15", 32768, "allow r15");
	ask(p, 0, "n15", 32767, "deny default");
	ask(p, 0, "n3", 12, "allow r3");
	ask(p, 0, "n3", 16, "deny default");
	CHECK(policy_port_classes(p)[0] == 0 && policy_port_classes(p)[1] != 0);
	policy_unref(p);
}

/* ---- threads, size ---- */

static void *reader(void *arg)
{
	struct policy *p = arg;
	uint8_t name[NAME_BUF] = "x.example.com";
	size_t wrong = 0;

	for (unsigned i = 0; i < 20000; i++) {
		wrong += !judge(policy_ref(p), 0, name, 13, 443).allow, policy_unref(p);
		policy_hit(p, i % 2, 1);
	}
	policy_unref(p);
	return (void *)wrong;
}

static void test_threads(void)
{
	struct policy *p = policy_of(LISTENER "[rule r]\nallow = .example.com\n");
	pthread_t t[4];
	void *wrong;

	for (unsigned i = 0; i < 4; i++)
		CHECK(pthread_create(&t[i], NULL, reader, policy_ref(p)) == 0);
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(t[i], &wrong);
		CHECK(wrong == NULL);
	}
	CHECK(policy_hits(p, 0) == 40000 && policy_hits(p, 1) == 40000); /* none is lost */
	policy_unref(p);
}

static void test_hits(void)
{
	struct policy *p = policy_of(LISTENER "[rule r]\nallow = a.example\n[rule s]\ndeny = b\n");

	policy_hit(p, 0, 1);
	policy_hit(p, 2, 1);
	policy_hit(p, 2, 1);
	policy_hit(p, RULE_RUNTIME, 1);
	policy_hit(p, 3, 1); /* is no rule's number */
	policy_hit(p, RULE_RUNTIME - 1, 1);
	CHECK(policy_hits(p, 0) == 1 && policy_hits(p, 1) == 0 && policy_hits(p, 2) == 2);
	CHECK(policy_hits(p, RULE_RUNTIME) == 1);
	CHECK(policy_hits(p, 3) == 0 && policy_hits(p, RULE_RUNTIME - 1) == 0);
	CHECK_STR(policy_rule_name(p, 2), "s");
	CHECK_STR(policy_rule_name(p, RULE_RUNTIME), "runtime");
	policy_unref(p);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void test_large(unsigned n)
{
	FILE *f = fopen("l", "w");
	struct policy *p;
	double start;

	for (unsigned i = 0; f && i < n; i++)
		fprintf(f, "%s%x.host.example\n", i % 2 ? "." : "", i);
	if (f)
		fclose(f);
	start = now();
	p = policy_of(LISTENER
		      "[rule r]\ndeny = file:l\n[rule s]\nallow = .example, 3.host.example\n");
	printf("# test_policy: %u names read and compiled in %.0f ms\n", n, (now() - start) * 1e3);
	CHECK(policy_names(p) == n + 1);
	ask(p, 0, "2.host.example", 443, "deny r");
	ask(p, 0, "x.2.host.example", 443, "allow s");
	ask(p, 0, "x.1.host.example", 443, "deny r");
	ask(p, 0, "3.host.example", 443, "allow s");
	start = now();
	for (unsigned i = 0; i < 100000; i++) {
		uint8_t name[NAME_BUF] = { 0 };
		int len = sprintf((char *)name, "x.%x.host.example", i % n);

		if (judge(p, 0, name, (size_t)len, 443).allow != (i % n % 2 == 0))
			break;
	}
	printf("# test_policy: %.0f ns a verdict\n", (now() - start) * 1e4);
	policy_unref(p);
}

int main(int argc, char **argv)
{
	unsigned names = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 100000;

	folder_enter();
	RUN(test_contract);
	RUN(test_manual);
	RUN(test_head);
	RUN(test_addresses);
	RUN(test_groups);
	RUN(test_tables);
	RUN(test_many_classes);
	RUN(test_threads);
	RUN(test_hits);
	RUN(test_trial);
	RUN(test_changes);
	RUN(test_both_said);
	RUN(test_kept_conf);
	RUN(test_many_changes);
	RUN(test_random);
	RUN(test_random_groups);
	RUN(test_large, names);
	folder_leave();
	TEST_DONE("test_policy");
}
