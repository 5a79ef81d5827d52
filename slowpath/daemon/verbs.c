// SPDX-License-Identifier: GPL-2.0-or-later
// What sluicectl may ask of the daemon, one function a verb. slowpath/control/verb_table.h lists
// the verbs; report.c writes their text and JSON.
#include "slowpath/daemon/verbs.h"

#include <errno.h>
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "slowpath/control/verb_table.h"
#include "slowpath/daemon/changes.h"
#include "slowpath/daemon/explain.h"
#include "slowpath/daemon/handover.h"
#include "slowpath/daemon/notify.h"
#include "slowpath/daemon/reload.h"
#include "slowpath/daemon/server.h"
#include "slowpath/daemon/snapshot.h"
#include "slowpath/proxy/conn.h"
#include "slowpath/report/access_log.h"
#include "slowpath/report/listing.h"
#include "slowpath/report/metrics_server.h"
#include "slowpath/report/report.h"
#include "slowpath/report/selection.h"
#include "slowpath/report/tail.h"
#include "slowpath/report/top.h"

static enum control_result refuse(struct control_call *call, const char *why)
{
	evbuffer_add_printf(call->out, "%s", why);
	return CONTROL_ERROR;
}

static enum control_result verb_stats(struct daemon *d, struct control_call *call)
{
	struct stats s;
	struct rule_hits *rules;
	size_t n = snapshot_rules(d, &rules);

	if (!rules) {
		evbuffer_add_printf(call->out, "no memory");
		return CONTROL_ERROR;
	}
	snapshot_stats(d, &s);
	report_stats(&s, rules, n, call->json, call->out);
	free(rules);
	return CONTROL_OK;
}

static enum control_result verb_status(struct daemon *d, struct control_call *call)
{
	struct status s;

	snapshot_status(d, &s);
	report_status(&s, call->json, call->out);
	return CONTROL_OK;
}

static enum control_result verb_flows(struct daemon *d, struct control_call *call)
{
	struct selection selection;
	struct listing list = { .selection = &selection };
	char err[ERR_LEN];

	if (selection_parse(call->argc - 1, call->argv + 1, SELECT_FLOWS, &selection, err,
			    ERR_LEN) != 0)
		return refuse(call, err);
	for (unsigned i = 0; i < d->n_workers; i++)
		worker_call(&d->workers[i], worker_add_flows, &list);
	listing_sort(&list);
	if (!list.failed)
		report_flows(list.at, list.n, call->json, call->out);
	free(list.at);
	return list.failed ? refuse(call, "no memory") : CONTROL_OK;
}

static enum control_result verb_top(struct daemon *d, struct control_call *call)
{
	struct top_question q;
	struct top_sum sum = { .failed = false };
	char err[ERR_LEN];

	if (selection_parse_top(call->argc - 1, call->argv + 1, &q, err, ERR_LEN) != 0)
		return refuse(call, err);
	for (unsigned i = 0; i < d->n_workers; i++)
		worker_call(&d->workers[i], worker_add_top, &sum);
	top_finish(&sum);
	if (!sum.failed)
		report_top(&sum, &q, clock_ms(), call->json, call->out);
	top_sum_free(&sum);
	return sum.failed ? refuse(call, "no memory") : CONTROL_OK;
}

static enum control_result verb_tail(struct daemon *d, struct control_call *call)
{
	struct selection selection;
	char err[ERR_LEN];

	(void)d;
	if (selection_parse(call->argc - 1, call->argv + 1, SELECT_TAIL, &selection, err,
			    ERR_LEN) != 0)
		return refuse(call, err);
	return tail_follow(call, &selection);
}

static enum control_result verb_explain(struct daemon *d, struct control_call *call)
{
	struct explain_question q = { .port = 0 };
	struct policy_verdict v;
	char where[ERR_LEN] = ""; /* stays empty when no entry decided */
	const char *wrong = explain_parse(call->argv[1], call->argv[2], &q);
	struct explanation e = { .conf_path = d->conf_path, .where = where };
	uint32_t group;

	if (wrong)
		return refuse(call, wrong);
	group = policy_group(d->policy, q.client.addr);
	v = policy_decide(d->policy, group, &q.about, q.port);
	policy_explain(d->policy, group, &q.about, q.port, where, sizeof(where));
	e.verdict = v.allow ? "allow" : "deny";
	e.group = policy_group_name(d->policy, group);
	e.rule = policy_rule_name(d->policy, v.rule);
	e.is_literal = q.about.kind == SUBJECT_ADDRESS;
	e.enforced = v.allow || (policy_conf(d->policy)->enforce && !v.report);
	report_explain(&e, call->json, call->out);
	return CONTROL_OK;
}

/* false: call->out says why not. true: *pid is the process that asks. */
static bool may_take_over(const struct daemon *d, struct control_call *call, int *pid)
{
	const char *no = handover_refusal(control_socket(call->client), call->argv[1], pid);

	if (d->stopping)
		no = "handover: it is stopping";
	else if (notify_present())
		no = "handover: a service manager runs this sluiced, and must restart it";
	if (no)
		evbuffer_add_printf(call->out, "%s", no);
	return !no;
}

static enum control_result verb_handover(struct daemon *d, struct control_call *call)
{
	AUTO_FREE int *fds = calloc(d->listeners.n + 1, sizeof(*fds));
	int pid, r = -ENOMEM;
	size_t n = 0;

	if (!may_take_over(d, call, &pid))
		return CONTROL_ERROR;
	if (fds) {
		n = listen_fds(&d->listeners, true, fds);
		r = handover_send(control_socket(call->client), fds, n);
	}
	if (r) {
		evbuffer_add_printf(call->out, "handover: %s", strerror(-r));
		return CONTROL_ERROR;
	}
	evbuffer_add_printf(call->out, "handover " HANDOVER_VERSION " %zu\n", n);
	return CONTROL_OK;
}

static enum control_result verb_handed_over(struct daemon *d, struct control_call *call)
{
	int pid;

	if (!may_take_over(d, call, &pid))
		return CONTROL_ERROR;
	log_info("process %d has taken over", pid);
	d->handed_over = true;
	metrics_close(TAKE(d->metrics)); /* the new process answers in our place */
	daemon_drain(d);
	return CONTROL_OK;
}

#define RUN(function_, ...) function_,

/* By the place of the verb in its table. */
static enum control_result (*const run[])(struct daemon *d,
					  struct control_call *call) = { VERBS(RUN) };

enum control_result verbs_request(void *arg, struct control_call *call)
{
	const struct verb *verb = verbs_find(call->argv[0]);

	if (!verb) {
		evbuffer_add_printf(call->out, "unknown verb '%s'", call->argv[0]);
		return CONTROL_ERROR;
	}
	if (!verbs_takes(verb, call->argc - 1)) {
		evbuffer_add_printf(call->out, "usage: %s", verb->usage);
		return CONTROL_ERROR;
	}
	return run[verb - verbs](arg, call);
}
