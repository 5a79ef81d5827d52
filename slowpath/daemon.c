// SPDX-License-Identifier: GPL-2.0-or-later
// Starts everything in the order in which it can fail cleanly, then waits for signals and
// for the control socket on a loop of its own; the traffic is the workers'.
#include "slowpath/daemon.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/log.h"
#include "slowpath/access_log.h"
#include "slowpath/conn.h"
#include "slowpath/judge.h"
#include "slowpath/own.h"
#include "slowpath/privilege.h"
#include "slowpath/server.h"

/* Descriptors beyond two a connection: listeners, maps, logs, pipes. */
#define SPARE_FDS 512

int daemon_check(const char *conf_path)
{
	char err[ERR_LEN];
	struct policy *p = reload_read(conf_path, err);

	if (!p) {
		fprintf(stderr, "sluiced: %s\n", err);
		return 1;
	}
	printf("%s: good: %zu rules, %zu names\n", conf_path, policy_rules(p), policy_names(p));
	policy_unref(p);
	return 0;
}

/* ---- signals ---- */

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd;
	(void)what;
	log_warn("drain time is over, closing what is open");
	for (unsigned i = 0; i < d->n_workers; i++)
		worker_call(&d->workers[i], worker_stop, NULL);
}

/* The loop ends when the last worker has; looked at often enough for a person. */
static void on_drain_look(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd;
	(void)what;
	for (unsigned i = 0; i < d->n_workers; i++) {
		bool ended;

		pthread_mutex_lock(&d->workers[i].lock);
		ended = d->workers[i].ended;
		pthread_mutex_unlock(&d->workers[i].lock);
		if (!ended)
			return;
	}
	event_base_loopbreak(d->base);
}

static void on_stop(evutil_socket_t sig, short what, void *arg)
{
	struct daemon *d = arg;
	unsigned ms = policy_conf(d->policy)->drain_ms;
	struct timeval limit = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	void (*how)(struct worker *, void *) = d->stopping ? worker_stop : worker_drain;

	(void)sig;
	(void)what;
	log_info(d->stopping ? "stopping now" : "stopping: open connections may finish");
	if (!d->stopping)
		event_base_once(d->base, -1, EV_TIMEOUT, on_deadline, d, &limit);
	d->stopping = true;
	for (unsigned i = 0; i < d->n_workers; i++)
		worker_call(&d->workers[i], how, NULL);
	event_add(d->deadline, &(struct timeval){ .tv_usec = 10000 });
}

static void on_reload(evutil_socket_t sig, short what, void *arg)
{
	struct daemon *d = arg;
	char err[ERR_LEN];

	(void)sig;
	(void)what;
	reload(d, err);
}

static void on_reopen(evutil_socket_t sig, short what, void *arg)
{
	struct daemon *d = arg;
	int err = d->shared.log ? access_log_reopen(d->shared.log) : 0;

	(void)sig;
	(void)what;
	if (err)
		log_error("cannot reopen the access log: %s; the old one is kept", strerror(-err));
}

/* ---- start and end ---- */

static int open_loop(struct daemon *d)
{
	static const struct {
		int sig;
		event_callback_fn fn;
	} table[] = { { SIGTERM, on_stop },
		      { SIGINT, on_stop },
		      { SIGHUP, on_reload },
		      { SIGUSR1, on_reopen } };

	d->base = event_base_new();
	if (!d->base)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		d->signals[i] = evsignal_new(d->base, table[i].sig, table[i].fn, d);
		if (!d->signals[i] || event_add(d->signals[i], NULL) != 0)
			return -ENOMEM;
	}
	d->deadline = event_new(d->base, -1, EV_PERSIST, on_drain_look, d);
	return d->deadline ? 0 : -ENOMEM;
}

static int open_fastpath(struct daemon *d, const struct conf *conf, char *err)
{
	int r;

	if (conf->fastpath == FASTPATH_OFF) {
		snprintf(d->fastpath_reason, ERR_LEN, "fastpath = off");
		return 0;
	}
	r = fastpath_open(&d->shared.fp, conf, d->n_workers, d->fastpath_reason, ERR_LEN);
	if (r == 0) {
		d->fastpath_reason[0] = '\0';
		d->shared.by_flow = calloc(fastpath_capacity(d->shared.fp), sizeof(struct conn *));
		if (!d->shared.by_flow)
			return -ENOMEM;
		return fastpath_load_policy(d->shared.fp, d->policy, err, ERR_LEN);
	}
	if (conf->fastpath == FASTPATH_ON) {
		snprintf(err, ERR_LEN, "fastpath = on: %.480s", d->fastpath_reason);
		return r;
	}
	log_warn("no kernel path, serving from user space: %s", d->fastpath_reason);
	return 0;
}

