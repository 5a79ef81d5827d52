// SPDX-License-Identifier: GPL-2.0-or-later
// Snapshots as people and scripts read them: key=value or key: value lines, a table, or JSON
// with the same keys.
#include "slowpath/report/report.h"

#include <event2/buffer.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "slowpath/report/json.h"
#include "slowpath/report/log_line.h"
#include "slowpath/report/selection.h"
#include "slowpath/report/top.h"

#define WHERE_LEN 1024
#define REPORT_LEN 8192 /* more than status, stats or one flow can need */

static void add_json(struct json *j, struct evbuffer *out)
{
	evbuffer_add(out, j->buf, json_done(j));
}

/* Makes room: with many rules there is more than a buffer holds. */
static void flush_json(struct json *j, struct evbuffer *out)
{
	add_json(j, out);
	j->len = 0;
}

static bool never_hit(const struct rule_hits *rule)
{
	return rule->is_rule && rule->hits == 0;
}

static void rules_json(struct json *j, const struct rule_hits *rules, size_t n,
		       struct evbuffer *out)
{
	json_open(j, "rules", '{');
	for (size_t i = 0; i < n; i++) {
		json_number(j, rules[i].name, rules[i].hits);
		flush_json(j, out);
	}
	json_close(j, '}');
	json_open(j, "rules_never_hit", '[');
	for (size_t i = 0; i < n; i++)
		if (never_hit(&rules[i])) {
			json_string(j, NULL, rules[i].name);
			flush_json(j, out);
		}
	json_close(j, ']');
}

static void connect_json(struct json *j, const struct histogram *h)
{
	json_open(j, "connect", '{');
	json_number(j, "count", histogram_count(h));
	json_number(j, "sum_us", h->sum_us);
	json_open(j, "le", '{');
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		json_number(j, histogram_le(i), histogram_up_to(h, i));
	json_close(j, '}');
	json_close(j, '}');
}

static void stats_json(const struct stats *s, const struct rule_hits *rules, size_t n_rules,
		       struct evbuffer *out)
{
	char buf[REPORT_LEN];
	struct json j;

	json_init(&j, buf, sizeof(buf));
	json_open(&j, NULL, '{');
	for (const struct stats_counter *c = stats_counters; c->key; c++)
		json_number(&j, c->key, stats_value(s, c));
	json_open(&j, "reasons", '{');
	for (unsigned i = 0; i < REASON_COUNT; i++)
		json_number(&j, reason_word(i), s->reasons[i]);
	json_close(&j, '}');
	connect_json(&j, &s->connect);
	rules_json(&j, rules, n_rules, out);
	json_close(&j, '}');
	add_json(&j, out);
	evbuffer_add(out, "\n", 1);
}

static void rules_text(const struct rule_hits *rules, size_t n, struct evbuffer *out)
{
	size_t never = 0;

	for (size_t i = 0; i < n; i++) {
		evbuffer_add_printf(out, "rule.%s=%" PRIu64 "\n", rules[i].name, rules[i].hits);
		never += never_hit(&rules[i]);
	}
	evbuffer_add_printf(out, "rules_never_hit=%zu\n", never);
}

static void connect_text(const struct histogram *h, struct evbuffer *out)
{
	evbuffer_add_printf(out, "connect.count=%" PRIu64 "\nconnect.sum_us=%" PRIu64 "\n",
			    histogram_count(h), h->sum_us);
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		evbuffer_add_printf(out, "connect.le.%s=%" PRIu64 "\n", histogram_le(i),
				    histogram_up_to(h, i));
}

void report_stats(const struct stats *s, const struct rule_hits *rules, size_t n_rules, bool json,
		  struct evbuffer *out)
{
	if (json) {
		stats_json(s, rules, n_rules, out);
		return;
	}
	for (const struct stats_counter *c = stats_counters; c->key; c++)
		evbuffer_add_printf(out, "%s=%" PRIu64 "\n", c->key, stats_value(s, c));
	for (unsigned i = 0; i < REASON_COUNT; i++)
		evbuffer_add_printf(out, "reason.%s=%" PRIu64 "\n", reason_word(i), s->reasons[i]);
	connect_text(&s->connect, out);
	rules_text(rules, n_rules, out);
}

static void loaded_time(uint64_t seconds, char out[32])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static void status_json(const struct status *s, const char *loaded, struct evbuffer *out)
{
	char buf[REPORT_LEN];
	struct json j;

	json_init(&j, buf, sizeof(buf));
	json_open(&j, NULL, '{');
	json_string(&j, "version", s->version);
	json_number(&j, "pid", (uint64_t)s->pid);
	json_number(&j, "uptime_s", s->uptime_s);
	json_number(&j, "workers", s->workers);
	json_string(&j, "fastpath", s->fastpath);
	json_string(&j, "fastpath_reason", s->fastpath_reason);
	json_string(&j, "conf", s->conf_path);
	json_string(&j, "loaded", loaded);
	json_number(&j, "rules", s->rules);
	json_number(&j, "names", s->names);
	json_bool(&j, "enforce", s->enforce);
	json_number(&j, "files", s->files);
	json_number(&j, "files_wanted", s->files_wanted);
	json_number(&j, "files_connections", s->files_connections);
	json_number(&j, "files_daemon", s->files_daemon);
	json_number(&j, "files_pipes", s->files_pipes);
	json_close(&j, '}');
	add_json(&j, out);
	evbuffer_add(out, "\n", 1);
}

