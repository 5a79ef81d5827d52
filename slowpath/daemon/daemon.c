// SPDX-License-Identifier: GPL-2.0-or-later
// Starts everything in an order in which each step can fail cleanly, then waits for signals and for
// the control socket on a loop of its own; the workers carry the traffic.
#include "slowpath/daemon/daemon.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/guise.h"
#include "common/log.h"
#include "common/privilege.h"
#include "slowpath/address/own.h"
#include "slowpath/daemon/changes.h"
#include "slowpath/daemon/force.h"
#include "slowpath/daemon/handover.h"
#include "slowpath/daemon/notify.h"
#include "slowpath/daemon/reload.h"
#include "slowpath/daemon/server.h"
#include "slowpath/daemon/snapshot.h"
#include "slowpath/daemon/verbs.h"
#include "slowpath/judge/stream.h"
#include "slowpath/proxy/conn.h"
#include "slowpath/report/access_log.h"
#include "slowpath/report/metrics_server.h"
#include "slowpath/report/tail.h"

#define NEW_SUFFIX ".new" /* suffix of the control socket until it replaces the old one */
/* Larger blocks get a mapping of their own, so that lists that grow or go leave no holes. */
#define MAPPED_BYTES (1 << 20)

int daemon_check(const char *conf_path)
{
	char err[ERR_LEN];
	struct policy *p = reload_read_shown(conf_path, err);

	if (!p) {
		fprintf(stderr, "sluiced: %s\n", err);
		return 1;
	}
	printf("%s: good: %zu rules, %zu names\n", conf_path, policy_rules(p), policy_names(p));
	policy_unref(p);
	return 0;
}

/* ---- signals ---- */

static void all_workers(struct daemon *d, void (*fn)(struct worker *, void *))
{
	for (unsigned i = 0; i < d->n_workers; i++)
		worker_call(&d->workers[i], fn, NULL);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd;
	(void)what;
	log_warn("drain time is over, closing what is open");
	all_workers(d, worker_stop);
}

/* The loop ends when the last worker has ended; this looks often enough for a person not to
   wait. */
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

void daemon_drain(struct daemon *d)
{
	unsigned ms = policy_conf(d->policy)->drain_ms;
	struct timeval limit = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	log_info("stopping: open connections may finish");
	d->stopping = true;
	notify_stopping("stopping, open connections may finish");
	event_base_once(d->base, -1, EV_TIMEOUT, on_deadline, d, &limit);
	all_workers(d, worker_drain);
	event_add(d->deadline, &(struct timeval){ .tv_usec = 10000 });
}

static void on_stop(evutil_socket_t sig, short what, void *arg)
{
	struct daemon *d = arg;

	(void)sig;
	(void)what;
	if (!d->stopping) {
		daemon_drain(d);
		return;
	}
	log_info("stopping now");
	all_workers(d, worker_stop);
}

static void on_reload(evutil_socket_t sig, short what, void *arg)
{
	(void)sig;
	(void)what;
	reload_ask(arg, NULL);
}

