// SPDX-License-Identifier: GPL-2.0-or-later
// What may stand in sluice.ini, one row a key with its range and default, and how each kind of
// value gets into struct conf. tests/unit/test_manual holds the manual and sluice.ini to the table.
#include "conf/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "common/cleanup.h"
#include "conf/lines.h"
#include "conf/list.h"
#include "conf/reader.h"
#include "conf/value.h"

#ifndef CONF_DENY_PAGE
#define CONF_DENY_PAGE "/usr/share/sluice/deny.html"
#endif

#define SYSLOG_AT "syslog:"
#define CONTROL_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)
#define PAGE_MAX 65536
#define CONNECTIONS_MAX 16777216
#define WORKERS_MAX 1024
#define DAY_MS 86400000u
#define WORDS_TEXT 128
#define METRICS_ADDRESS "127.0.0.1:9465"

static const char builtin_page[] =
	"<!DOCTYPE html>\n"
	"<html lang=\"en\">\n"
	"<head><meta charset=\"utf-8\"><title>Access denied</title></head>\n"
	"<body>\n"
	"<h1>Access denied</h1>\n"
	"<p>The policy of this network does not allow access to <strong>%h</strong>\n"
	"(reason: <code>%r</code>).</p>\n"
	"<p>If you need it, ask those who run the network and tell them this name.</p>\n"
	"</body>\n"
	"</html>\n";

static const struct word words_fastpath[] = {
	{ "auto", FASTPATH_AUTO }, { "on", FASTPATH_ON }, { "off", FASTPATH_OFF }, { 0 }
};
static const struct word words_log_format[] = { { "squid", LOG_SQUID },
						{ "json", LOG_JSON },
						{ 0 } };
static const struct word words_mode[] = { { "intercept", 0 }, { 0 } };
static const struct word words_allow[] = { { "deny", false }, { "allow", true }, { 0 } };
static const struct word words_destination[] = { { "named", DESTINATION_NAMED },
						 { "original", DESTINATION_ORIGINAL },
						 { 0 } };
static const struct word words_deny_tls[] = { { "alert", DENY_TLS_ALERT },
					      { "reset", DENY_TLS_RESET },
					      { 0 } };
static const struct word words_version[] = {
	{ "1.0", 0x0301 }, { "1.1", 0x0302 }, { "1.2", 0x0303 }, { "1.3", 0x0304 }, { 0 }
};

/* ---- scalars ---- */

static int replace(struct conf_reader *r, char **field, char *text)
{
	if (!text)
		return conf_no_memory(r);
	free(*field);
	*field = text;
	return 0;
}

static int set_text(struct conf_reader *r, const struct key *k, void *field, const char *value)
{
	(void)k;
	return replace(r, field, strdup(value));
}

/* What the daemon creates must not depend on where it was started. */
static int set_output(struct conf_reader *r, const struct key *k, void *field, const char *value)
{
	if (*value && *value != '/')
		return conf_fail(r, "%s must be an absolute path, not '%s'", k->name, value);
	if (k->max && strlen(value) > k->max)
		return conf_fail(r, "%s is longer than %u bytes", k->name, k->max);
	return set_text(r, k, field, value);
}

/* What may stand in place of a path: some words, and "syslog:" with the socket of another syslog
   daemon. */
static bool is_log_word(const char *value)
{
	return strcmp(value, "stderr") == 0 || strcmp(value, "syslog") == 0 ||
	       strcmp(value, "none") == 0 || strncmp(value, SYSLOG_AT "/", sizeof(SYSLOG_AT)) == 0;
}

static int set_log(struct conf_reader *r, const struct key *k, void *field, const char *value)
{
	if (*value != '/' && !is_log_word(value))
		return conf_fail(r, "%s must be an absolute path, stderr, syslog or none, not '%s'",
				 k->name, value);
	if (*value != '/' && strlen(value) > strlen(SYSLOG_AT) + CONTROL_MAX)
		return conf_fail(r, "%s is longer than %zu bytes", "the path of " SYSLOG_AT,
				 CONTROL_MAX);
	return set_text(r, k, field, value);
}

