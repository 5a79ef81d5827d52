// SPDX-License-Identifier: GPL-2.0-or-later
// The policy as the rest of the daemon asks it. Names are judged by the very code the kernel
// runs, over tables of the same content; groups and address rules are user space's alone.
#include "fastpath/policy.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "fastpath/prefix.h"
#include "fastpath/tables.h"

#define KEY_TRIES 8
#define CIDR_TEXT 64

struct policy_tables {
	const struct tables *t;
};

static const struct name_sets *policy_name(const struct policy_tables *t, __u64 hash)
{
	return tables_name(t->t, hash);
}

static const struct rule_decision *policy_rule(const struct policy_tables *t,
					       const struct rule_key *key)
{
	return tables_decision(t->t, key);
}

#include "bpf/verdict.h"

/* A network of a rule. */
struct net {
	const struct conf_net *net;
	uint32_t rule; /* index */
};

struct policy {
	struct conf *conf; /* owned */
	struct policy_head head;
	struct tables tables;
	struct prefix_table groups; /* value: group */
	struct prefix_table nets;   /* value: index of all_nets */
	struct net *all_nets;
	atomic_uint refs;
};

/* ---- building ---- */

static void fill_head(struct policy *p, const struct conf *c)
{
	p->head.default_allow = c->default_allow;
	p->head.no_sni = c->no_sni_allow ? MISSING_LOOK : MISSING_DENY;
	p->head.enforce = c->enforce;
	p->head.min_version = c->min_version;
}

static int build_groups(struct policy *p, const struct conf *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_groups; i++)
		n += c->groups[i].networks.n;
	if (prefix_alloc(&p->groups, n) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_groups; i++)
		for (size_t j = 0; j < c->groups[i].networks.n; j++)
			prefix_add(&p->groups, &c->groups[i].networks.at[j], (uint32_t)i);
	prefix_ready(&p->groups);
	return 0;
}

static int build_nets(struct policy *p, const struct conf *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_rules; i++)
		n += c->rules[i].n_nets;
	p->all_nets = calloc(n ? n : 1, sizeof(*p->all_nets));
	if (!p->all_nets || prefix_alloc(&p->nets, n) != 0)
		return -ENOMEM;
	n = 0;
	for (size_t i = 0; i < c->n_rules; i++)
		for (size_t j = 0; j < c->rules[i].n_nets; j++) {
			const struct conf_net *net = &c->rules[i].nets[j];

			p->all_nets[n] = (struct net){ .net = net, .rule = (uint32_t)i };
			prefix_add(&p->nets, &net->cidr, (uint32_t)n++);
		}
	prefix_ready(&p->nets);
	return 0;
}

/* Two names with one hash would be one name to the kernel: another key parts them. */
static int build_names(struct policy *p, const struct conf *c)
{
	uint64_t key[2];
	int err = -EAGAIN;

	for (int i = 0; i < KEY_TRIES && err == -EAGAIN; i++) {
		if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
			return -EIO;
		p->head.key[0] = key[0];
		p->head.key[1] = key[1];
		err = tables_compile(c, key, &p->tables);
	}
	return err;
}

static void free_policy(struct policy *p)
{
	tables_free(&p->tables);
	prefix_free(&p->groups);
	prefix_free(&p->nets);
	free(p->all_nets);
	conf_free(p->conf);
	free(p);
}

static const char *trouble(int err)
{
	switch (err) {
	case -E2BIG:
		return "too many combinations of rules, groups and ports";
	case -EIO:
		return "no random numbers";
	case -EAGAIN:
		return "names share a hash under every key tried";
	default:
		return strerror(-err);
	}
}

struct policy *policy_new(struct conf *conf, char *err, size_t err_len)
{
	struct policy *p = calloc(1, sizeof(*p));
	int failed = p ? 0 : -ENOMEM;

