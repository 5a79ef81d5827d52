/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files share that steer the whole: daemon.c (start, signals, end), reload.c (from the
 * file to a policy in force) and verbs.c (what sluicectl asks). All of it belongs to the main
 * thread.
 */
#ifndef SLUICE_SLOWPATH_SERVER_H
#define SLUICE_SLOWPATH_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "slowpath/control.h"
#include "slowpath/listen.h"
#include "slowpath/watchdog.h"
#include "slowpath/worker.h"

#define ERR_LEN 512

struct daemon {
	const char *conf_path, *version;
	struct policy *policy;	     /* in force */
	uint32_t serial;	     /* of the policy read last */
	struct policy *first;	     /* holds the configuration of the start */
	struct shared shared;
	struct worker *workers;
	unsigned n_workers, n_open;
	struct event_base *base;
	struct event *signals[5];
	struct event *deadline;
	struct control *control;
	char fastpath_reason[ERR_LEN];
	struct passed passed; /* sockets that were open before us, until they are dealt out */
	struct listen_set listeners;
	struct watchdog *watchdog;
	uint64_t files, files_wanted; /* the limit of open files, and what all may need */
	bool replace;		      /* the daemon that runs now */
	bool stopping;
	time_t started, loaded;
};

/* ---- daemon.c ---- */

/* No more connections; ends when the open ones have, or their time is over. */
void daemon_drain(struct daemon *d);
/* Tells the service manager that we serve, and what. */
void daemon_tell_ready(const struct daemon *d);

/* ---- reload.c ---- */

/* The file and all it names, compiled. NULL and a line in err (ERR_LEN). */
struct policy *reload_read(const char *path, char *err);
/* Reads again and puts in force, and says so in the log. false and a line in err: the old policy
   is still in force. */
bool reload(struct daemon *d, char *err);

/* ---- verbs.c ---- */

/* The control socket's handler; arg is the struct daemon. */
enum control_result verbs_request(void *arg, struct control_call *call);

#endif