static int set_input(struct conf_reader *r, const struct key *k, void *field, const char *value)
{
	(void)k;
	return replace(r, field, *value ? conf_path(r, value) : strdup(""));
}

static int find_word(struct conf_reader *r, const struct key *k, const char *value, int *out)
{
	char list[WORDS_TEXT] = "";
	size_t n = 0;

	if (value_word(value, k->words, out) == 0)
		return 0;
	for (const struct word *w = k->words; w->text && n < sizeof(list); w++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s",
				      w == k->words ? "" :
				      w[1].text	    ? ", " :
						      " or ",
				      w->text);
	return conf_fail(r, "%s must be %s, not '%s'", k->name, list, value);
}

static int set_enum(struct conf_reader *r, const struct key *k, void *field, const char *value)
{
	return find_word(r, k, value, field);
}

static int set_flag(struct conf_reader *r, const struct key *k, void *field, const char *value)
{
	int word;
	int err = find_word(r, k, value, &word);

	if (!err)
		*(bool *)field = word;
	return err;
}

static int set_version(struct conf_reader *r, const struct key *k, void *field, const char *value)
{
	int word;
	int err = find_word(r, k, value, &word);

	if (!err)
		*(uint16_t *)field = (uint16_t)word;
	return err;
}

/* There is only one mode so far; the key keeps a place for others. */
static int set_mode(struct conf_reader *r, const struct key *k, void *field, const char *value)
{
	int word;

	(void)field;
	return find_word(r, k, value, &word);
}

static int set_number(struct conf_reader *r, const struct key *k, void *field, const char *value)
{
	uint32_t n;

	if (value_number(value, false, &n) != 0 || n < k->min || n > k->max)
		return conf_fail(r, "%s must be a number from %u to %u, not '%s'", k->name, k->min,
				 k->max, value);
	*(unsigned *)field = n;
	return 0;
}

static int set_workers(struct conf_reader *r, const struct key *k, void *field, const char *value)
{
	uint32_t n;

	if (strcmp(value, "auto") == 0) {
		*(unsigned *)field = 0;
		return 0;
	}
	if (value_number(value, false, &n) != 0 || n < k->min || n > k->max)
		return conf_fail(r, "%s must be auto or a number from %u to %u, not '%s'", k->name,
				 k->min, k->max, value);
	*(unsigned *)field = n;
	return 0;
}

static int set_mark(struct conf_reader *r, const struct key *k, void *field, const char *value)
{
	if (value_number(value, true, field) != 0)
		return conf_fail(r,
				 "%s must be a number from %u to %u, or hex from 0x%x to 0x%x, "
				 "not '%s'",
				 k->name, k->min, k->max, k->min, k->max, value);
	return 0;
}

static int set_duration(struct conf_reader *r, const struct key *k, void *field, const char *value)
{
	unsigned ms;

	if (value_duration(value, &ms) != 0 || ms < k->min || ms > k->max)
		return conf_fail(r,
				 "%s must be a time from %s to 30d, as in 500ms, 5s, 2m or 1h, "
				 "not '%s'",
				 k->name, k->min ? "1ms" : "0", value);
	*(unsigned *)field = ms;
	return 0;
}

/* ---- the deny page ---- */

static int read_page(const char *path, char **out)
{
	AUTO_FREE char *text = malloc(PAGE_MAX + 1);
	struct lines l; /* only for how it opens files */
	size_t n = 0;
	int err = text ? lines_open(&l, path, true) : -ENOMEM;

	if (err)
		return err;
	err = lines_rest(&l, text, PAGE_MAX, &n);
	lines_close(&l);
	if (err)
		return err;
	if (memchr(text, '\0', n))
		return -EILSEQ;
	*out = TAKE(text);
	return 0;
}

