// SPDX-License-Identifier: GPL-2.0-or-later
// From sluice.ini to a policy in force, at start and again whenever asked. Lists may be large, so
// what takes time runs on a thread of its own, and the main thread only switches.
#include "slowpath/daemon/reload.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/thread.h"
#include "conf/ini.h"
#include "slowpath/daemon/changes.h"
#include "slowpath/daemon/force.h"
#include "slowpath/daemon/notify.h"
#include "slowpath/daemon/progress.h"
#include "slowpath/daemon/server.h"
#include "slowpath/report/tail.h"

static struct policy *read_policy(const char *path, struct progress *progress, char *err)
{
	struct conf *conf = conf_read_shown(path, &progress->to, err, ERR_LEN);
	struct policy *p;

	progress_end(progress); /* before anything else is written */
	if (!conf)
		return NULL;
	for (size_t i = 0; i < conf->warnings.n; i++)
		log_warn("%s", conf->warnings.at[i]);
	p = policy_new(conf, err, ERR_LEN);
	if (!p)
		conf_free(conf);
	return p;
}

struct policy *reload_read(const char *path, char *err)
{
	struct progress none = { .fd = -1 };

	return read_policy(path, &none, err);
}

struct policy *reload_read_shown(const char *path, char *err)
{
	struct progress progress;

	progress_begin(&progress, STDERR_FILENO);
	return read_policy(path, &progress, err);
}

static bool same_listeners(const struct conf *a, const struct conf *b)
{
	if (a->n_listeners != b->n_listeners)
		return false;
	for (size_t i = 0; i < a->n_listeners; i++)
		if (a->listeners[i].n != b->listeners[i].n ||
		    memcmp(a->listeners[i].at, b->listeners[i].at,
			   a->listeners[i].n * sizeof(*a->listeners[i].at)) != 0)
			return false;
	return true;
}

static bool same_metrics(const struct conf_metrics *a, const struct conf_metrics *b)
{
	return a->n == b->n && (a->n == 0 || memcmp(a->at, b->at, a->n * sizeof(*a->at)) == 0);
}

/* Warns about changes that a reload does not apply, so that nobody waits for them. */
static void warn_of_restart(const struct conf *old, const struct conf *new)
{
	if (!same_listeners(old, new))
		log_warn("reload: changed [listener] sections need a restart");
	if (!same_metrics(&old->metrics, &new->metrics))
		log_warn("reload: a changed [metrics] section needs a restart");
	if (strcmp(old->user, new->user) || old->workers != new->workers ||
	    old->fastpath != new->fastpath || old->max_connections != new->max_connections ||
	    old->max_per_client != new->max_per_client ||
	    old->client_prefix6 != new->client_prefix6 ||
	    strcmp(old->access_log, new->access_log) || old->log_format != new->log_format ||
	    strcmp(old->control, new->control) || strcmp(old->pin, new->pin) ||
	    old->mark != new->mark)
		log_warn("reload: changed keys of [sluice] need a restart");
	if (strcmp(old->changes, new->changes) != 0)
		log_warn("reload: another file for 'changes' needs a restart");
}

/* ---- the loading thread ---- */

TAILQ_HEAD(waiters, reload_waiter);

struct loader {
	struct daemon *d;
	pthread_t thread;
	bool running;
	bool again;  /* somebody asked while a load was running */
	int done_fd; /* becomes readable when the thread has ended, or is about to */
	struct event *done, *begin;
	struct waiters now, next;
	uint32_t serial; /* of the policy that is being read */

	struct policy *policy; /* the thread's result: this, or a line in err */
	char err[ERR_LEN];
};

static void *run(void *arg)
{
	struct loader *l = arg;
	struct fastpath *fp = l->d->shared.fp;
	uint64_t one = 1;

	l->policy = reload_read(l->d->conf_path, l->err);
	if (l->policy) {
		policy_set_serial(l->policy, l->serial);
		if (fp && fastpath_prepare(fp, l->policy, l->err, ERR_LEN) != 0)
			policy_unref(TAKE(l->policy));
	}
	if (write(l->done_fd, &one, sizeof(one)) != sizeof(one))
		abort();
	return NULL;
}

static void tell(struct waiters *list, bool ok, const char *text)
{
	struct reload_waiter *w;

	while ((w = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, w, link);
		w->list = NULL;
		w->done(w, ok, text);
	}
}

static void count(struct daemon *d, bool ok)
{
	d->reloads++;
	d->reloads_failed += !ok;
	d->reload_failed = !ok;
}

static void finish_with_error(struct loader *l, const char *text)
{
	char note[ERR_LEN + 64];

	log_error("reload: %s; the old configuration stays", text);
	count(l->d, false);
	snprintf(note, sizeof(note), "failed, the old configuration stays: %s", text);
	tail_note("reload", note);
	tell(&l->now, false, text);
}

static void take_waiters(struct loader *l)
{
	struct reload_waiter *w;

	TAILQ_CONCAT(&l->now, &l->next, link);
	TAILQ_FOREACH (w, &l->now, link)
		w->list = &l->now;
}

