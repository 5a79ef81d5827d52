/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The counters as Prometheus reads them: text format 0.0.4. Pure: a snapshot in, text out. What
 * each metric means stands in sluiced(8), in a table that a test holds against this output.
 *
 * Labels are bounded: they are the words of this program and the names of the configuration's
 * rules, never anything that a client says.
 */
#ifndef SLUICE_SLOWPATH_REPORT_EXPOSITION_H
#define SLUICE_SLOWPATH_REPORT_EXPOSITION_H

#include <stdint.h>

#include "slowpath/report/report.h"

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct evbuffer;

/* What the process uses; -1: not known, and then not shown. */
struct process_use {
	int64_t open_fds, max_fds, resident_bytes;
};

struct exposition {
	struct status status;
	struct stats stats;
	uint64_t kernel[STAT_COUNT]; /* all zero without the kernel path */
	struct rule_hits *rules;     /* borrowed */
	size_t n_rules;
	uint64_t started_at; /* seconds since the epoch */
	uint32_t serial;     /* of the policy in force */
	uint64_t changes;    /* entries made at run time */
	uint64_t reloads, reloads_failed;
	bool reload_failed; /* the last one */
	struct process_use use;
};

void exposition_write(const struct exposition *x, struct evbuffer *out);

#endif
