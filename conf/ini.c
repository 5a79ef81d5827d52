// SPDX-License-Identifier: GPL-2.0-or-later
// Steers the reading of sluice.ini: opens and closes sections, looks keys up in the table of
// keys.c, and at the end checks what can only be checked then.
#include "conf/ini.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "conf/feed.h"
#include "conf/keys.h"
#include "conf/reader.h"
#include "conf/suggest.h"

#define BLANKS " \t"
#define SECTION_NAME_MAX 63
#define GROUPS_MAX UINT16_MAX
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

/* A section already met, in a tree by id and name, so that nothing is quadratic in the number of
   rules. */
struct met {
	unsigned id;
	uint32_t line;
	size_t index; /* of a named one in its array */
	char name[SECTION_NAME_MAX + 1];
};

struct reading {
	struct conf_reader r;
	void *met;   /* tsearch() tree of struct met */
	unsigned id; /* of the current section; SECTION_COUNT: none yet */
	uint32_t section_line;
	void *base;    /* where its keys are stored */
	uint64_t seen; /* its keys so far, by index in conf_keys */
};

_Static_assert(KEY_COUNT <= 64, "reading.seen");

/* ---- sections ---- */

static int compare_met(const void *a, const void *b)
{
	const struct met *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return strcmp(x->name, y->name);
}

static const struct met *find_met(struct reading *g, unsigned id, const char *name)
{
	struct met wanted = { .id = id };
	void *node;

	if (strlen(name) > SECTION_NAME_MAX)
		return NULL;
	strcpy(wanted.name, name);
	node = tfind(&wanted, &g->met, compare_met);
	return node ? *(struct met **)node : NULL;
}

static int note_met(struct reading *g, unsigned id, const char *name, size_t index)
{
	struct met *m = calloc(1, sizeof(*m));

	if (!m)
		return conf_no_memory(&g->r);
	m->id = id;
	m->line = g->r.line;
	m->index = index;
	strcpy(m->name, name);
	if (tsearch(m, &g->met, compare_met))
		return 0;
	free(m);
	return conf_no_memory(&g->r);
}

static int open_listener(struct reading *g, const char *name, size_t *index)
{
	struct conf *c = g->r.conf;
	struct conf_listener *l = conf_grow(c->listeners, c->n_listeners, sizeof(*l));
	char *copy = strdup(name);

	c->listeners = l ?: c->listeners;
	if (!l || !copy) {
		free(copy);
		return conf_no_memory(&g->r);
	}
	*index = c->n_listeners++;
	l[*index] = (struct conf_listener){ .name = copy };
	g->base = &l[*index];
	return 0;
}

static int open_group(struct reading *g, const char *name, size_t *index)
{
	struct conf *c = g->r.conf;
	struct conf_group *at;
	char *copy;

	*index = 0;
	g->base = c->groups;
	if (c->n_groups > 0 && strcmp(name, "all") == 0)
		return 0;
	if (c->n_groups >= GROUPS_MAX)
		return conf_fail(&g->r, "more than %u groups", GROUPS_MAX);
	copy = strdup(name);
	at = conf_grow(c->groups, c->n_groups, sizeof(*at));
	c->groups = at ?: c->groups;
	if (!at || !copy) {
		free(copy);
		return conf_no_memory(&g->r);
	}
	*index = c->n_groups++;
	at[*index] = (struct conf_group){ .name = copy };
	g->base = &at[*index];
	return 0;
}

static int open_rule(struct reading *g, const char *name, size_t *index)
{
	struct conf *c = g->r.conf;
	struct conf_rule *at;
	char *copy;

	/* logs use these words where no rule of the file decided */
	if (strcmp(name, "default") == 0 || strcmp(name, "runtime") == 0 || strcmp(name, "-") == 0)
		return conf_fail(&g->r, "a rule cannot be called '%s'", name);
	copy = strdup(name);
	at = conf_grow(c->rules, c->n_rules, sizeof(*at));
	c->rules = at ?: c->rules;
	if (!at || !copy) {
		free(copy);
		return conf_no_memory(&g->r);
	}
	*index = c->n_rules++;
	at[*index] = (struct conf_rule){ .name = copy };
	g->base = &at[*index];
	g->r.entries = 0;
	return 0;
}

static int open_named(struct reading *g, const char *name, size_t *index)
{
	switch (g->id) {
	case SECTION_LISTENER:
		return open_listener(g, name, index);
	case SECTION_CLIENTS:
		return open_group(g, name, index);
	case SECTION_RULE:
		return open_rule(g, name, index);
	default:
		abort();
	}
}