static void check_descriptors(const struct conf *conf)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur / SIDE_COUNT < conf->max_connections + SPARE_FDS / SIDE_COUNT)
		log_warn("the limit of %llu open files is too low for max_connections = %u "
			 "(two each); connections beyond it will wait",
			 (unsigned long long)limit.rlim_cur, conf->max_connections);
}

static int open_workers(struct daemon *d, char *err)
{
	int r = 0;

	d->workers = calloc(d->n_workers, sizeof(*d->workers));
	if (!d->workers)
		return -ENOMEM;
	for (unsigned i = 0; i < d->n_workers && !r; i++) {
		r = worker_open(&d->workers[i], i, &d->shared, d->policy, err, ERR_LEN);
		d->n_open += r == 0;
	}
	return r;
}

/* Workers must not take the signals that are the main thread's. */
static int start_workers(struct daemon *d)
{
	sigset_t all, old;
	int r = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	for (unsigned i = 0; i < d->n_workers && !r; i++)
		r = worker_start(&d->workers[i]);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

static int start(struct daemon *d, char *err)
{
	const struct conf *conf;
	int r;

	snprintf(err, ERR_LEN, "no memory");
	d->policy = reload_read(d->conf_path, err);
	if (!d->policy)
		return -EINVAL;
	d->first = policy_ref(d->policy);
	conf = policy_conf(d->first);
	d->shared.start = conf;
	d->n_workers = conf->workers ?: (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	check_descriptors(conf);
	d->shared.clients = clients_new();
	r = d->shared.clients ? judge_setup() : -ENOMEM;
	r = r ?: open_loop(d);
	r = r ?: own_open(d->base, err, ERR_LEN);
	r = r ?: access_log_open(&d->shared.log, conf, err, ERR_LEN);
	r = r ?: open_fastpath(d, conf, err);
	r = r ?: open_workers(d, err);
	if (r)
		return r;
	r = control_open(&d->control, d->base, conf->control, verbs_request, d);
	if (r) {
		snprintf(err, ERR_LEN, "control = %s: %s", conf->control,
			 r == -EADDRINUSE ? "another sluiced answers there" : strerror(-r));
		return r;
	}
	privilege_give(conf->user, conf->pin);
	privilege_give(conf->user, conf->control);
	if (conf->access_log[0] == '/')
		privilege_give(conf->user, conf->access_log); /* to be opened again by SIGUSR1 */
	r = privilege_drop(conf->user, d->shared.fp != NULL, conf->mark != 0, err, ERR_LEN);
	if (r)
		return r;
	return start_workers(d);
}

static void stop(struct daemon *d)
{
	control_close(d->control);
	for (unsigned i = 0; i < d->n_open; i++) {
		worker_call(&d->workers[i], worker_stop, NULL);
		worker_close(&d->workers[i]);
	}
	free(d->workers);
	fastpath_close(d->shared.fp);
	free(d->shared.by_flow);
	if (d->shared.log)
		access_log_close(d->shared.log);
	clients_free(d->shared.clients);
	for (size_t i = 0; i < sizeof(d->signals) / sizeof(*d->signals); i++)
		if (d->signals[i])
			event_free(d->signals[i]);
	if (d->deadline)
		event_free(d->deadline);
	own_close();
	if (d->base)
		event_base_free(d->base);
	judge_cleanup();
	policy_unref(d->policy);
	policy_unref(d->first);
}

int daemon_run(const char *conf_path, const char *version)
{
	struct daemon d = { .conf_path = conf_path, .version = version, .started = time(NULL) };
	char err[ERR_LEN] = "";
	int r;

	log_open();
	signal(SIGPIPE, SIG_IGN);
	d.loaded = d.started;
	r = start(&d, err);
	if (r) {
		log_error("%s", err);
	} else {
		log_info("sluiced %s serves: %u workers, fastpath %s, %zu rules, %zu names", version,
			 d.n_workers, d.shared.fp ? "on" : "off", policy_rules(d.policy),
			 policy_names(d.policy));
		event_base_dispatch(d.base);
	}
	stop(&d);
	return r ? 1 : 0;
}