static int page_trouble(struct conf_reader *r, const char *path, int err)
{
	if (err == -EFBIG)
		return conf_fail(r, "deny_page '%s' is larger than 65536 bytes", path);
	if (err == -EILSEQ)
		return conf_fail(r, "deny_page '%s' has a NUL byte", path);
	return conf_fail(r, "cannot read deny_page '%s': %s", path, lines_error(err));
}

static int use_builtin(struct conf_reader *r)
{
	return replace(r, &r->conf->deny_page_text, strdup(builtin_page));
}

static int set_page(struct conf_reader *r, const struct key *k, void *field, const char *value)
{
	struct conf *c = r->conf;
	int err = set_input(r, k, field, value);

	if (err)
		return err;
	if (!*value)
		return use_builtin(r);
	err = read_page(c->deny_page, &c->deny_page_text);
	return err ? page_trouble(r, c->deny_page, err) : 0;
}

int keys_default_page(struct conf_reader *r)
{
	struct conf *c = r->conf;
	int err;

	if (c->deny_page_text)
		return 0;
	err = replace(r, &c->deny_page, strdup(CONF_DENY_PAGE));
	if (err)
		return err;
	err = read_page(c->deny_page, &c->deny_page_text);
	if (err == -ENOENT)
		return use_builtin(r);
	return err ? page_trouble(r, c->deny_page, err) : 0;
}

/* ---- lists ---- */

static int add_listen(struct conf_reader *r, void *arg, char *item)
{
	struct conf_listener *own = arg;
	struct sockaddr_storage ss;
	void *grown;

	if (value_address(item, &ss) != 0)
		return conf_fail(r, "'%s' is not ADDRESS:PORT or [ADDRESS]:PORT", item);
	for (size_t i = 0; i < r->conf->n_listeners; i++)
		for (size_t j = 0; j < r->conf->listeners[i].n; j++)
			if (memcmp(&r->conf->listeners[i].at[j], &ss, sizeof(ss)) == 0)
				return conf_fail(r, "'%s' is already an address of listener '%s'",
						 item, r->conf->listeners[i].name);
	grown = conf_grow(own->at, own->n, sizeof(*own->at));
	if (!grown)
		return conf_no_memory(r);
	own->at = grown;
	own->at[own->n++] = ss;
	return 0;
}

static int set_listen(struct conf_reader *r, const struct key *k, void *field, const char *value)
{
	(void)k;
	return conf_each(r, value, add_listen, field);
}

static int add_metrics(struct conf_reader *r, void *arg, char *item)
{
	struct conf_metrics *m = arg;
	struct sockaddr_storage ss;
	void *grown;

	if (value_address(item, &ss) != 0)
		return conf_fail(r, "'%s' is not ADDRESS:PORT or [ADDRESS]:PORT", item);
	for (size_t i = 0; i < m->n; i++)
		if (memcmp(&m->at[i], &ss, sizeof(ss)) == 0)
			return conf_fail(r, "'%s' is given twice", item);
	grown = conf_grow(m->at, m->n, sizeof(*m->at));
	if (!grown)
		return conf_no_memory(r);
	m->at = grown;
	m->at[m->n++] = ss;
	return 0;
}

static int set_metrics(struct conf_reader *r, const struct key *k, void *field, const char *value)
{
	(void)k;
	return conf_each(r, value, add_metrics, field);
}

int keys_default_metrics(struct conf_reader *r)
{
	return r->conf->metrics.n ? 0 :
				    conf_each(r, METRICS_ADDRESS, add_metrics, &r->conf->metrics);
}

static int parse_net(struct conf_reader *r, const char *item, struct cidr *out)
{
	struct cidr c;
	char net[64];

	if (cidr_parse(item, out) == 0)
		return 0;
	if (cidr_parse_loose(item, &c) != 0)
		return conf_fail(r, "'%s' is not a network, as in 192.0.2.0/24", item);
	cidr_print(&c, net, sizeof(net));
	return conf_fail(r, "'%s' has bits beyond its prefix; did you mean %s?", item, net);
}

