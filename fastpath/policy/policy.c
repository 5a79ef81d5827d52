// SPDX-License-Identifier: GPL-2.0-or-later
// The policy as the rest of the daemon asks it. Names are judged by the very code the kernel
// runs, over tables of the same content; groups and address rules are user space's alone.
#include "fastpath/policy/policy.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "conf/value.h"
#include "fastpath/policy/compile.h"
#include "fastpath/policy/prefix.h"

#define KEY_TRIES 8
#define CIDR_TEXT 64

struct policy_tables {
	const struct tables *t;
	const struct bucket *changes; /* NULL: none */
};

static const struct bucket *policy_names_at(const struct policy_tables *t, __u32 i)
{
	return &t->t->names.at[i];
}

static const struct filter_block *policy_filter_at(const struct policy_tables *t, __u32 i)
{
	return &t->t->filter.at[i];
}

static const struct bucket *policy_rules_at(const struct policy_tables *t, __u32 i)
{
	return &t->t->rules.at[i];
}

static const struct bucket *policy_changes_at(const struct policy_tables *t, __u32 i)
{
	return t->changes ? &t->changes[i] : NULL;
}

#include "bpf/policy/verdict.h"

/* A network of a rule. */
struct net {
	const struct conf_net *net;
	uint32_t rule; /* index */
};

/* All that is large, shared by policies that differ only in entries made at run time. */
struct compiled {
	struct conf *conf; /* owned */
	bool conf_kept;	   /* not any more: the caller of policy_keep_conf() frees it */
	struct policy_head head;
	struct tables tables;
	struct prefix_table groups; /* value: group */
	struct prefix_table nets;   /* value: index of all_nets */
	struct net *all_nets;
	_Atomic uint64_t *hits; /* by hit_slot() */
	atomic_uint refs;
};

struct policy {
	struct compiled *c; /* a reference */
	struct policy_change *changes;
	size_t n_changes;
	struct table changed; /* of CHANGES_BUCKETS, or at NULL */
	atomic_uint refs;
};

/* ---- building ---- */

static void fill_head(struct compiled *p, const struct conf *c)
{
	p->head.default_allow = c->default_allow;
	p->head.no_sni = c->no_sni_allow ? MISSING_LOOK : MISSING_DENY;
	p->head.enforce = c->enforce;
	p->head.min_version = c->min_version;
}

static int build_groups(struct compiled *p, const struct conf *c)
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

static int build_nets(struct compiled *p, const struct conf *c)
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

/* Two names with one hash would be one name to the kernel: another key separates them. */
static int build_names(struct compiled *p, const struct conf *c)
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

/* One for the default, one for each rule, one for entries made at run time. */
static int build_hits(struct compiled *p, const struct conf *c)
{
	p->hits = calloc(c->n_rules + 2, sizeof(*p->hits));
	return p->hits ? 0 : -ENOMEM;
}

static void compiled_unref(struct compiled *c)
{
	if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	tables_free(&c->tables);
	prefix_free(&c->groups);
	prefix_free(&c->nets);
	free(c->all_nets);
	free(c->hits);
	if (c->conf_kept)
		conf_forget_rules(c->conf);
	else
		conf_free(c->conf);
	free(c);
}

static void free_policy(struct policy *p)
{
	compiled_unref(p->c);
	free(p->changes);
	table_close(&p->changed);
	free(p);
}

static const char *trouble(int err)
{
	switch (err) {
	case -E2BIG:
		return "too many names, or combinations of rules, groups and ports";
	case -EIO:
		return "no random numbers";
	case -EAGAIN:
		return "the names do not fit under any key tried";
	default:
		return strerror(-err);
	}
}

static int compile(struct compiled *c, const struct conf *conf)
{
	int err = build_groups(c, conf);

	err = err ?: build_nets(c, conf);
	err = err ?: build_names(c, conf);
	err = err ?: build_hits(c, conf);
	if (err)
		return err;
	fill_head(c, conf);
	c->head.name_buckets = c->tables.names.n_buckets;
	c->head.rule_buckets = c->tables.rules.n_buckets;
	c->head.filter_blocks = c->tables.filter.n_blocks;
	c->head.ready = 1;
	return 0;
}

/* A policy without entries made at run time, which takes the reference to c over; or NULL. */
static struct policy *new_policy(struct compiled *c)
{
	struct policy *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->c = c;
	atomic_init(&p->refs, 1);
	return p;
}

struct policy *policy_new(struct conf *conf, char *err, size_t err_len)
{
	struct compiled *c = calloc(1, sizeof(*c));
	struct policy *p = NULL;
	int failed = c ? 0 : -ENOMEM;

