// SPDX-License-Identifier: GPL-2.0-or-later
// The counters of the whole, gathered from the workers, the kernel and the policy, as they are now.
#include "slowpath/daemon/snapshot.h"

#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/log.h"
#include "slowpath/daemon/server.h"
#include "slowpath/report/exposition.h"

/* A worker whose loop has ended takes no calls, and no other thread uses its counters any more: so
   they are added from here, or totals would shrink while the daemon drains. */
static void add_worker(struct worker *w, struct stats *s)
{
	unsigned before = s->workers;

	worker_call(w, worker_add_stats, s);
	if (s->workers == before)
		worker_add_stats(w, s);
}

void snapshot_stats(struct daemon *d, struct stats *s)
{
	uint64_t kernel[STAT_COUNT];

	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < d->n_workers; i++)
		add_worker(&d->workers[i], s);
	s->log_lost = d->shared.log ? access_log_lost(d->shared.log) : 0;
	s->messages_lost = log_messages_lost();
	if (d->shared.fp) {
		fastpath_stats(d->shared.fp, kernel);
		s->events_lost = kernel[STAT_EVENTS_LOST];
		s->overlaps = kernel[STAT_OVERLAPS];
		s->records_used = fastpath_used(d->shared.fp);
	}
}

size_t snapshot_rules(const struct daemon *d, struct rule_hits **out)
{
	const struct policy *p = d->policy;
	uint32_t n = (uint32_t)policy_rules(p);
	struct rule_hits *rules = calloc(n + 2, sizeof(*rules));

	*out = rules;
	if (!rules)
		return 0;
	for (uint32_t i = 0; i < n + 2; i++) {
		uint32_t rule = i <= n ? i : RULE_RUNTIME;

		rules[i] = (struct rule_hits){ .name = policy_rule_name(p, rule),
					       .hits = policy_hits(p, rule),
					       .is_rule = i > 0 && i <= n };
	}
	return n + 2;
}

void snapshot_status(const struct daemon *d, struct status *s)
{
	*s = (struct status){
		.version = d->version,
		.pid = getpid(),
		.uptime_s = (uint64_t)(time(NULL) - d->started),
		.workers = d->n_workers,
		.fastpath = d->shared.fp ? "on" : "off",
		.fastpath_reason = d->fastpath_reason,
		.conf_path = d->conf_path,
		.loaded_at = (uint64_t)d->loaded,
		.rules = policy_rules(d->policy),
		.names = policy_names(d->policy),
		.enforce = policy_conf(d->policy)->enforce,
		.files = d->shared.files.limit,
		.files_wanted = files_wanted(&d->shared.files),
		.files_connections = d->shared.files.connections,
		.files_daemon = d->shared.files.daemon,
		.files_pipes = d->shared.files.pipes,
	};
}

/* ---- what the process uses ---- */

static int64_t resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long pages = -1;

	if (!f)
		return -1;
	if (fscanf(f, "%*s %ld", &pages) != 1)
		pages = -1;
	fclose(f);
	return pages < 0 ? -1 : (int64_t)pages * sysconf(_SC_PAGESIZE);
}

static void take_use(struct process_use *u)
{
	struct rlimit limit;

	u->open_fds = files_open();
	u->max_fds = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (int64_t)limit.rlim_cur : -1;
	u->resident_bytes = resident_bytes();
}

void snapshot_metrics(void *arg, struct evbuffer *out)
{
	struct daemon *d = arg;
	struct exposition x = {
		.started_at = (uint64_t)d->started,
		.serial = policy_head(d->policy)->serial,
		.reloads = d->reloads,
		.reloads_failed = d->reloads_failed,
		.reload_failed = d->reload_failed,
	};
	size_t n;

	x.n_rules = snapshot_rules(d, &x.rules);
	if (!x.rules)
		return; /* nothing is written: an error rather than half of the metrics */
	snapshot_status(d, &x.status);
	snapshot_stats(d, &x.stats);
	policy_changes(d->policy, &n);
	x.changes = n;
	if (d->shared.fp)
		fastpath_stats(d->shared.fp, x.kernel);
	take_use(&x.use);
	exposition_write(&x, out);
	free(x.rules);
}