static void start_load(struct loader *l)
{
	int err;

	l->again = false;
	take_waiters(l);
	l->serial = ++l->d->serial;
	if (!l->d->stopping)
		notify_reloading();
	err = thread_start(&l->thread, run, l);
	l->running = err == 0;
	if (err) {
		finish_with_error(l, strerror(-err));
		force_tell_ready(l->d);
	}
}

/* ---- in force ---- */

/* Puts in force what was read, with the entries that were made at run time meanwhile. */
static bool put_in_force(struct daemon *d, const struct policy *read, char *err)
{
	struct policy *p = changes_added(d, read, err);

	if (!p)
		return false;
	if (force_policy(d, p, err) != 0)
		return false;
	warn_of_restart(d->shared.start, policy_conf(d->policy));
	watch_follow(d->watch, policy_conf(d->policy));
	d->loaded = time(NULL);
	return true;
}

static void say_reloaded(const struct daemon *d)
{
	char text[ERR_LEN];

	snprintf(text, sizeof(text), "%.400s: %zu rules, %zu names", d->conf_path,
		 policy_rules(d->policy), policy_names(d->policy));
	log_info("reloaded %s", text);
	tail_note("reload", text);
}

static void on_loaded(evutil_socket_t fd, short what, void *arg)
{
	struct loader *l = arg;
	struct policy *read;
	uint64_t n;

	(void)what;
	if (eventfd_read(fd, &n) != 0)
		return;
	pthread_join(l->thread, NULL);
	l->running = false;
	read = TAKE(l->policy);
	if (!read || !put_in_force(l->d, read, l->err)) {
		finish_with_error(l, l->err);
	} else {
		say_reloaded(l->d);
		count(l->d, true);
		tell(&l->now, true, "");
	}
	policy_unref(read);
	force_tell_ready(l->d);
	if (l->again)
		start_load(l);
}

/* ---- asking ---- */

static void on_begin(evutil_socket_t fd, short what, void *arg)
{
	struct loader *l = arg;

	(void)fd;
	(void)what;
	if (l->again && !l->running)
		start_load(l);
}

void reload_ask(struct daemon *d, struct reload_waiter *w)
{
	struct loader *l = d->loader;

	if (w) {
		w->list = &l->next;
		TAILQ_INSERT_TAIL(w->list, w, link);
	}
	l->again = true;
	event_active(l->begin, EV_TIMEOUT,
		     0); /* from the loop, when the caller is ready to be answered */
}

void reload_forget(struct reload_waiter *w)
{
	if (w->list)
		TAILQ_REMOVE(w->list, w, link);
	w->list = NULL;
}

/* ---- the verb ---- */

/* A client of the control socket that waits for the end of a load. */
struct asker {
	struct reload_waiter waiter; /* first */
	struct daemon *d;
	struct control_client *client;
	bool json;
};

static void on_client_gone(void *arg)
{
	struct asker *a = arg;

	reload_forget(&a->waiter);
	free(a);
}

static void on_done(struct reload_waiter *w, bool ok, const char *text)
{
	struct asker *a = (struct asker *)w;
	char answer[128];

	snprintf(answer, sizeof(answer),
		 a->json ? "{\"rules\":%zu,\"names\":%zu}\n" : "reloaded: %zu rules, %zu names\n",
		 policy_rules(a->d->policy), policy_names(a->d->policy));
	control_finish(a->client, ok, ok ? answer : text);
	free(a);
}

enum control_result reload_verb(struct daemon *d, struct control_call *call)
{
	struct asker *a = d->handed_over ? NULL : calloc(1, sizeof(*a));

	if (!a) {
		evbuffer_add_printf(call->out, "%s",
				    d->handed_over ? DAEMON_HANDED_OVER : "no memory");
		return CONTROL_ERROR;
	}
	*a = (struct asker){
		.waiter = { .done = on_done }, .d = d, .client = call->client, .json = call->json
	};
	if (!control_wait(call, on_client_gone, a)) {
		free(a);
		return CONTROL_ERROR;
	}
	reload_ask(d, &a->waiter);
	return CONTROL_LATER;
}

/* ---- life ---- */

int reload_open(struct daemon *d)
{
	struct loader *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	d->loader = l;
	l->d = d;
	TAILQ_INIT(&l->now);
	TAILQ_INIT(&l->next);
	l->done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (l->done_fd < 0)
		return -errno;
	l->done = event_new(d->base, l->done_fd, EV_READ | EV_PERSIST, on_loaded, l);
	l->begin = event_new(d->base, -1, 0, on_begin, l);
	return l->done && l->begin && event_add(l->done, NULL) == 0 ? 0 : -ENOMEM;
}

void reload_close(struct daemon *d)
{
	struct loader *l = TAKE(d->loader);

	if (!l)
		return;
	if (l->running)
		pthread_join(l->thread, NULL);
	policy_unref(l->policy);
	tell(&l->now, false, "the daemon ends");
	tell(&l->next, false, "the daemon ends");
	if (l->done)
		event_free(l->done);
	if (l->begin)
		event_free(l->begin);
	if (l->done_fd >= 0)
		close(l->done_fd);
	free(l);
}
