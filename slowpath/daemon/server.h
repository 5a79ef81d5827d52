/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon's state, for the files that steer the whole. All of it belongs to the main thread.
 * Calls go one way, downwards: daemon.c (start, signals, end) and verbs.c (what sluicectl asks),
 * reload.c (from the file to a policy), changes.c (entries made at run time), force.c (the policy
 * in force).
 */
#ifndef SLUICE_SLOWPATH_DAEMON_SERVER_H
#define SLUICE_SLOWPATH_DAEMON_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "slowpath/control/control.h"
#include "slowpath/daemon/watch.h"
#include "slowpath/daemon/watchdog.h"
#include "slowpath/proxy/listen.h"
#include "slowpath/proxy/worker.h"

#define ERR_LEN 512

struct changes;
struct loader;

struct daemon {
	const char *conf_path, *version;
	struct policy *policy; /* in force */
	uint32_t serial;       /* of the policy read last */
	struct conf *first;    /* the configuration at start; its rules go when its policy does */
	struct shared shared;
	struct worker *workers;
	unsigned n_workers, n_open;
	struct event_base *base;
	struct event *signals[5];
	struct event *deadline;
	struct control *control;
	struct loader *loader;
	struct changes *changes; /* entries made at run time */
	struct watch *watch;
	char fastpath_reason[ERR_LEN];
	struct passed passed; /* sockets that were open before us, until they are assigned */
	struct listen_set listeners;
	struct watchdog *watchdog;
	bool replace; /* replace the daemon that runs now */
	bool stopping;
	bool handed_over; /* another process has taken our place and owns the files */
	time_t started, loaded;
	struct metrics *metrics; /* NULL: no [metrics] */
	uint64_t reloads, reloads_failed;
	bool reload_failed; /* the last reload failed */
};

/* Refusal for a client still connected to the replaced daemon that asks it to change the policy. */
#define DAEMON_HANDED_OVER "another sluiced has taken over: say it again, to that one"

/* Accepts no more connections; the daemon ends when the open ones have ended, or their time is
   over. */
void daemon_drain(struct daemon *d);

#endif