static int add_net(struct conf_reader *r, void *arg, char *item)
{
	struct cidr_list *list = arg;
	struct cidr c;
	void *grown;
	int err = parse_net(r, item, &c);

	if (err)
		return err;
	grown = conf_grow(list->at, list->n, sizeof(*list->at));
	if (!grown)
		return conf_no_memory(r);
	list->at = grown;
	list->at[list->n++] = c;
	return 0;
}

static int set_nets(struct conf_reader *r, const struct key *k, void *field, const char *value)
{
	(void)k;
	return conf_each(r, value, add_net, field);
}

/* RFC 6052, 2.2: bits 64 to 71 are zero in whatever such a prefix makes. */
static int check_nat64(struct conf_reader *r, const struct cidr_list *list, const char *item,
		       const struct cidr *c)
{
	if (!strchr(item, ':') ||
	    !(c->bits == 96 || (c->bits % 8 == 0 && c->bits >= 32 && c->bits <= 64)))
		return conf_fail(r,
				 "'%s' is not an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits, "
				 "as in 2001:db8:64::/96",
				 item);
	if (c->addr[8] != 0)
		return conf_fail(r, "bits 64 to 71 of '%s' must be zero (RFC 6052)", item);
	for (size_t i = 0; i < list->n; i++)
		if (memcmp(&list->at[i], c, sizeof(*c)) == 0)
			return conf_fail(r, "'%s' is given twice", item);
	return 0;
}

static int add_nat64(struct conf_reader *r, void *arg, char *item)
{
	struct cidr c;
	int err = parse_net(r, item, &c);

	return err ?: check_nat64(r, arg, item, &c) ?: add_net(r, arg, item);
}

static int set_nat64(struct conf_reader *r, const struct key *k, void *field, const char *value)
{
	(void)k;
	return conf_each(r, value, add_nat64, field);
}

static int add_member(struct conf_reader *r, void *arg, char *item)
{
	struct conf_group *g = arg;
	struct conf_member *m;
	int err = add_net(r, &g->networks, item);

	if (err)
		return err;
	m = conf_grow(r->members, r->n_members, sizeof(*m));
	if (!m)
		return conf_no_memory(r);
	r->members = m;
	m[r->n_members++] = (struct conf_member){
		.cidr = g->networks.at[g->networks.n - 1],
		.group = (uint16_t)(g - r->conf->groups),
		.line = r->line,
	};
	return 0;
}

static int set_members(struct conf_reader *r, const struct key *k, void *field, const char *value)
{
	(void)k;
	return conf_each(r, value, add_member, field);
}

static int add_server(struct conf_reader *r, void *arg, char *item)
{
	struct string_list *list = arg;
	void *grown;

	if (value_server(item) != 0)
		return conf_fail(r, "'%s' is not ADDRESS or ADDRESS:PORT", item);
	grown = conf_grow(list->at, list->n, sizeof(*list->at));
	if (!grown)
		return conf_no_memory(r);
	list->at = grown;
	list->at[list->n] = strdup(item);
	if (!list->at[list->n])
		return conf_no_memory(r);
	list->n++;
	return 0;
}

static int set_servers(struct conf_reader *r, const struct key *k, void *field, const char *value)
{
	(void)k;
	return conf_each(r, value, add_server, field);
}

static int add_ref(struct conf_reader *r, void *arg, char *item)
{
	struct conf_rule *rule = arg;
	struct conf_ref *refs = conf_grow(r->refs, r->n_refs, sizeof(*refs));
	char *group;

	if (!refs)
		return conf_no_memory(r);
	r->refs = refs;
	group = strdup(item);
	if (!group)
		return conf_no_memory(r);
	refs[r->n_refs++] = (struct conf_ref){ .rule = (size_t)(rule - r->conf->rules),
					       .group = group,
					       .line = r->line };
	return 0;
}

static int set_clients(struct conf_reader *r, const struct key *k, void *field, const char *value)
{
	(void)k;
	return conf_each(r, value, add_ref, field);
}

