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

#include "conf/conf.h"
#include "fastpath/kernel/fastpath.h"
#include "fastpath/kernel/records.h"
#include "fastpath/policy/policy.h"
#include "slowpath/address/clients.h"
#include "slowpath/dns/resolver.h"
#include "slowpath/proxy/files.h"
#include "slowpath/proxy/poll.h"
#include "slowpath/report/access_log.h"
#include "slowpath/report/listing.h"
#include "slowpath/report/report.h"

#define SCRATCH_BYTES (256 * 1024) /* one read, and one pipe's worth */
#define SPARE_PIPES 64
#define WORKER_ENDED UINT64_MAX /* in seen_ms: its loop has ended, and is not stuck */

struct conn;
struct top;

/* What all workers share. */
struct shared {
	const struct conf *start; /* the configuration at start: [sluice] and listeners hold */
	struct fastpath *fp;	  /* NULL: user space only */
	struct access_log *log;
	struct clients *clients; /* open connections by client address */
	_Atomic uint64_t open;	 /* of all workers */
	struct files files;
	struct conn **by_flow; /* by record number; each used by the worker that has the
				      record, and by nobody else */
	unsigned tick_ms;      /* how often a worker says that it lives; 0: nobody asks */
};

struct listener {
	struct worker *w;
	struct event *event;
	int fd;
	bool bare; /* slowpath/proxy/listen.h */
};

struct worker {
	unsigned index;
	struct shared *shared;
	struct policy *policy; /* a reference */
	struct event_base *base;
	struct resolver *resolver;
	struct poller poller; /* the sockets of the connections */
	pthread_t thread;

	struct listener **listeners;
	size_t n_listeners;
	struct event *resume; /* accepts again after descriptors ran out */
	bool paused, draining;
	struct event *ring;
	struct event *lost_look; /* whether the ring overflowed */
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

	struct conn *conns; /* all of them, doubly linked */
	struct stats stats; /* ended connections; open ones are added when asked */
	struct top *top;    /* who is denied most */
	uint8_t *scratch;   /* SCRATCH_BYTES */
	int pipes[SPARE_PIPES][2];
	unsigned n_pipes;
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
	int err; /* 0 or -errno, of */
	int fd;
};

/* For worker_call: */
void worker_accept(struct worker *w, void *arg); /* begin to; arg: struct accept_result, zeroed */
/* Take what waits in the queues, then stop accepting; end when empty. */
void worker_drain(struct worker *w, void *arg);
void worker_stop(struct worker *w, void *arg);	     /* end now */
void worker_set_policy(struct worker *w, void *arg); /* arg: struct policy */
void worker_add_stats(struct worker *w, void *arg);  /* arg: struct stats, added to */
void worker_add_flows(struct worker *w, void *arg);  /* arg: struct listing */
void worker_add_top(struct worker *w, void *arg);    /* arg: struct top_sum */

/* For conn.c: */
int worker_pipe(struct worker *w, int fds[2]); /* an empty pipe; 0 or -errno: copy then */
void worker_pipe_done(struct worker *w, const int fds[2]);  /* it is empty again */
void worker_pipe_close(struct worker *w, const int fds[2]); /* it is not */
void worker_conn_gone(struct worker *w);

#endif