void report_status(const struct status *s, bool json, struct evbuffer *out)
{
	char loaded[32];

	loaded_time(s->loaded_at, loaded);
	if (json) {
		status_json(s, loaded, out);
		return;
	}
	evbuffer_add_printf(out, "version: %s\npid: %ld\nuptime: %" PRIu64 " s\nworkers: %u\n",
			    s->version, s->pid, s->uptime_s, s->workers);
	evbuffer_add_printf(out, "fastpath: %s%s%s%s\n", s->fastpath,
			    s->fastpath_reason[0] ? " (" : "", s->fastpath_reason,
			    s->fastpath_reason[0] ? ")" : "");
	evbuffer_add_printf(out, "conf: %s\nloaded: %s\nrules: %zu\nnames: %zu\nenforce: %s\n",
			    s->conf_path, loaded, s->rules, s->names, s->enforce ? "yes" : "no");
	evbuffer_add_printf(out,
			    "open files: at most %" PRIu64 ", %" PRIu64 " wanted (%" PRIu64
			    " for connections, %" PRIu64 " for the rest), %" PRIu64
			    " left for pipes%s\n",
			    s->files, s->files_wanted, s->files_connections, s->files_daemon,
			    s->files_pipes, s->files < s->files_wanted ? ": too few" : "");
}

static void flow_json(const struct flow_info *f, bool first, struct evbuffer *out)
{
	char buf[REPORT_LEN], text[ADDRESS_TEXT];
	struct json j;

	json_init(&j, buf, sizeof(buf));
	j.comma = !first;
	json_open(&j, NULL, '{');
	json_string(&j, "client", address_print(&f->client, false, text));
	json_number(&j, "client_port", f->client.port);
	json_string(&j, "group", f->group);
	json_string(&j, "name", f->name);
	json_number(&j, "port", f->port);
	json_string(&j, "proto", proto_word(f->proto));
	json_string(&j, "dst", address_print(&f->dst, false, text));
	json_string(&j, "state", f->state);
	json_string(&j, "path", f->path);
	json_string(&j, "rule", f->rule);
	json_number(&j, "bytes_up", f->bytes_up);
	json_number(&j, "bytes_down", f->bytes_down);
	json_number(&j, "age_ms", f->age_ms);
	json_close(&j, '}');
	add_json(&j, out);
}

static void flow_text(const struct flow_info *f, struct evbuffer *out)
{
	char client[ADDRESS_TEXT], dst[ADDRESS_TEXT];

	evbuffer_add_printf(
		out,
		"%-21s %-21s %-7s %-6s %-4s %12" PRIu64 " %12" PRIu64 " %8" PRIu64 " %s:%u %s %s\n",
		address_print(&f->client, true, client), address_print(&f->dst, true, dst),
		f->state, f->path, proto_word(f->proto), f->bytes_up, f->bytes_down,
		f->age_ms / 1000, f->name[0] ? f->name : "-", f->port, f->group[0] ? f->group : "-",
		f->rule[0] ? f->rule : "-");
}

void report_flows(const struct flow_info *flows, size_t n, bool json, struct evbuffer *out)
{
	if (json) {
		evbuffer_add(out, "[", 1);
		for (size_t i = 0; i < n; i++)
			flow_json(&flows[i], i == 0, out);
		evbuffer_add(out, "]\n", 2);
		return;
	}
	evbuffer_add_printf(out, "%-21s %-21s %-7s %-6s %-4s %12s %12s %8s %s\n", "CLIENT", "DST",
			    "STATE", "PATH", "APP", "UP", "DOWN", "AGE_S", "NAME:PORT GROUP RULE");
	for (size_t i = 0; i < n; i++)
		flow_text(&flows[i], out);
}

/* The parts of "file:line: entry". A text of another form has no file and no line. */
struct place {
	char file[WHERE_LEN];
	uint64_t line;
	const char *entry;
};

static void take_apart(const char *where, struct place *p)
{
	const char *end = strstr(where, ": "), *next, *colon;
	char *stop;

	*p = (struct place){ .entry = where };
	for (; end && (next = strstr(end + 1, ": ")); end = next)
		; /* an entry has no spaces, a file's name may */
	if (end)
		p->entry = end + 2;
	colon = end ? memrchr(where, ':', (size_t)(end - where)) : NULL;
	if (!colon || colon[1] < '0' || colon[1] > '9')
		return;
	p->line = strtoull(colon + 1, &stop, 10);
	if (stop != end || (size_t)(colon - where) >= sizeof(p->file)) {
		p->line = 0;
		return;
	}
	memcpy(p->file, where, (size_t)(colon - where));
}

