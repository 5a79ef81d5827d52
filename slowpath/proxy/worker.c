// SPDX-License-Identifier: GPL-2.0-or-later
// The loop around the connections: listeners in, ring events in, calls from the main thread.
#include "slowpath/proxy/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/thread.h"
#include "slowpath/proxy/account.h"
#include "slowpath/proxy/conn.h"
#include "slowpath/proxy/connection.h"
#include "slowpath/proxy/listen.h"
#include "slowpath/proxy/pump.h"
#include "slowpath/report/top.h"

#define ACCEPTS 64 /* in one go, then other events have their turn */
#define RESUME_MS 100

/* ---- accepting ---- */

static void pause_accepting(struct worker *w, bool pause)
{
	for (size_t i = 0; i < w->n_listeners; i++)
		pause ? event_del(w->listeners[i]->event) : event_add(w->listeners[i]->event, NULL);
	w->paused = pause;
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd;
	(void)what;
	if (w->paused && !w->draining)
		pause_accepting(w, false);
}

static void out_of_descriptors(struct worker *w, int error)
{
	static _Atomic bool said;
	struct timeval tv = { .tv_usec = RESUME_MS * 1000 };

	if (!atomic_exchange(&said, true))
		log_warn("accept: %s; new connections wait until others end", strerror(error));
	pause_accepting(w, true);
	event_add(w->resume, &tv);
}

/* false: there is none, or none can be taken now. */
static bool accept_one(struct listener *l)
{
	struct worker *w = l->w;
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	int fd = accept4(l->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			out_of_descriptors(w, errno);
		return errno == ECONNABORTED || errno == EINTR;
	}
	if (l->bare)
		listen_dress(fd);
	conn_accept(&w->place, fd, (struct sockaddr *)&from);
	return true;
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;

	(void)fd;
	(void)what;
	for (int i = 0; i < ACCEPTS && !l->w->paused && !l->w->draining; i++)
		if (!accept_one(l))
			return;
}

/* Clients in the accept queue already see an established connection: accept them before closing. */
static void accept_queued(struct worker *w)
{
	w->paused = false; /* there may be descriptors again, and this is the last chance */
	for (size_t i = 0; i < w->n_listeners; i++)
		for (int k = 0; k < LISTEN_BACKLOG && !w->paused; k++)
			if (!accept_one(w->listeners[i]))
				break;
}

static void close_listeners(struct worker *w)
{
	for (size_t i = 0; i < w->n_listeners; i++) {
		event_free(w->listeners[i]->event);
		close(w->listeners[i]->fd);
		free(w->listeners[i]);
	}
	free(w->listeners);
	w->listeners = NULL;
	w->n_listeners = 0;
}

int worker_listen(struct worker *w, int fd, bool bare)
{
	struct listener **grown = realloc(w->listeners, (w->n_listeners + 1) * sizeof(*grown));
	AUTO_FREE struct listener *l = calloc(1, sizeof(*l));

	if (grown)
		w->listeners = grown;
	if (!grown || !l)
		return -ENOMEM;
	*l = (struct listener){ .w = w, .fd = fd, .bare = bare };
	l->event = event_new(w->place.base, fd, EV_READ | EV_PERSIST, on_accept, l);
	if (!l->event)
		return -ENOMEM;
	w->listeners[w->n_listeners++] = TAKE(l);
	return 0;
}

void worker_accept(struct worker *w, void *arg)
{
	struct accept_result *out = arg;

	for (size_t i = 0; i < w->n_listeners && !out->err; i++) {
		out->fd = w->listeners[i]->fd;
		if (listen(out->fd, LISTEN_BACKLOG) != 0)
			out->err = -errno;
		else if (event_add(w->listeners[i]->event, NULL) != 0)
			out->err = -ENOMEM;
	}
}

/* ---- ring events ---- */

static void on_flow_event(void *ctx, const struct flow_event *e)
{
	struct worker *w = ctx;
	struct conn *c;

	if (!flow_is_own(w->place.shared->fp, w->place.index, e))
		return; /* that connection has ended, and the record may be another worker's now */
	c = w->place.shared->by_flow[ENDPOINT_FLOW(e->endpoint)];
	if (c)
		conn_event(c, (int)ENDPOINT_SIDE(e->endpoint));
}