/* Sections without a name have theirs from begin(). */
static int open_base(struct reading *g, const char *name, size_t *index)
{
	if (!conf_sections[g->id].named) {
		g->base = g->r.conf;
		return 0;
	}
	return open_named(g, name, index) ?: keys_defaults(&g->r, g->id, g->base);
}

static bool has_seen(const struct reading *g, const char *key)
{
	for (unsigned i = 0; i < KEY_COUNT; i++)
		if (conf_keys[i].section == g->id && strcmp(conf_keys[i].name, key) == 0)
			return g->seen >> i & 1;
	return false;
}

/* An empty `clients` or `ports` must not end up meaning everyone or everything. */
static int check_rule(struct reading *g, const struct conf_rule *rule)
{
	struct conf_reader *r = &g->r;
	size_t index = (size_t)(rule - r->conf->rules);

	if (r->entries == 0)
		return conf_fail(r, "rule '%s' has neither allow nor deny", rule->name);
	if (has_seen(g, "clients") && (!r->n_refs || r->refs[r->n_refs - 1].rule != index))
		return conf_fail(r, "rule '%s' has an empty 'clients'", rule->name);
	if (has_seen(g, "ports") && rule->n_ports == 0)
		return conf_fail(r, "rule '%s' has an empty 'ports'", rule->name);
	return 0;
}

/* A key that a section lacks is reported with the line of the section's header. */
static int close_section(struct reading *g)
{
	uint32_t line = g->r.line;
	const struct conf_listener *l = g->base;
	const struct conf_group *group = g->base;
	int err = 0;

	g->r.line = g->section_line;
	if (g->id == SECTION_LISTENER && l->n == 0)
		err = conf_fail(&g->r, "listener '%s' has no address", l->name);
	if (g->id == SECTION_CLIENTS && group->networks.n == 0)
		err = conf_fail(&g->r, "group '%s' has no networks", group->name);
	if (g->id == SECTION_RULE)
		err = check_rule(g, g->base);
	if (g->id == SECTION_METRICS)
		err = keys_default_metrics(&g->r);
	if (!err)
		g->r.line = line;
	return err;
}

static int find_section(struct reading *g, const char *word, unsigned *id)
{
	struct suggest s = { .wrong = word };

	for (unsigned i = 0; i < SECTION_COUNT; i++) {
		if (strcmp(conf_sections[i].name, word) == 0) {
			*id = i;
			return 0;
		}
		suggest_offer(&s, conf_sections[i].name);
	}
	if (!*word)
		return conf_fail(&g->r, "a section without a name");
	if (s.best)
		return conf_fail(&g->r, "unknown section [%s]; did you mean '%s'?", word, s.best);
	return conf_fail(&g->r, "unknown section [%s]", word);
}

static int check_header(struct reading *g, const struct section *s, const char *name)
{
	size_t len = strlen(name);

	if (!s->named && len)
		return conf_fail(&g->r, "[%s] takes no name", s->name);
	if (s->named && !len)
		return conf_fail(&g->r, "[%s] needs a name: [%s NAME]", s->name, s->name);
	if (name[strspn(name, NAME_CHARS)] || len > SECTION_NAME_MAX)
		return conf_fail(&g->r, "the name '%s' is not 1 to %d of A-Z a-z 0-9 _ . -", name,
				 SECTION_NAME_MAX);
	return 0;
}

/* Cuts "  rule  api " into "rule" and "api". */
static char *split_header(char **header)
{
	char *word = *header + strspn(*header, BLANKS);
	char *name = word + strcspn(word, BLANKS);
	char *end = name + strlen(name);

	while (end > name && strchr(BLANKS, end[-1]))
		*--end = '\0';
	if (*name)
		*name++ = '\0';
	*header = name + strspn(name, BLANKS);
	return word;
}

static int on_section(void *ctx, char *header)
{
	struct reading *g = ctx;
	char *name = header, *word = split_header(&name);
	const struct met *before;
	size_t index = 0;
	unsigned id = SECTION_COUNT;

	if (close_section(g) || find_section(g, word, &id) ||
	    check_header(g, &conf_sections[id], name))
		return -EINVAL;
	before = find_met(g, id, name);
	if (before)
		return conf_fail(&g->r, "section [%s%s%s] is given twice, first on line %u", word,
				 *name ? " " : "", name, before->line);
	g->id = id;
	g->section_line = g->r.line;
	g->seen = 0;
	if (open_base(g, name, &index))
		return -EINVAL;
	return note_met(g, id, name, index);
}