	if (!failed) {
		atomic_init(&c->refs, 1);
		failed = compile(c, conf);
	}
	if (!failed) {
		p = new_policy(c);
		failed = p ? 0 : -ENOMEM;
	}
	if (failed) {
		snprintf(err, err_len, "%s: the policy cannot be built: %s", conf->sources.at[0],
			 trouble(failed));
		if (c)
			compiled_unref(c);
		return NULL;
	}
	c->conf = conf;
	return p;
}

const struct conf *policy_conf(const struct policy *p)
{
	return p->c->conf;
}

struct conf *policy_keep_conf(struct policy *p)
{
	p->c->conf_kept = true;
	return p->c->conf;
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

/* ---- entries made at run time ---- */

/* The verdict of two entries that have the same text. */
static uint32_t stronger(uint32_t a, uint32_t b)
{
	return a == VERDICT_DENY || b == VERDICT_NONE ? a : b;
}

enum { PASS_TREES, PASS_HOSTS, PASS_DENIED_HOSTS, PASSES };

static int pass_of(const struct policy_change *c)
{
	return c->kind != NAME_HOST ? PASS_TREES : c->deny ? PASS_DENIED_HOSTS : PASS_HOSTS;
}

/* The exact name goes before the tree: an entry for the name alone replaces what the tree says of
   that name. */
static int add_change(struct table *t, const uint64_t key[2], const struct policy_change *c)
{
	uint32_t word = c->deny ? VERDICT_DENY : VERDICT_ALLOW;
	uint64_t hash = tables_hash(key, c->name);
	struct slot_value new = { 0 };
	struct slot *s = table_find(t, hash);
	struct slot_value *v = s ? &s->value : &new;

	if (hash == 0)
		return -EAGAIN;
	if (c->kind == NAME_HOST)
		v->a = word;
	if (c->kind == NAME_TREE)
		v->a = stronger(v->a, word);
	if (c->kind != NAME_HOST)
		v->b = stronger(v->b, word);
	return s ? 0 : table_put(t, hash, new);
}

static int build_changes(struct policy *p)
{
	const uint64_t *key = (const uint64_t *)p->c->head.key;
	int err;

	if (p->n_changes == 0)
		return 0;
	if (p->n_changes > CHANGES_MAX)
		return -E2BIG;
	err = table_open_buckets(&p->changed, CHANGES_BUCKETS);
	for (int pass = 0; pass < PASSES; pass++)
		for (size_t i = 0; i < p->n_changes && !err; i++)
			if (pass_of(&p->changes[i]) == pass)
				err = add_change(&p->changed, key, &p->changes[i]);
	if (!err)
		table_seal(&p->changed);
	return err;
}

struct policy *policy_with_changes(const struct policy *p, const struct policy_change *at, size_t n,
				   int *err)
{
	struct policy *new = new_policy(p->c);

	*err = -ENOMEM;
	if (!new)
		return NULL;
	atomic_fetch_add_explicit(&p->c->refs, 1, memory_order_relaxed);
	new->changes = reallocarray(NULL, n ?: 1, sizeof(*at));
	if (new->changes) {
		if (n)
			memcpy(new->changes, at, n * sizeof(*at));
		new->n_changes = n;
		*err = build_changes(new);
	}
	if (*err == 0)
		return new;
	free_policy(new);
	return NULL;
}

const struct policy_change *policy_changes(const struct policy *p, size_t *n)
{
	*n = p->n_changes;
	return p->changes;
}

/* ---- groups ---- */

uint32_t policy_group(const struct policy *p, const uint8_t addr[16])
{
	size_t n;
	const struct prefix *found = prefix_find(&p->c->groups, addr, PREFIX_LONGEST, &n);

	return found ? found->value : GROUP_ALL;
}

const char *policy_group_name(const struct policy *p, uint32_t group)
{
	return group < p->c->conf->n_groups ? p->c->conf->groups[group].name : "-";
}

/* ---- verdicts ---- */

static struct policy_verdict judge_name(const struct policy *p, uint32_t group, const uint8_t *name,
					size_t len, uint16_t port)
{
	struct verdict_walk w = {
		.tables = { .t = &p->c->tables, .changes = p->changed.at },
		.name = name,
		.len = (uint32_t)len,
		.group = (uint16_t)group,
		.port_class = p->c->tables.port_classes[port],
	};
	struct policy_verdict v = { .rule = 0 };

	/* no name, or one longer than a name can be: the caller has not normalised it */
	if (len == 0 || len > NAME_MAX_LEN || group >= p->c->conf->n_groups)
		return v;
	verdict_name(&w, &p->c->head);
	v.rule = w.best.rule;
	v.allow = w.best.verdict == VERDICT_NONE ? p->c->conf->default_allow :
						   w.best.verdict == VERDICT_ALLOW;
	v.report = w.best.verdict == VERDICT_REPORT;
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

static bool is_trial(const struct policy *p, const struct net *net)
{
	return net->net->deny && !p->c->conf->rules[net->rule].enforce;
}

/* Of the rules for one network, the one that decides; NULL: none covers group and port. */
static const struct net *best_net(const struct policy *p, const struct prefix *at, size_t n,
				  uint32_t group, uint16_t port, bool trials)
{
	const struct net *best = NULL;
	unsigned best_rank = 0, rank;

	for (size_t i = 0; i < n; i++) { /* in the order of rules */
		const struct net *net = &p->c->all_nets[at[i].value];
		const struct conf_rule *rule = &p->c->conf->rules[net->rule];
		bool named = group != GROUP_ALL && has_group(rule, group);

		if ((!named && !has_group(rule, GROUP_ALL)) || !has_port(rule, port) ||
		    (is_trial(p, net) && !trials))
			continue;
		rank = tables_rank(false, named, net->net->deny, rule->enforce);
		if (best && rank <= best_rank)
			continue;
		best = net;
		best_rank = rank;
	}
	return best;
}

static const struct net *find_net(const struct policy *p, uint32_t group, const uint8_t addr[16],
				  uint16_t port, bool trials)
{
	const struct prefix *at;
	const struct net *best;
	size_t n = 0;
	int bits = PREFIX_LONGEST;

	while ((at = prefix_find(&p->c->nets, addr, bits, &n))) {
		best = best_net(p, at, n, group, port, trials);
		if (best)
			return best;
		bits = at->cidr.bits - 1;
	}
	return NULL;
}

/* As for names: a deny on trial is reported where the others allow, and ignored where they do not.
 */
static const struct net *deciding_net(const struct policy *p, uint32_t group,
				      const uint8_t addr[16], uint16_t port)
{
	const struct net *net = find_net(p, group, addr, port, true), *other;

	if (!net || !is_trial(p, net))
		return net;
	other = find_net(p, group, addr, port, false);
	return other && !other->net->deny ? net : other;
}

static struct policy_verdict judge_address(const struct policy *p, uint32_t group,
					   const uint8_t addr[16], uint16_t port)
{
	const struct net *net = deciding_net(p, group, addr, port);

	if (!net)
		return (struct policy_verdict){ .rule = 0 };
	return (struct policy_verdict){
		.rule = net->rule + 1,
		.allow = !net->net->deny,
		.report = is_trial(p, net),
	};
}

struct policy_verdict policy_decide(const struct policy *p, uint32_t group,
				    const struct subject *about, uint16_t port)
{
	switch (about->kind) {
	case SUBJECT_NAME:
		return judge_name(p, group, about->name, about->len, port);
	case SUBJECT_ADDRESS:
		return judge_address(p, group, about->addr, port);
	case SUBJECT_NONE:
		break;
	}
	return (struct policy_verdict){ .rule = 0 };
}

/* ---- for people ---- */

const char *policy_rule_name(const struct policy *p, uint32_t rule)
{
	if (rule == 0)
		return "default";
	if (rule == RULE_RUNTIME)
		return "runtime";
	return rule <= p->c->conf->n_rules ? p->c->conf->rules[rule - 1].name : "-";
}

size_t policy_rules(const struct policy *p)
{
	return p->c->conf->n_rules;
}

static _Atomic uint64_t *hit_slot(const struct policy *p, uint32_t rule)
{
	size_t n = p->c->conf->n_rules;

	if (rule == RULE_RUNTIME)
		return &p->c->hits[n + 1];
	return rule <= n ? &p->c->hits[rule] : NULL;
}

uint64_t policy_hits(const struct policy *p, uint32_t rule)
{
	const _Atomic uint64_t *slot = hit_slot(p, rule);

	return slot ? atomic_load_explicit(slot, memory_order_relaxed) : 0;
}

void policy_hit(struct policy *p, uint32_t rule, uint64_t times)
{
	_Atomic uint64_t *slot = hit_slot(p, rule);

	if (slot)
		atomic_fetch_add_explicit(slot, times, memory_order_relaxed);
}

static int compare_rules(const void *a, const void *b)
{
	const struct conf_rule *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

int policy_inherit_hits(struct policy *p, const struct policy *old)
{
	const struct conf *c = old->c->conf;
	const struct conf_rule **rules, **found, *wanted;

	if (p->c == old->c)
		return 0;
	rules = calloc(c->n_rules ?: 1, sizeof(*rules));
	if (!rules)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_rules; i++)
		rules[i] = &c->rules[i];
	qsort(rules, c->n_rules, sizeof(*rules), compare_rules);
	policy_hit(p, 0, policy_hits(old, 0));
	policy_hit(p, RULE_RUNTIME, policy_hits(old, RULE_RUNTIME));
	for (uint32_t i = 0; i < p->c->conf->n_rules; i++) {
		wanted = &p->c->conf->rules[i];
		found = bsearch(&wanted, rules, c->n_rules, sizeof(*rules), compare_rules);
		if (found)
			policy_hit(p, i + 1, policy_hits(old, (uint32_t)(*found - c->rules) + 1));
	}
	free(rules);
	return 0;
}

/* How specific an entry is for a name: 0 if it does not cover the name. */
static size_t match(const char *text, unsigned kind, const char *name, size_t len)
{
	size_t n = strlen(text);

	if (n == len && memcmp(text, name, n) == 0)
		return kind == NAME_BELOW ? 0 : 2 * n + (kind == NAME_HOST);
	if (n >= len || name[len - n - 1] != '.' || memcmp(text, name + len - n, n) != 0)
		return 0;
	return kind == NAME_HOST ? 0 : 2 * n;
}

/* The most specific entry of the deciding rule is the one that decided: if a more specific one
   applied, that would have been asked last. */
static const struct conf_name *find_entry(const struct policy *p, struct policy_verdict v,
					  const uint8_t *name, size_t len)
{
	const struct conf_rule *rule = &p->c->conf->rules[v.rule - 1];
	const struct conf_name *best = NULL;
	size_t most = 0, n;

	for (size_t i = 0; i < rule->n_names; i++) {
		const struct conf_name *e = &rule->names[i];

		if (e->deny == v.allow)
			continue;
		n = match(p->c->conf->text + e->text, e->kind, (const char *)name, len);
		if (n <= most)
			continue;
		best = e;
		most = n;
	}
	return best;
}

/* Always finds one: an entry decided. */
static const struct policy_change *find_change(const struct policy *p, bool allow,
					       const uint8_t *name, size_t len)
{
	const struct policy_change *best = NULL;
	size_t most = 0, n;

	for (size_t i = 0; i < p->n_changes; i++) {
		const struct policy_change *c = &p->changes[i];

		n = c->deny == allow ? 0 : match(c->name, c->kind, (const char *)name, len);
		if (n <= most)
			continue;
		best = c;
		most = n;
	}
	return best;
}

static int explain_name(const struct policy *p, uint32_t group, const uint8_t *name, size_t len,
			uint16_t port, char *where, size_t where_len)
{
	struct policy_verdict v = judge_name(p, group, name, len, port);
	const struct policy_change *change;
	const struct conf_name *e;

	if (v.rule == RULE_RUNTIME) {
		change = find_change(p, v.allow, name, len);
		snprintf(where, where_len, "runtime: %s%s", value_prefix(change->kind),
			 change->name);
		return 0;
	}
	e = v.rule ? find_entry(p, v, name, len) : NULL;
	if (!e)
		return -ENOENT;
	snprintf(where, where_len, "%s:%u: %s%s", p->c->conf->sources.at[e->source], e->line,
		 value_prefix(e->kind), p->c->conf->text + e->text);
	return 0;
}

static int explain_address(const struct policy *p, uint32_t group, const uint8_t addr[16],
			   uint16_t port, char *where, size_t where_len)
{
	const struct net *net = deciding_net(p, group, addr, port);
	char text[CIDR_TEXT];

	if (!net)
		return -ENOENT;
	cidr_print(&net->net->cidr, text, sizeof(text));
	snprintf(where, where_len, "%s:%u: %s", p->c->conf->sources.at[net->net->source],
		 net->net->line, text);
	return 0;
}

int policy_explain(const struct policy *p, uint32_t group, const struct subject *about,
		   uint16_t port, char *where, size_t where_len)
{
	switch (about->kind) {
	case SUBJECT_NAME:
		return explain_name(p, group, about->name, about->len, port, where, where_len);
	case SUBJECT_ADDRESS:
		return explain_address(p, group, about->addr, port, where, where_len);
	case SUBJECT_NONE:
		break;
	}
	return -ENOENT;
}

/* ---- for the maps ---- */

void policy_set_serial(struct policy *p, uint32_t serial)
{
	p->c->head.serial = serial;
}

const struct policy_head *policy_head(const struct policy *p)
{
	return &p->c->head;
}

size_t policy_names(const struct policy *p)
{
	return p->c->tables.names.n;
}

const struct table *policy_names_table(const struct policy *p)
{
	return &p->c->tables.names;
}

const struct filter *policy_filter(const struct policy *p)
{
	return &p->c->tables.filter;
}

const struct table *policy_rules_table(const struct policy *p)
{
	return &p->c->tables.rules;
}

const struct bucket *policy_changes_table(const struct policy *p)
{
	return p->changed.at;
}

const uint16_t *policy_port_classes(const struct policy *p)
{
	return p->c->tables.port_classes;
}