static void on_ring(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd;
	(void)what;
	flow_ring_read(w->place.shared->fp, w->place.index, on_flow_event, w);
}

/* An event that found the ring full is lost; what it was about is in the records. A record that
   rests needs no catching up: an event that was not written does not come late. */
static void catch_up(struct worker *w)
{
	for (struct conn *c = w->place.conns; c; c = c->next)
		if (c->flow != FLOW_NONE)
			pump_retry(c);
}

static void on_lost_look(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	uint64_t lost = flow_lost(w->place.shared->fp, w->place.index);

	(void)fd;
	(void)what;
	flow_let_go(w->place.shared->fp, w->place.index); /* for when no event comes that does so */
	if (lost != w->events_lost) {
		w->events_lost = lost;
		catch_up(w);
	}
}

/* ---- calls from the main thread ---- */

static void on_left(struct place *p)
{
	struct worker *w = (struct worker *)p;

	if (w->draining && !p->conns)
		event_base_loopbreak(p->base);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	uint64_t n;

	(void)what;
	if (read(fd, &n, sizeof(n)) != sizeof(n))
		return;
	pthread_mutex_lock(&w->lock);
	if (w->call)
		w->call(w, w->call_arg);
	w->call = NULL;
	pthread_cond_signal(&w->done);
	pthread_mutex_unlock(&w->lock);
}

void worker_call(struct worker *w, void (*fn)(struct worker *w, void *arg), void *arg)
{
	uint64_t one = 1;

	pthread_mutex_lock(&w->lock);
	if (!w->ended) {
		w->call = fn;
		w->call_arg = arg;
		if (write(w->wake_fd, &one, sizeof(one)) != sizeof(one))
			abort();
		while (w->call)
			pthread_cond_wait(&w->done, &w->lock);
	}
	pthread_mutex_unlock(&w->lock);
}

void worker_drain(struct worker *w, void *arg)
{
	(void)arg;
	accept_queued(w);
	w->draining = true;
	close_listeners(w);
	on_left(&w->place);
}

void worker_stop(struct worker *w, void *arg)
{
	(void)arg;
	w->draining = true;
	close_listeners(w);
	event_base_loopbreak(w->place.base);
}

static void each_conn(struct worker *w, void (*fn)(struct conn *c))
{
	struct conn *c, *next;

	for (c = w->place.conns; c; c = next) {
		next = c->next;
		fn(c);
	}
}

/* A policy that differs only in entries made at run time has the same configuration, which the
   resolver has already. */
void worker_set_policy(struct worker *w, void *arg)
{
	struct policy *old = w->place.policy, *new = policy_ref(arg);
	int err = 0;

	each_conn(w, conn_policy_ends);
	w->place.policy = new;
	if (policy_conf(old) != policy_conf(new))
		err = resolver_reload(w->place.resolver, policy_conf(new));
	if (err)
		log_error("reload: the name servers stay as they were: %s", strerror(-err));
	each_conn(w, conn_policy_changed);
	policy_unref(old);
}

void worker_add_stats(struct worker *w, void *arg)
{
	struct stats *sum = arg;
	struct resolver_stats dns;

	stats_add(sum, &w->place.stats);
	for (const struct conn *c = w->place.conns; c; c = c->next)
		account_add_open(c, sum);
	resolver_stats(w->place.resolver, &dns);
	sum->dns_asked += dns.asked;
	sum->dns_cached += dns.cached;
	sum->dns_failed += dns.failed;
	sum->dns_given_up += dns.given_up;
}

void worker_add_flows(struct worker *w, void *arg)
{
	struct listing *list = arg;
	struct flow_info info;

	for (const struct conn *c = w->place.conns; c; c = c->next) {
		if (!listing_wants(list, &c->client.ip, c->name, c->name_len))
			continue;
		account_info(c, &info);
		if (!listing_add(list, &info))
			return;
	}
}

void worker_add_top(struct worker *w, void *arg)
{
	top_add(w->place.top, clock_ms(), arg);
}

/* ---- life ---- */

static struct event_base *new_base(void)
{
	struct event_config *cfg = event_config_new();
	struct event_base *base = NULL;