/* ---- keys ---- */

static int unknown_key(struct reading *g, const char *name)
{
	const char *section = conf_sections[g->id].name;
	struct suggest s = { .wrong = name };

	for (unsigned i = 0; i < KEY_COUNT; i++)
		if (conf_keys[i].section == g->id)
			suggest_offer(&s, conf_keys[i].name);
	if (s.best)
		return conf_fail(&g->r, "unknown key '%s' in [%s]; did you mean '%s'?", name,
				 section, s.best);
	for (unsigned i = 0; i < KEY_COUNT; i++)
		if (strcmp(conf_keys[i].name, name) == 0)
			return conf_fail(&g->r, "unknown key '%s' in [%s]; it belongs in [%s]",
					 name, section, conf_sections[conf_keys[i].section].name);
	return conf_fail(&g->r, "unknown key '%s' in [%s]", name, section);
}

static int on_key(void *ctx, const char *name, const char *value)
{
	struct reading *g = ctx;
	const struct key *k = conf_keys;

	if (g->id == SECTION_COUNT)
		return conf_fail(&g->r, "key '%s' before the first [section]", name);
	while (k < conf_keys + KEY_COUNT && (k->section != g->id || strcmp(k->name, name) != 0))
		k++;
	if (k == conf_keys + KEY_COUNT)
		return unknown_key(g, name);
	if (!k->list && (g->seen >> (k - conf_keys) & 1))
		return conf_fail(&g->r, "'%s' is given twice", name);
	if (!*value && !k->empty)
		return conf_fail(&g->r, "'%s' needs a value", name);
	g->seen |= 1ull << (k - conf_keys);
	return k->set(&g->r, k, (char *)g->base + k->field, value);
}

/* ---- the end ---- */

static int unknown_group(struct conf_reader *r, const char *name)
{
	struct suggest s = { .wrong = name };

	for (size_t i = 0; i < r->conf->n_groups; i++)
		suggest_offer(&s, r->conf->groups[i].name);
	if (s.best)
		return conf_fail(r, "unknown group '%s'; did you mean '%s'?", name, s.best);
	return conf_fail(r, "unknown group '%s'", name);
}

static int add_group(struct conf_reader *r, struct conf_rule *rule, uint16_t group)
{
	uint16_t *grown;

	for (size_t i = 0; i < rule->n_groups; i++)
		if (rule->groups[i] == group)
			return 0;
	grown = conf_grow(rule->groups, rule->n_groups, sizeof(*grown));
	if (!grown)
		return conf_no_memory(r);
	rule->groups = grown;
	grown[rule->n_groups++] = group;
	return 0;
}

static int resolve_groups(struct reading *g)
{
	struct conf *c = g->r.conf;
	int err;

	for (size_t i = 0; i < g->r.n_refs; i++) {
		const struct conf_ref *ref = &g->r.refs[i];
		const struct met *m = find_met(g, SECTION_CLIENTS, ref->group);

		g->r.line = ref->line;
		if (!m && strcmp(ref->group, c->groups[0].name) != 0)
			return unknown_group(&g->r, ref->group);
		err = add_group(&g->r, &c->rules[ref->rule], m ? (uint16_t)m->index : 0);
		if (err)
			return err;
	}
	for (size_t i = 0; i < c->n_rules; i++) {
		err = c->rules[i].n_groups ? 0 : add_group(&g->r, &c->rules[i], 0);
		if (err)
			return err;
	}
	return 0;
}

static int compare_member(const void *a, const void *b)
{
	const struct conf_member *x = a, *y = b;
	int c = memcmp(&x->cidr, &y->cidr, sizeof(x->cidr));

	if (c)
		return c;
	return x->line < y->line ? -1 : x->line > y->line;
}

/* A network that is in two groups would not tell which of them a client is in. */
static int check_members(struct reading *g)
{
	const struct conf_member *first = g->r.members, *other = NULL, *twice = NULL;
	char net[64];

	if (g->r.n_members)
		qsort(g->r.members, g->r.n_members, sizeof(*g->r.members), compare_member);
	for (size_t i = 1; i < g->r.n_members; i++) {
		const struct conf_member *m = &g->r.members[i];

		if (memcmp(&m->cidr, &first->cidr, sizeof(m->cidr)) != 0) {
			first = m;
		} else if (m->group != first->group && (!twice || m->line < twice->line)) {
			twice = m;
			other = first;
		}
	}
	if (!twice)
		return 0;
	cidr_print(&twice->cidr, net, sizeof(net));
	g->r.line = twice->line;
	return conf_fail(&g->r, "network %s is already in group '%s' (line %u)", net,
			 g->r.conf->groups[other->group].name, other->line);
}