static int add_ports(struct conf_reader *r, void *arg, char *item)
{
	struct conf_rule *rule = arg;
	struct port_range range;
	void *grown;

	if (value_ports(item, &range) != 0)
		return conf_fail(r, "'%s' is neither a port from 1 to 65535 nor FIRST-LAST", item);
	grown = conf_grow(rule->ports, rule->n_ports, sizeof(*rule->ports));
	if (!grown)
		return conf_no_memory(r);
	rule->ports = grown;
	rule->ports[rule->n_ports++] = range;
	return 0;
}

static int set_ports(struct conf_reader *r, const struct key *k, void *field, const char *value)
{
	(void)k;
	return conf_each(r, value, add_ports, field);
}

static int add_allow(struct conf_reader *r, void *arg, char *item)
{
	r->entries++;
	return list_entry(r, arg, item, false);
}

static int add_deny(struct conf_reader *r, void *arg, char *item)
{
	r->entries++;
	return list_entry(r, arg, item, true);
}

static int set_allow(struct conf_reader *r, const struct key *k, void *field, const char *value)
{
	(void)k;
	return conf_each(r, value, add_allow, field);
}

static int set_deny(struct conf_reader *r, const struct key *k, void *field, const char *value)
{
	(void)k;
	return conf_each(r, value, add_deny, field);
}

static int set_rule_enforce(struct conf_reader *r, const struct key *k, void *field,
			    const char *value)
{
	return set_flag(r, k, &((struct conf_rule *)field)->enforce, value);
}

/* ---- the tables ---- */

const struct section conf_sections[SECTION_COUNT] = {
	[SECTION_SLUICE] = { "sluice", false },	    [SECTION_LISTENER] = { "listener", true },
	[SECTION_TIMEOUTS] = { "timeouts", false }, [SECTION_POLICY] = { "policy", false },
	[SECTION_TLS] = { "tls", false },	    [SECTION_HTTP] = { "http", false },
	[SECTION_RESOLVER] = { "resolver", false }, [SECTION_METRICS] = { "metrics", false },
	[SECTION_CLIENTS] = { "clients", true },    [SECTION_RULE] = { "rule", true },
};

#define IN(field_) .field = offsetof(struct conf, field_)
#define TIME(min_) .min = (min_), .max = 30 * DAY_MS
#define WHOLE .field = 0 /* the setter gets the section's struct */
#define LIST .list = true, .empty = true