	if (!cfg)
		return NULL;
	event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK); /* one thread each */
	base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	return base;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd;
	(void)what;
	w->seen_ms = clock_ms();
}

/* Only where somebody looks: each tick wakes the machine. */
static int open_tick(struct worker *w)
{
	unsigned ms = w->place.shared->tick_ms;
	struct timeval every = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	if (!ms)
		return 0;
	w->tick = event_new(w->place.base, -1, EV_PERSIST, on_tick, w);
	return w->tick && event_add(w->tick, &every) == 0 ? 0 : -ENOMEM;
}

static int open_events(struct worker *w)
{
	struct timeval second = { .tv_sec = 1 };

	w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (w->wake_fd < 0)
		return -errno;
	w->wake = event_new(w->place.base, w->wake_fd, EV_READ | EV_PERSIST, on_wake, w);
	w->resume = event_new(w->place.base, -1, 0, on_resume, w);
	if (!w->wake || !w->resume || event_add(w->wake, NULL) != 0)
		return -ENOMEM;
	if (poller_open(&w->place.poller, w->place.base, conn_poll) != 0 || open_tick(w) != 0)
		return -ENOMEM;
	if (!w->place.shared->fp)
		return 0;
	w->ring = event_new(w->place.base, flow_ring_fd(w->place.shared->fp, w->place.index),
			    EV_READ | EV_PERSIST, on_ring, w);
	w->lost_look = event_new(w->place.base, -1, EV_PERSIST, on_lost_look, w);
	if (!w->ring || !w->lost_look || event_add(w->ring, NULL) ||
	    event_add(w->lost_look, &second))
		return -ENOMEM;
	return 0;
}

int worker_open(struct worker *w, unsigned index, struct shared *shared, struct policy *policy,
		char *err, size_t err_len)
{
	int r = -ENOMEM;

	memset(w, 0, sizeof(*w));
	w->place.index = index;
	w->place.shared = shared;
	w->place.pipes.files = &shared->files;
	w->place.left = on_left;
	w->wake_fd = w->place.poller.fd = -1;
	w->ended = true;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->done, NULL);
	snprintf(err, err_len, "no memory for a worker");
	w->place.scratch = malloc(SCRATCH_BYTES);
	w->place.base = new_base();
	w->place.top = top_new();
	if (w->place.scratch && w->place.base && w->place.top)
		r = open_events(w);
	if (r == 0) {
		w->place.policy = policy_ref(policy);
		w->place.resolver = resolver_new(w->place.base, policy_conf(policy), err, err_len);
		r = w->place.resolver ? 0 : -EINVAL;
	}
	if (r)
		worker_close(w);
	return r;
}

static void *run(void *arg)
{
	struct worker *w = arg;

	event_base_dispatch(w->place.base);
	while (w->place.conns)
		conn_stop(w->place.conns);
	w->seen_ms = WORKER_ENDED;
	pthread_mutex_lock(&w->lock);
	w->ended = true;
	if (w->call)
		w->call = NULL;
	pthread_cond_signal(&w->done);
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

int worker_start(struct worker *w)
{
	int r;

	w->ended = false;
	w->seen_ms = clock_ms();
	r = thread_start(&w->thread, run, w);
	if (r)
		w->ended = true;
	else
		w->started = true;
	return r;
}

void worker_join(struct worker *w)
{
	if (w->started)
		pthread_join(w->thread, NULL);
	w->started = false;
}

static void free_event(struct event *e)
{
	if (e)
		event_free(e);
}

void worker_close(struct worker *w)
{
	worker_join(w);
	close_listeners(w);
	if (w->place.resolver)
		resolver_free(w->place.resolver);
	free_event(w->wake);
	free_event(w->resume);
	free_event(w->tick);
	free_event(w->ring);
	free_event(w->lost_look);
	if (w->place.base) /* lets evdns report its cancelled queries, which frees them */
		event_base_loop(w->place.base, EVLOOP_NONBLOCK);
	poller_close(&w->place.poller);
	if (w->wake_fd >= 0)
		close(w->wake_fd);
	pipes_close(&w->place.pipes);
	if (w->place.base)
		event_base_free(w->place.base);
	policy_unref(w->place.policy);
	free(w->place.scratch);
	top_free(w->place.top);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->done);
}