/* A port cannot be both; at start the listener would already have it. */
static int check_metrics(struct reading *g)
{
	const struct conf *c = g->r.conf;

	g->r.line = 0;
	for (size_t i = 0; i < c->metrics.n; i++)
		for (size_t k = 0; k < c->n_listeners; k++)
			for (size_t j = 0; j < c->listeners[k].n; j++)
				if (memcmp(&c->metrics.at[i], &c->listeners[k].at[j],
					   sizeof(*c->metrics.at)) == 0)
					return conf_fail(&g->r,
							 "an address of [metrics] is one of "
							 "listener '%s'",
							 c->listeners[k].name);
	return 0;
}

static int finish(struct reading *g)
{
	int err = close_section(g);

	if (err)
		return err;
	if (g->r.line == 0)
		g->r.line = 1;
	if (g->r.conf->n_listeners == 0)
		return conf_fail(&g->r, "no [listener NAME] section");
	err = resolve_groups(g);
	err = err ?: check_members(g);
	err = err ?: check_metrics(g);
	g->r.line = 0;
	return err ?: keys_default_page(&g->r);
}

/* ---- the whole ---- */

static int begin(struct reading *g, const char *path)
{
	struct conf *c = g->r.conf;
	const char *slash = strrchr(path, '/');
	size_t index;
	int err = 0;

	g->id = SECTION_COUNT;
	g->r.folder = strndup(path, slash ? (size_t)(slash - path) + 1 : 0);
	c->sources.at = conf_grow(NULL, 0, sizeof(*c->sources.at));
	c->stamps = conf_grow(NULL, 0, sizeof(*c->stamps));
	if (!g->r.folder || !c->sources.at || !c->stamps)
		return -ENOMEM;
	c->sources.at[0] = strdup(path);
	if (!c->sources.at[0])
		return -ENOMEM;
	c->sources.n = 1;
	c->text = malloc(4096);
	if (!c->text)
		return -ENOMEM;
	g->r.text_room = 4096;
	for (unsigned id = 0; !err && id < SECTION_COUNT; id++)
		if (!conf_sections[id].named)
			err = keys_defaults(&g->r, id, c);
	return err ?: open_group(g, "all", &index);
}

static void end(struct reading *g)
{
	for (size_t i = 0; i < g->r.n_refs; i++)
		free(g->r.refs[i].group);
	free(g->r.refs);
	free(g->r.members);
	free(g->r.folder);
	tdestroy(g->met, free);
}

/* The names' room grows by doubling; the part that they do not need is given back. */
static void *shrunk(void *array, size_t bytes)
{
	void *smaller = bytes ? realloc(array, bytes) : NULL;

	return smaller ? smaller : array;
}

static void give_back(struct conf *c)
{
	c->text = shrunk(c->text, c->text_len);
	for (size_t i = 0; i < c->n_rules; i++) {
		struct conf_rule *rule = &c->rules[i];

		rule->names = shrunk(rule->names, rule->n_names * sizeof(*rule->names));
		rule->nets = shrunk(rule->nets, rule->n_nets * sizeof(*rule->nets));
	}
}

struct conf *conf_read_shown(const char *path, const struct conf_progress *progress, char *err,
			     size_t err_len)
{
	static const struct feed_calls calls = { .section = on_section, .key = on_key };
	struct conf *c = calloc(1, sizeof(*c));
	struct reading g = {
		.r = { .conf = c, .err = err, .err_len = err_len, .progress = progress }
	};
	int failed;

	snprintf(err, err_len, "%s: out of memory", path);
	if (!c)
		return NULL;
	failed = begin(&g, path);
	failed = failed ?: feed_ini(&g.r, path, &calls, &g);
	failed = failed ?: finish(&g);
	end(&g);
	if (failed) {
		conf_free(c);
		return NULL;
	}
	give_back(c);
	if (err_len)
		*err = '\0';
	return c;
}

struct conf *conf_read(const char *path, char *err, size_t err_len)
{
	return conf_read_shown(path, NULL, err, err_len);
}
