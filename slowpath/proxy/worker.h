/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One event loop in one thread: its listeners, its connections, its resolver, its ring. A
 * connection lives and dies on the worker that accepted it; nothing in it is shared.
 */
#ifndef SLUICE_SLOWPATH_PROXY_WORKER_H
#define SLUICE_SLOWPATH_PROXY_WORKER_H

#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "slowpath/proxy/place.h"
#include "slowpath/report/listing.h"

#define WORKER_ENDED UINT64_MAX /* in seen_ms: its loop has ended, and is not stuck */

struct listener {
	struct worker *w;
	struct event *event;
	int fd;
	bool bare; /* slowpath/proxy/listen.h */
};

struct worker {
	struct place place; /* first: a place is its worker */
	pthread_t thread;

	struct listener **listeners;
	size_t n_listeners;
	struct event *resume; /* accepts again after descriptors ran out */
	bool paused, draining;
	struct event *ring;
	struct event *lost_look; /* looks whether the ring overflowed */
	uint64_t events_lost;
	struct event *tick;
	_Atomic uint64_t seen_ms; /* when the loop last turned, for slowpath/daemon/watchdog.c */
	struct event *wake;
	int wake_fd;
	pthread_mutex_t lock; /* guards the next four */
	pthread_cond_t done;
	void (*call)(struct worker *w, void *arg);
	void *call_arg;
	bool ended; /* the loop has ended, calls are void */
	bool started;
};

/* 0, or -errno and a line in err. */
int worker_open(struct worker *w, unsigned index, struct shared *shared, struct policy *policy,
		char *err, size_t err_len);
/* Before the start: a bound socket, which is then the worker's. 0 or -errno. */
int worker_listen(struct worker *w, int fd, bool bare);
int worker_start(struct worker *w);
/* Runs fn on the worker's thread and waits for it. */
void worker_call(struct worker *w, void (*fn)(struct worker *w, void *arg), void *arg);
/* Waits for the thread's end, then frees. */
void worker_join(struct worker *w);
void worker_close(struct worker *w);

struct accept_result {
	int err; /* 0 or -errno */
	int fd;	 /* the socket that err is about */
};

/* For worker_call: */
/* Begin to accept; arg: struct accept_result, zeroed. */
void worker_accept(struct worker *w, void *arg);
/* Take what waits in the queues, then stop accepting; end when no connection is left. */
void worker_drain(struct worker *w, void *arg);
void worker_stop(struct worker *w, void *arg);	     /* end now */
void worker_set_policy(struct worker *w, void *arg); /* arg: struct policy */
void worker_add_stats(struct worker *w, void *arg);  /* arg: struct stats, added to */
void worker_add_flows(struct worker *w, void *arg);  /* arg: struct listing */
void worker_add_top(struct worker *w, void *arg);    /* arg: struct top_sum */

#endif
