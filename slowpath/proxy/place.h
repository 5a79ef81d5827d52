/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a connection lives: what it needs of its worker, and nothing that steers the worker. Used
 * by one thread; what all workers share is behind `shared`.
 */
#ifndef SLUICE_SLOWPATH_PROXY_PLACE_H
#define SLUICE_SLOWPATH_PROXY_PLACE_H

#include <event2/event.h>
#include <stdatomic.h>
#include <stdint.h>

#include "conf/conf.h"
#include "fastpath/kernel/fastpath.h"
#include "fastpath/kernel/records.h"
#include "fastpath/policy/policy.h"
#include "slowpath/address/clients.h"
#include "slowpath/dns/resolver.h"
#include "slowpath/proxy/files.h"
#include "slowpath/proxy/pipes.h"
#include "slowpath/proxy/poll.h"
#include "slowpath/report/access_log.h"
#include "slowpath/report/report.h"

#define SCRATCH_BYTES PIPE_BYTES /* one read */

struct conn;
struct top;

/* What all workers share. */
struct shared {
	const struct conf *start; /* the configuration at start: its [sluice] and listeners stay */
	struct fastpath *fp;	  /* NULL: user space only */
	struct access_log *log;
	struct clients *clients; /* open connections by client address */
	_Atomic uint64_t open;	 /* of all workers */
	struct files files;
	struct conn **by_flow; /* by record number; each used by the worker that has the
				  record, and by nobody else */
	unsigned tick_ms;      /* how often a worker reports that it lives; 0: nobody asks */
};

struct place {
	unsigned index; /* the worker's number */
	struct shared *shared;
	struct policy *policy; /* a reference */
	struct event_base *base;
	struct resolver *resolver;
	struct poller poller; /* the sockets of the connections */
	struct conn *conns;   /* all of them, doubly linked */
	struct stats stats;   /* ended connections; open ones are added when asked */
	struct top *top;      /* who is denied most */
	uint8_t *scratch;     /* SCRATCH_BYTES */
	struct pipes pipes;
	void (*left)(struct place *p); /* called when a connection has ended */
};

#endif