	failed = failed ?: build_groups(p, conf);
	failed = failed ?: build_nets(p, conf);
	failed = failed ?: build_names(p, conf);
	if (failed) {
		snprintf(err, err_len, "%s: the policy cannot be built: %s", conf->sources.at[0],
			 trouble(failed));
		if (p)
			free_policy(p);
		return NULL;
	}
	fill_head(p, conf);
	p->head.ready = 1;
	p->conf = conf;
	atomic_init(&p->refs, 1);
	return p;
}

const struct conf *policy_conf(const struct policy *p)
{
	return p->conf;
}

struct policy *policy_ref(struct policy *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

void policy_unref(struct policy *p)
{
	if (p && atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) == 1)
		free_policy(p);
}

/* ---- groups ---- */

uint32_t policy_group(const struct policy *p, const uint8_t addr[16])
{
	size_t n;
	const struct prefix *found = prefix_find(&p->groups, addr, PREFIX_LONGEST, &n);

	return found ? found->value : GROUP_ALL;
}

const char *policy_group_name(const struct policy *p, uint32_t group)
{
	return group < p->conf->n_groups ? p->conf->groups[group].name : "-";
}

/* ---- verdicts ---- */

struct policy_verdict policy_judge(const struct policy *p, uint32_t group, const uint8_t *name,
				   size_t len, uint16_t port)
{
	struct verdict_walk w = {
		.tables = { .t = &p->tables },
		.name = name,
		.len = (uint32_t)len,
		.group = (uint16_t)group,
		.port_class = p->tables.port_classes[port],
	};
	struct policy_verdict v = { .rule = 0, .allow = false };

	/* no name, or one longer than a name can be: whoever asks has not normalised it */
	if (len == 0 || len > NAME_MAX_LEN || group >= p->conf->n_groups)
		return v;
	verdict_name(&w, &p->head);
	v.rule = w.best.rule;
	v.allow = w.best.verdict == VERDICT_NONE ? p->conf->default_allow :
						   w.best.verdict == VERDICT_ALLOW;
	return v;
}

static bool has_port(const struct conf_rule *rule, uint16_t port)
{
	for (size_t i = 0; i < rule->n_ports; i++)
		if (port >= rule->ports[i].first && port <= rule->ports[i].last)
			return true;
	return rule->n_ports == 0;
}

static bool has_group(const struct conf_rule *rule, uint32_t group)
{
	for (size_t i = 0; i < rule->n_groups; i++)
		if (rule->groups[i] == group)
			return true;
	return false;
}

/* Of the rules for one network, the one that decides; NULL: none speaks of group and port. */
static const struct net *best_net(const struct policy *p, const struct prefix *at, size_t n,
				  uint32_t group, uint16_t port)
{
	const struct net *best = NULL;
	unsigned best_rank = 0, rank;

	for (size_t i = 0; i < n; i++) { /* in the order of rules */
		const struct net *net = &p->all_nets[at[i].value];
		const struct conf_rule *rule = &p->conf->rules[net->rule];
		bool named = group != GROUP_ALL && has_group(rule, group);

		if ((!named && !has_group(rule, GROUP_ALL)) || !has_port(rule, port))
			continue;
		rank = tables_rank(false, named, net->net->deny);
		if (best && rank <= best_rank)
			continue;
		best = net;
		best_rank = rank;
	}
	return best;
}

static const struct net *find_net(const struct policy *p, uint32_t group, const uint8_t addr[16],
				  uint16_t port)
{
	const struct prefix *at;
	const struct net *best;
	size_t n = 0;
	int bits = PREFIX_LONGEST;

	while ((at = prefix_find(&p->nets, addr, bits, &n))) {
		best = best_net(p, at, n, group, port);
		if (best)
			return best;
		bits = at->cidr.bits - 1;
	}
	return NULL;
}

struct policy_verdict policy_judge_addr(const struct policy *p, uint32_t group,
					const uint8_t addr[16], uint16_t port)
{
	const struct net *net = find_net(p, group, addr, port);

	if (!net)
		return (struct policy_verdict){ .rule = 0, .allow = false };
	return (struct policy_verdict){ .rule = net->rule + 1, .allow = !net->net->deny };
}

/* ---- for people ---- */

