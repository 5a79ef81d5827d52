/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `status`, `stats`, `flows`, `explain` and `top` show, as text or JSON. Pure: snapshots in,
 * text out.
 */
#ifndef SLUICE_SLOWPATH_REPORT_REPORT_H
#define SLUICE_SLOWPATH_REPORT_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/abi/flow.h"
#include "slowpath/address/address.h"
#include "slowpath/report/stats.h"

struct evbuffer;
struct top_question;
struct top_sum;

/* How often a rule has decided; `default` and `runtime` are counted too, but are no rules. */
struct rule_hits {
	const char *name; /* borrowed */
	uint64_t hits;
	bool is_rule; /* stands in the configuration */
};

struct status {
	const char *version;
	long pid;
	uint64_t uptime_s;
	unsigned workers;
	const char *fastpath;	     /* "on" or "off" */
	const char *fastpath_reason; /* why it is off, or "" */
	const char *conf_path;
	uint64_t loaded_at; /* seconds since the epoch: when the policy was put in force */
	size_t rules, names;
	bool enforce;
	uint64_t files, files_wanted; /* the limit of open files, and how many are needed: */
	uint64_t files_connections, files_daemon, files_pipes; /* by these two; pipes: the rest */
};

struct flow_info {
	struct endpoint_addr client, dst;
	char name[NAME_BUF];
	char group[64], rule[64];
	const char *state; /* "hello" "resolve" "connect" "open" "closing" */
	const char *path;  /* "kernel" "user" "mixed" */
	unsigned proto;
	uint16_t port;
	uint64_t bytes_up, bytes_down, age_ms;
};

/* What decides, for `explain`. */
struct explanation {
	const char *verdict, *group, *rule;
	const char *where;     /* "file:line: entry", "runtime: entry"; "" when no entry decided */
	const char *conf_path; /* where the default stands */
	bool is_literal;       /* the address rules were asked, which have their own default */
	bool enforced;	       /* false: denied, but enforce = no for all or for the rule */
};

void report_stats(const struct stats *s, const struct rule_hits *rules, size_t n_rules, bool json,
		  struct evbuffer *out);
void report_status(const struct status *s, bool json, struct evbuffer *out);
void report_explain(const struct explanation *e, bool json, struct evbuffer *out);
/* The denials of the window, as far as q asks for them. */
void report_top(const struct top_sum *sum, const struct top_question *q, uint64_t now_ms, bool json,
		struct evbuffer *out);
void report_flows(const struct flow_info *flows, size_t n, bool json, struct evbuffer *out);

#endif
