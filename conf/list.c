// SPDX-License-Identifier: GPL-2.0-or-later
// Entries of rules. A list of a million names is ordinary (public blocklists), so a name costs its
// own bytes in one arena plus twelve, and nothing is searched while reading.
#include "conf/list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/wire/name.h"
#include "common/cleanup.h"
#include "conf/foreign.h"
#include "conf/lines.h"
#include "conf/reader.h"
#include "conf/value.h"

#define BLANKS " \t"
#define FILE_PREFIX "file:"
#define CIDR_TEXT 64

struct target {
	struct conf_rule *rule;
	bool deny;
};

/* ---- names ---- */

static int add_text(struct conf_reader *r, const char *name, size_t len, uint32_t *at)
{
	struct conf *c = r->conf;
	size_t room = r->text_room ? r->text_room : 4096;
	char *text;

	if (c->text_len + len + 1 > UINT32_MAX)
		return conf_fail(r, "more names than 4 GB hold");
	if (c->text_len + len + 1 > r->text_room) {
		while (room < c->text_len + len + 1)
			room *= 2;
		text = realloc(c->text, room);
		if (!text)
			return conf_no_memory(r);
		c->text = text;
		r->text_room = room;
	}
	*at = (uint32_t)c->text_len;
	memcpy(c->text + c->text_len, name, len);
	c->text[c->text_len + len] = '\0';
	c->text_len += len + 1;
	return 0;
}

static int bad_name(struct conf_reader *r, const char *text, bool numeric)
{
	const char *wild = strchr(text, '*');

	for (const char *p = text; *p; p++)
		if ((unsigned char)*p >= 0x80)
			return conf_fail(r,
					 "'%s' is not ASCII: give the name in A-label form "
					 "(xn--...)",
					 text);
	if (wild && strcmp(text, "*") != 0)
		return conf_fail(r,
				 "'%s': a wildcard stands only for whole labels at the start, "
				 "as in *.example.com",
				 text);
	if (strpbrk(text, BLANKS))
		return conf_fail(r, "'%s' is not a name; entries are separated by commas", text);
	if (numeric)
		return conf_fail(r, "'%s' is neither a name nor an address", text);
	return conf_fail(r, "'%s' is not a host name", text);
}

static int add_name(struct conf_reader *r, struct target *t, const char *text)
{
	struct conf_name name = { .line = r->line, .source = r->source, .deny = t->deny };
	struct conf_rule *rule = t->rule;
	uint32_t len = 0, numeric = 0;
	char normal[NAME_BUF];
	void *grown;
	int err = value_entry(text, normal, &len, &name.kind, &numeric);

	if (err || numeric)
		return bad_name(r, text, numeric);
	grown = conf_grow(rule->names, rule->n_names, sizeof(*rule->names));
	if (!grown)
		return conf_no_memory(r);
	rule->names = grown;
	err = add_text(r, normal, len, &name.text);
	if (err)
		return err;
	rule->names[rule->n_names++] = name;
	r->names++;
	return 0;
}

/* ---- networks ---- */

/* The last label of a name is never a number, so most lines need no call of inet_pton(). */
static bool may_be_network(const char *text)
{
	size_t len = strlen(text);

	return strpbrk(text, ":/") || (len > 0 && text[len - 1] >= '0' && text[len - 1] <= '9');
}

static int bad_network(struct conf_reader *r, const char *text)
{
	struct cidr c;
	char net[CIDR_TEXT];

	if (cidr_parse_loose(text, &c) != 0)
		return conf_fail(r, "'%s' is neither a name, an address nor a network", text);
	cidr_print(&c, net, sizeof(net));
	return conf_fail(r, "'%s' has bits beyond its prefix; did you mean %s?", text, net);
}

static int add_net(struct conf_reader *r, struct target *t, const char *text)
{
	struct conf_net net = { .line = r->line, .source = r->source, .deny = t->deny };
	struct conf_rule *rule = t->rule;
	void *grown;

	if (cidr_parse(text, &net.cidr) != 0)
		return strpbrk(text, ":/") ? bad_network(r, text) : add_name(r, t, text);
	grown = conf_grow(rule->nets, rule->n_nets, sizeof(*rule->nets));
	if (!grown)
		return conf_no_memory(r);
	rule->nets = grown;
	rule->nets[rule->n_nets++] = net;
	r->names++;
	return 0;
}

static int add_one(struct conf_reader *r, struct target *t, const char *text)
{
	return may_be_network(text) ? add_net(r, t, text) : add_name(r, t, text);
}

/* ---- lists ---- */

/* Blocklists in the form of hosts(5) begin with the entries that every hosts file has. */
static bool is_own_entry(const char *name)
{
	static const char *const own[] = { "localhost",	 "localhost.localdomain",
					   "localhost4", "localhost4.localdomain4",
					   "localhost6", "localhost6.localdomain6",
					   "local",	 "broadcasthost",
					   "0.0.0.0" };

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (strcasecmp(name, own[i]) == 0)
			return true;
	return strncasecmp(name, "ip6-", 4) == 0 && !strchr(name, '.');
}

static bool is_address(const char *text)
{
	AUTO_FREE char *plain = NULL;
	struct cidr c;

	if (strcmp(text, "0.0.0.0") == 0 || strcmp(text, "127.0.0.1") == 0) /* nearly all */
		return true;
	plain = strndup(text, strcspn(text, "%")); /* fe80::1%lo0 */
	return plain && !strchr(plain, '/') && cidr_parse(plain, &c) == 0;
}