const char *policy_rule_name(const struct policy *p, uint32_t rule)
{
	if (rule == 0)
		return "default";
	return rule <= p->conf->n_rules ? p->conf->rules[rule - 1].name : "-";
}

size_t policy_rules(const struct policy *p)
{
	return p->conf->n_rules;
}

/* How specific an entry is for a name: 0 if it does not speak of it. */
static size_t match(const char *text, unsigned kind, const char *name, size_t len)
{
	size_t n = strlen(text);

	if (n == len && memcmp(text, name, n) == 0)
		return kind == NAME_BELOW ? 0 : 2 * n + (kind == NAME_HOST);
	if (n >= len || name[len - n - 1] != '.' || memcmp(text, name + len - n, n) != 0)
		return 0;
	return kind == NAME_HOST ? 0 : 2 * n;
}

/* The most specific entry of the deciding rule is the one that decided: had a more specific
   one spoken, it would have been asked last. */
static const struct conf_name *find_entry(const struct policy *p, struct policy_verdict v,
					  const uint8_t *name, size_t len)
{
	const struct conf_rule *rule = &p->conf->rules[v.rule - 1];
	const struct conf_name *best = NULL;
	size_t most = 0, n;

	for (size_t i = 0; i < rule->n_names; i++) {
		const struct conf_name *e = &rule->names[i];

		if (e->deny == v.allow)
			continue;
		n = match(p->conf->text + e->text, e->kind, (const char *)name, len);
		if (n <= most)
			continue;
		best = e;
		most = n;
	}
	return best;
}

int policy_explain(const struct policy *p, uint32_t group, const uint8_t *name, size_t len,
		   uint16_t port, char *where, size_t where_len)
{
	static const char *const prefix[] = {
		[NAME_HOST] = "", [NAME_TREE] = ".", [NAME_BELOW] = "*."
	};
	struct policy_verdict v = policy_judge(p, group, name, len, port);
	const struct conf_name *e = v.rule ? find_entry(p, v, name, len) : NULL;

	if (!e)
		return -ENOENT;
	snprintf(where, where_len, "%s:%u: %s%s", p->conf->sources.at[e->source], e->line,
		 prefix[e->kind], p->conf->text + e->text);
	return 0;
}

int policy_explain_addr(const struct policy *p, uint32_t group, const uint8_t addr[16],
			uint16_t port, char *where, size_t where_len)
{
	const struct net *net = find_net(p, group, addr, port);
	char text[CIDR_TEXT];

	if (!net)
		return -ENOENT;
	cidr_print(&net->net->cidr, text, sizeof(text));
	snprintf(where, where_len, "%s:%u: %s", p->conf->sources.at[net->net->source],
		 net->net->line, text);
	return 0;
}

/* ---- for the maps ---- */

void policy_set_serial(struct policy *p, uint32_t serial)
{
	p->head.serial = serial;
}

const struct policy_head *policy_head(const struct policy *p)
{
	return &p->head;
}

size_t policy_names(const struct policy *p)
{
	return p->tables.n_names;
}

size_t policy_decisions(const struct policy *p)
{
	return p->tables.n_decisions;
}

int policy_each_name(const struct policy *p,
		     int (*fn)(void *ctx, uint64_t hash, const struct name_sets *sets), void *ctx)
{
	const struct tables *t = &p->tables;
	int stop = 0;

	for (uint64_t i = 0; i <= t->names_mask && !stop; i++)
		if (t->names[i].sets.here || t->names[i].sets.below)
			stop = fn(ctx, t->names[i].hash, &t->names[i].sets);
	return stop;
}

int policy_each_decision(const struct policy *p,
			 int (*fn)(void *ctx, const struct rule_key *key,
				   const struct rule_decision *d),
			 void *ctx)
{
	const struct tables *t = &p->tables;
	int stop = 0;

	for (uint64_t i = 0; i <= t->decisions_mask && !stop; i++)
		if (t->decisions[i].key.set)
			stop = fn(ctx, &t->decisions[i].key, &t->decisions[i].d);
	return stop;
}

const uint16_t *policy_port_classes(const struct policy *p)
{
	return p->tables.port_classes;
}