/* clang-format off */
const struct key conf_keys[KEY_COUNT] = {
	{ SECTION_SLUICE, "user", set_text, IN(user), .preset = "sluice", .empty = true },
	{ SECTION_SLUICE, "workers", set_workers, IN(workers), .preset = "auto",
	  .min = 1, .max = WORKERS_MAX },
	{ SECTION_SLUICE, "fastpath", set_enum, IN(fastpath), .preset = "auto",
	  .words = words_fastpath },
	{ SECTION_SLUICE, "max_connections", set_number, IN(max_connections), .preset = "65536",
	  .min = 1, .max = CONNECTIONS_MAX },
	{ SECTION_SLUICE, "max_per_client", set_number, IN(max_per_client), .preset = "8192",
	  .min = 1, .max = CONNECTIONS_MAX },
	{ SECTION_SLUICE, "client_prefix6", set_number, IN(client_prefix6), .preset = "64",
	  .min = 32, .max = 128 },
	{ SECTION_SLUICE, "access_log", set_log, IN(access_log),
	  .preset = "/var/log/sluice/access.log" },
	{ SECTION_SLUICE, "log_format", set_enum, IN(log_format), .preset = "squid",
	  .words = words_log_format },
	{ SECTION_SLUICE, "control", set_output, IN(control), .preset = "/run/sluice/control.sock",
	  .max = CONTROL_MAX },
	{ SECTION_SLUICE, "pin", set_output, IN(pin), .preset = "/sys/fs/bpf/sluice",
	  .empty = true },
	{ SECTION_SLUICE, "mark", set_mark, IN(mark), .preset = "0", .max = UINT32_MAX },

	{ SECTION_LISTENER, "mode", set_mode, WHOLE, .preset = "intercept", .words = words_mode },
	{ SECTION_LISTENER, "address", set_listen, WHOLE, LIST },

	{ SECTION_TIMEOUTS, "hello", set_duration, IN(hello_ms), .preset = "5s", TIME(1) },
	{ SECTION_TIMEOUTS, "connect", set_duration, IN(connect_ms), .preset = "10s", TIME(1) },
	{ SECTION_TIMEOUTS, "idle", set_duration, IN(idle_ms), .preset = "1h", TIME(1) },
	{ SECTION_TIMEOUTS, "drain", set_duration, IN(drain_ms), .preset = "30s", TIME(0) },

	{ SECTION_POLICY, "default", set_flag, IN(default_allow), .preset = "deny",
	  .words = words_allow },
	{ SECTION_POLICY, "enforce", set_flag, IN(enforce), .preset = "yes",
	  .words = value_yes_no },
	{ SECTION_POLICY, "reload_closes_denied", set_flag, IN(reload_closes_denied),
	  .preset = "no", .words = value_yes_no },
	{ SECTION_POLICY, "changes", set_output, IN(changes), .preset = "", .empty = true },
	{ SECTION_POLICY, "destination", set_enum, IN(destination), .preset = "named",
	  .words = words_destination },
	{ SECTION_POLICY, "private_networks", set_nets, IN(private_networks), LIST },
	{ SECTION_POLICY, "own_addresses", set_nets, IN(own_addresses), LIST },
	{ SECTION_POLICY, "nat64_prefixes", set_nat64, IN(nat64_prefixes), LIST },
	{ SECTION_POLICY, "deny_tls", set_enum, IN(deny_tls), .preset = "alert",
	  .words = words_deny_tls },
	{ SECTION_POLICY, "deny_page", set_page, IN(deny_page), .preset = CONF_DENY_PAGE,
	  .late = true, .empty = true },
	{ SECTION_POLICY, "watch_lists", set_flag, IN(watch_lists), .preset = "no",
	  .words = value_yes_no },

	{ SECTION_TLS, "no_sni", set_flag, IN(no_sni_allow), .preset = "deny",
	  .words = words_allow },
	{ SECTION_TLS, "min_version", set_version, IN(min_version), .preset = "1.2",
	  .words = words_version },

	{ SECTION_HTTP, "no_host", set_flag, IN(no_host_allow), .preset = "deny",
	  .words = words_allow },

	{ SECTION_RESOLVER, "nameservers", set_servers, IN(nameservers), LIST },
	{ SECTION_RESOLVER, "hosts", set_input, IN(hosts), .preset = "/etc/hosts", .empty = true },

	{ SECTION_METRICS, "address", set_metrics, IN(metrics), .preset = METRICS_ADDRESS,
	  .late = true, .list = true },

	{ SECTION_CLIENTS, "networks", set_members, WHOLE, LIST },

	{ SECTION_RULE, "clients", set_clients, WHOLE, .preset = "all", .late = true, LIST },
	{ SECTION_RULE, "allow", set_allow, WHOLE, LIST },
	{ SECTION_RULE, "deny", set_deny, WHOLE, LIST },
	{ SECTION_RULE, "ports", set_ports, WHOLE, LIST },
	{ SECTION_RULE, "enforce", set_rule_enforce, WHOLE, .preset = "yes",
	  .words = value_yes_no },
};
/* clang-format on */

/* set_enum() stores through an int. */
_Static_assert(sizeof(enum conf_fastpath) == sizeof(int), "enum");

int keys_defaults(struct conf_reader *r, unsigned section, void *base)
{
	int err = 0;

	for (const struct key *k = conf_keys; !err && k < conf_keys + KEY_COUNT; k++)
		if (k->section == section && k->preset && !k->late)
			err = k->set(r, k, (char *)base + k->field, k->preset);
	return err;
}