/* Which default it was, when no entry decided. */
static void print_default(const struct explanation *e, char *out, size_t size)
{
	if (e->is_literal)
		snprintf(out, size,
			 "default: an address that no entry names is denied, whatever "
			 "[policy] default is");
	else
		snprintf(out, size, "default: no entry; [policy] default = %s in %s", e->verdict,
			 e->conf_path);
}

static void explain_json(const struct explanation *e, const char *where, const struct place *p,
			 struct evbuffer *out)
{
	char buf[REPORT_LEN];
	struct json j;

	json_init(&j, buf, sizeof(buf));
	json_open(&j, NULL, '{');
	json_string(&j, "verdict", e->verdict);
	json_string(&j, "group", e->group);
	json_string(&j, "rule", e->rule);
	json_bool(&j, "default", e->where[0] == '\0');
	json_bool(&j, "enforced", e->enforced);
	json_string(&j, "where", where);
	json_string(&j, "file", p->file);
	json_number(&j, "line", p->line);
	json_string(&j, "entry", p->entry);
	json_close(&j, '}');
	add_json(&j, out);
	evbuffer_add(out, "\n", 1);
}

void report_explain(const struct explanation *e, bool json, struct evbuffer *out)
{
	char fallback[WHERE_LEN];
	const char *where = e->where;
	struct place p;

	take_apart(e->where, &p);
	if (!where[0]) {
		print_default(e, fallback, sizeof(fallback));
		where = fallback;
	}
	if (json)
		explain_json(e, where, &p, out);
	else
		evbuffer_add_printf(out, "verdict: %s\ngroup: %s\nrule: %s\nwhere: %s\n%s",
				    e->verdict, e->group, e->rule, where,
				    e->enforced ? "" :
						  "enforced: no, it is let through and told\n");
}

/* ---- top ---- */

static const char *row_text(const struct top_row *row, enum top_kind kind, char *text, size_t size)
{
	struct endpoint_addr a = { .port = 0 };
	char address[ADDRESS_TEXT];

	if (kind == TOP_NAMES)
		return log_escape(row->name, text, size);
	a.ip = row->client;
	snprintf(text, size, "%s", address_print(&a, false, address));
	return text;
}

static void row_json(const struct top_row *row, enum top_kind kind, bool first,
		     struct evbuffer *out)
{
	char buf[REPORT_LEN], text[NAME_BUF * 3];
	struct json j;

	json_init(&j, buf, sizeof(buf));
	j.comma = !first;
	json_open(&j, NULL, '{');
	if (kind == TOP_NAMES)
		json_string(&j, "name", row->name);
	else
		json_string(&j, "client", row_text(row, kind, text, sizeof(text)));
	json_number(&j, "count", (uint64_t)row->count);
	json_number(&j, "over", (uint64_t)row->over);
	json_number(&j, "denied", row->denied);
	json_number(&j, "reported", row->reported);
	json_close(&j, '}');
	add_json(&j, out);
}

static void rows(const struct top_sum *sum, enum top_kind kind, uint32_t limit, bool json,
		 struct evbuffer *out)
{
	static const char *const heads[] = { "NAME", "CLIENT" };
	static const char *const keys[] = { "names", "clients" };
	char text[NAME_BUF * 3];

	if (json)
		evbuffer_add_printf(out, ",\"%s\":[", keys[kind]);
	else
		evbuffer_add_printf(out, "\n%10s %10s %10s %10s  %s\n", "COUNT", "OVER", "DENIED",
				    "REPORTED", heads[kind]);
	for (size_t i = 0; i < sum->n[kind] && i < limit; i++) {
		const struct top_row *row = &sum->rows[kind][i];

		if (json)
			row_json(row, kind, i == 0, out);
		else
			evbuffer_add_printf(out,
					    "%10" PRId64 " %10" PRId64 " %10" PRIu64 " %10" PRIu64
					    "  %s\n",
					    row->count, row->over, row->denied, row->reported,
					    row_text(row, kind, text, sizeof(text)));
	}
	if (json)
		evbuffer_add(out, "]", 1);
}

void report_top(const struct top_sum *sum, const struct top_question *q, uint64_t now_ms, bool json,
		struct evbuffer *out)
{
	uint64_t window_s = sum->since_ms ? (now_ms - sum->since_ms) / 1000 : 0;

	evbuffer_add_printf(
		out,
		json ? "{\"window_s\":%" PRIu64 ",\"denied\":%" PRIu64 ",\"reported\":%" PRIu64 :
		       "window: %" PRIu64 " s\ndenied: %" PRIu64 "\nreported: %" PRIu64 "\n",
		window_s, sum->denied, sum->reported);
	if (q->names)
		rows(sum, TOP_NAMES, q->limit, json, out);
	if (q->clients)
		rows(sum, TOP_CLIENTS, q->limit, json, out);
	if (json)
		evbuffer_add(out, "}\n", 2);
}