static void on_change(void *arg)
{
	reload_ask(arg, NULL);
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
	d->watch = watch_open(d->base, WATCH_QUIET_MS, on_change, d);
	return d->deadline && d->watch ? 0 : -ENOMEM;
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

/* Too few is no reason not to start: connections beyond the limit wait and are not refused. */
static void divide_files(struct daemon *d, const struct conf *conf)
{
	struct files *f = &d->shared.files;

	files_divide(f, conf->max_connections, d->n_workers);
	if (f->limit < files_wanted(f))
		log_warn("the limit of %" PRIu64 " open files is too low for max_connections = %u, "
			 "which needs %" PRIu64 ", and the rest, which needs %" PRIu64
			 "; connections beyond it will wait",
			 f->limit, conf->max_connections, f->connections, f->daemon);
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

static int start_workers(struct daemon *d)
{
	int r = 0;

	for (unsigned i = 0; i < d->n_workers && !r; i++)
		r = worker_start(&d->workers[i]);
	return r;
}

/* ---- taking the place of a running daemon, and the sockets ---- */

/* Opens the socket beside the running daemon's if we are to replace it: then no other process can
   replace it meanwhile. */
static int open_control(struct daemon *d, const struct conf *conf, char *err)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s%s", conf->control, d->replace ? NEW_SUFFIX : "");
	int r = n < (int)sizeof(path) ? 0 : -ENAMETOOLONG;
	struct guise as = { 0 };
	char text[128];

	r = r ?: guise_wear(&as, conf->user, path);
	r = r ?: control_open(&d->control, d->base, path, verbs_request, d);
	guise_drop(&as);
	if (r)
		snprintf(err, ERR_LEN, "control = %.300s: %s", path,
			 r == -EADDRINUSE ? "another sluiced answers there" :
					    guise_explain(&as, r, text, sizeof(text)));
	return r;
}

static int deal_listeners(struct daemon *d)
{
	int r = 0;

	for (size_t i = 0; i < d->listeners.n && !r; i++) {
		const struct listen_socket *s = &d->listeners.at[i];

		r = worker_listen(&d->workers[s->worker], s->fd, s->bare);
	}
	return r;
}

/* The path is looked up with the user's rights; to the other end we are still root. */
static int ask_the_one_before(struct daemon *d, const struct conf *conf, char *err)
{
	struct guise as;
	int r = guise_wear(&as, conf->user, conf->control);

	r = r ?: handover_ask(conf->control, &d->passed, err, ERR_LEN);
	guise_drop(&as);
	return r;
}

static int open_listeners(struct daemon *d, const struct conf *conf, char *err)
{
	int r = 0;

	if (d->replace && d->passed.n) {
		snprintf(err, ERR_LEN, "-r, but a service manager passed the sockets (LISTEN_FDS)");
		return -EINVAL;
	}
	if (d->replace)
		r = ask_the_one_before(d, conf, err);
	r = r ?: listen_open(&d->listeners, conf, d->n_workers, &d->passed, err, ERR_LEN);
	return r ?: deal_listeners(d);
}

/* The daemon that we replace. */
struct before {
	int fd;	     /* to tell it that we serve; -1: there is no daemon to replace */
	int process; /* to end it if it does not answer */
};

static int find_the_one_before(const struct conf *conf, struct before *before, char *err)
{
	struct guise as;
	int r = guise_wear(&as, conf->user, conf->control);

	if (r)
		return r;
	before->fd = handover_connect(conf->control, err, ERR_LEN);
	guise_drop(&as);
	if (before->fd < 0)
		return before->fd;
	before->process = handover_process(before->fd);
	return before->process < 0 ? before->process : 0;
}

static int move_control(struct daemon *d, const struct conf *conf, char *err)
{
	struct guise as;
	int r = guise_wear(&as, conf->user, conf->control);
	char text[128];

	r = r ?: control_move(d->control, conf->control);
	guise_drop(&as);
	if (r)
		snprintf(err, ERR_LEN, "control = %.300s: %s", conf->control,
			 guise_explain(&as, r, text, sizeof(text)));
	return r;
}

/* From here on clients find us and not the old daemon. Done last, after everything that can go
   wrong. */
static int take_place(struct daemon *d, const struct conf *conf, struct before *before, char *err)
{
	int r = d->replace ? find_the_one_before(conf, before, err) : 0;

	if (!r && d->shared.fp)
		r = fastpath_publish(d->shared.fp, err, ERR_LEN);
	return r || !d->replace ? r : move_control(d, conf, err);
}

/* The log already belongs to the user. */
static int become_user(struct daemon *d, const struct conf *conf, char *err)
{
	guise_give_path(conf->pin, conf->user); /* so that it can be removed at the end */
	guise_give_path(conf->control, conf->user);
	return privilege_drop(conf->user, d->shared.fp != NULL, conf->mark != 0, err, ERR_LEN);
}

static int begin_accepting(struct daemon *d, char *err)
{
	struct accept_result result = { 0 };
	char text[128];

	for (unsigned i = 0; i < d->n_workers && !result.err; i++)
		worker_call(&d->workers[i], worker_accept, &result);
	if (result.err)
		snprintf(err, ERR_LEN, "cannot listen at %s: %s",
			 listen_print(result.fd, text, sizeof(text)), strerror(-result.err));
	return result.err;
}

/* The sockets that the manager keeps for us outlive us, and so do the clients that wait in them to
   be accepted. */
static void store_listeners(const struct daemon *d)
{
	AUTO_FREE int *fds = notify_present() ? calloc(d->listeners.n, sizeof(*fds)) : NULL;
	bool forget = d->listeners.unused > 0;

	if (fds)
		notify_store(fds, listen_fds(&d->listeners, forget, fds), forget);
}

static void catch_up(struct daemon *d)
{
	char err[ERR_LEN];

	if (changes_catch_up(d, err) != 0)
		log_error("%s", err);
}

/* Nobody new can reach the old process, but an earlier client may. Once it stops serving, every
   entry it accepted is in the file, so read that again. And a client that made it reload files that
   we had already read will not ask us, so check whether they have changed. */
static void end_the_one_before(struct daemon *d, struct before *before)
{
	char err[ERR_LEN];
	int r;

	if (handover_done(TAKE_FD(before->fd), err, ERR_LEN) != 0) {
		log_warn("%s; it is ended by a signal", err);
		r = handover_terminate(TAKE_FD(before->process));
		if (r)
			log_error("the sluiced before may still run: %s", strerror(-r));
	}
	catch_up(d);
	if (!conf_is_current(d->first))
		reload_ask(d, NULL);
}

static int serve(struct daemon *d, const struct conf *conf, char *err)
{
	struct before before = { .fd = -1, .process = -1 };
	int r = take_place(d, conf, &before, err);

	r = r ?: become_user(d, conf, err);
	r = r ?: start_workers(d);
	if (!r && before.fd >= 0)
		catch_up(d); /* so that denials made meanwhile hold from the first connection on */
	r = r ?: begin_accepting(d, err);
	if (!r && before.fd >= 0)
		end_the_one_before(d, &before);
	cleanup_fd(&before.fd);
	cleanup_fd(&before.process);
	if (r)
		return r;
	watch_follow(d->watch, conf); /* as the user who will read them */
	store_listeners(d);
	r = watchdog_open(&d->watchdog, d->base, d->workers, d->n_workers, notify_watchdog_usec());
	if (!r)
		force_tell_ready(d);
	return r;
}

/* What the files say, and what follows from them without anything being opened. */
static int read_files(struct daemon *d, char *err)
{
	d->policy = reload_read_shown(d->conf_path, err);
	if (!d->policy)
		return -EINVAL;
	d->first = policy_keep_conf(d->policy);
	d->shared.start = d->first;
	d->n_workers = d->first->workers ?: (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	d->shared.tick_ms = watchdog_tick_ms(notify_watchdog_usec());
	d->shared.clients = clients_new(d->first->max_connections);
	return d->shared.clients ? 0 : -ENOMEM;
}

static int open_metrics(struct daemon *d, const struct conf *conf, char *err)
{
	if (!conf->metrics.n)
		return 0;
	return metrics_open(&d->metrics, d->base, &conf->metrics, d->replace, METRICS_LIMIT_MS,
			    snapshot_metrics, d, err, ERR_LEN);
}

static int start(struct daemon *d, char *err)
{
	const struct conf *conf;
	int r;

	snprintf(err, ERR_LEN, "no memory");
	/* The passed sockets first, before a descriptor of ours takes one of their numbers. */
	r = notify_passed(&d->passed, err, ERR_LEN);
	r = r ?: read_files(d, err);
	if (r)
		return r;
	conf = d->first;
	files_raise(&d->shared.files);
	r = judge_setup();
	/* Files are opened with this user's rights. */
	r = r ?: privilege_check(conf->user, err, ERR_LEN);
	r = r ?: open_loop(d);
	r = r ?: reload_open(d);
	r = r ?: changes_open(d, err);
	r = r ?: own_open(d->base, err, ERR_LEN);
	r = r ?: tail_open(d->base);
	r = r ?: access_log_open(&d->shared.log, conf, err, ERR_LEN);
	/* From here on no other process uses `.new` and `_new`. */
	r = r ?: open_control(d, conf, err);
	r = r ?: open_fastpath(d, conf, err);
	r = r ?: open_workers(d, err);
	r = r ?: open_listeners(d, conf, err);
	r = r ?: open_metrics(d, conf, err);
	if (r)
		return r;
	divide_files(d, conf);
	return serve(d, conf, err);
}

/* Unlinks the socket's file, which is done as root if the start has failed. */
static void close_control(struct daemon *d)
{
	struct guise as;

	if (!d->control)
		return;
	/* With the same rights with which it was made. If the user is no longer known, the file
	   stays. */
	if (guise_wear(&as, d->first->user, d->first->control) != 0) {
		log_warn("%s stays: not removed as user %s", d->first->control, d->first->user);
		return;
	}
	control_close(d->control);
	guise_drop(&as);
}

static void stop(struct daemon *d)
{
	reload_close(d);
	watchdog_close(d->watchdog);
	watch_close(d->watch);
	metrics_close(d->metrics);
	for (unsigned i = 0; i < d->n_open; i++) {
		worker_call(&d->workers[i], worker_stop, NULL);
		worker_close(&d->workers[i]);
	}
	tail_close(); /* passes the last `end` events on */
	close_control(d);
	free(d->workers);
	listen_free(&d->listeners);
	passed_free(&d->passed);
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
	changes_close(d);
	if (d->base)
		event_base_free(d->base);
	judge_cleanup();
	policy_unref(d->policy);
	conf_free(d->first);
}

int daemon_run(const char *conf_path, const char *version, bool replace)
{
	struct daemon d = { .conf_path = conf_path,
			    .version = version,
			    .replace = replace,
			    .started = time(NULL) };
	char err[ERR_LEN] = "no_new_privs cannot be set";
	int r;

	log_open();
	signal(SIGPIPE, SIG_IGN);
	mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
	d.loaded = d.started;
	r = privilege_never_more() ?: start(&d, err);
	if (r) {
		log_error("%s", err);
	} else {
		log_info("sluiced %s serves: %u workers, fastpath %s, %zu rules, %zu names",
			 version, d.n_workers, d.shared.fp ? "on" : "off", policy_rules(d.policy),
			 policy_names(d.policy));
		event_base_dispatch(d.base);
	}
	stop(&d);
	return r ? 1 : 0;
}