static int add_hosts(struct conf_reader *r, struct target *t, char *names)
{
	char *name;
	int err;

	while ((name = strsep(&names, BLANKS))) {
		if (!*name || is_own_entry(name))
			continue;
		err = add_one(r, t, name);
		if (err)
			return err;
	}
	return 0;
}

static int add_words(struct conf_reader *r, struct target *t, char *text, char *rest)
{
	if (*rest && is_address(text))
		return add_hosts(r, t, rest);
	if (*rest)
		return conf_fail(r, "more than one name on the line");
	/* an unspecified address is what is left of a line in a hosts list when its names are
	   removed */
	if (!*text || strcmp(text, "0.0.0.0") == 0 || strcmp(text, "::") == 0)
		return 0;
	if (strncmp(text, FILE_PREFIX, strlen(FILE_PREFIX)) == 0)
		return conf_fail(r, "a list cannot name another list");
	return add_one(r, t, text);
}

static int wrong_format(struct conf_reader *r, const char *format)
{
	if (format)
		conf_fail_more(r, "; the file looks like %s, which is not read", format);
	return -EINVAL;
}

static int add_line(struct conf_reader *r, struct target *t, char *line)
{
	char *hash = strchr(line, '#'), *text, *rest;
	int err;

	if (hash && foreign_hash(line, hash)) {
		conf_fail(r, "'%s' is not a host name", line);
		return wrong_format(r, foreign_hash(line, hash));
	}
	if (hash)
		*hash = '\0';
	text = line + strspn(line, BLANKS);
	rest = text + strcspn(text, BLANKS);
	if (*rest)
		*rest++ = '\0';
	rest += strspn(rest, BLANKS);
	err = add_words(r, t, text, rest);
	if (err != -EINVAL)
		return err;
	if (*text == ';')
		conf_fail_more(r, "; comments begin with #");
	return wrong_format(r, *text == ';' ? NULL : foreign_format(text, rest));
}

static int add_lines(struct conf_reader *r, struct target *t, struct lines *l)
{
	int got, err;

	while ((got = lines_next(l)) != 0) {
		r->line = l->number;
		err = got < 0 ? conf_fail_lines(r, got) : add_line(r, t, l->text);
		if (err)
			return err;
		if (r->progress && r->progress->fn && l->number % CONF_PROGRESS_LINES == 0)
			r->progress->fn(r->progress->ctx, l->path, r->names, lines_percent(l));
	}
	return 0;
}

/* Finds the number of a file, or gives it one. */
static int find_source(struct conf_reader *r, char *path, uint16_t *out)
{
	struct string_list *s = &r->conf->sources;
	struct stamp *stamps;
	void *grown;

	for (size_t i = 1; i < s->n; i++) {
		if (strcmp(s->at[i], path) != 0)
			continue;
		*out = (uint16_t)i;
		return 0;
	}
	if (s->n > UINT16_MAX)
		return conf_fail(r, "more than 65535 lists");
	grown = conf_grow(s->at, s->n, sizeof(*s->at));
	if (!grown)
		return conf_no_memory(r);
	s->at = grown;
	stamps = conf_grow(r->conf->stamps, s->n, sizeof(*stamps));
	if (!stamps)
		return conf_no_memory(r);
	r->conf->stamps = stamps;
	stamps[s->n] = (struct stamp){ 0 };
	s->at[s->n] = strdup(path);
	if (!s->at[s->n])
		return conf_no_memory(r);
	*out = (uint16_t)s->n++;
	return 0;
}

/* Two rules that name the same list must have read the same file. */
static int note_stamp(struct conf_reader *r, uint16_t source, const struct lines *l)
{
	struct stamp *known = &r->conf->stamps[source];

	r->source = source;
	if (known->regular && !stamp_same(known, &l->stamp))
		return conf_fail_lines(r, -EBUSY);
	*known = l->stamp;
	return 0;
}

static int add_file(struct conf_reader *r, struct target *t, const char *name)
{
	AUTO_FREE char *path = conf_path(r, name);
	struct lines lines;
	uint64_t before = r->names;
	uint32_t line = r->line;
	uint16_t source = 0;
	int err;

	if (!path)
		return conf_no_memory(r);
	if (!*name)
		return conf_fail(r, "'" FILE_PREFIX "' without a path");
	err = find_source(r, path, &source);
	if (err)
		return err;
	err = lines_open(&lines, path, true);
	if (err)
		return conf_fail(r, "cannot read '%s': %s", path, lines_error(err));
	err = note_stamp(r, source, &lines) ?: add_lines(r, t, &lines);
	lines_close(&lines);
	if (err)
		return err; /* keep the place of the error */
	r->source = 0;
	r->line = line;
	return r->names > before ? 0 : conf_warn(r, "the list '%s' has no entries", path);
}

int list_entry(struct conf_reader *r, struct conf_rule *rule, char *text, bool deny)
{
	struct target t = { .rule = rule, .deny = deny };

	if (strncmp(text, FILE_PREFIX, strlen(FILE_PREFIX)) == 0)
		return add_file(r, &t, text + strlen(FILE_PREFIX));
	return add_one(r, &t, text);
}
