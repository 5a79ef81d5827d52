/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is shared by the files that steer the whole: daemon.c (start, signals, end), reload.c (from
 * the file to a policy in force), changes.c (entries made at run time) and verbs.c (what sluicectl
 * asks). All of it belongs to the main thread.
 */
#ifndef SLUICE_SLOWPATH_DAEMON_SERVER_H
#define SLUICE_SLOWPATH_DAEMON_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <time.h>

#include "slowpath/control/control.h"
#include "slowpath/daemon/watch.h"
#include "slowpath/daemon/watchdog.h"
#include "slowpath/proxy/listen.h"
#include "slowpath/proxy/worker.h"

#define ERR_LEN 512

struct changes;
struct loader;
struct waiters;

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

/* ---- daemon.c ---- */

/* Refusal for a client still connected to the replaced daemon that asks it to change the policy. */
#define DAEMON_HANDED_OVER "another sluiced has taken over: say it again, to that one"

/* Accepts no more connections; the daemon ends when the open ones have ended, or their time is
   over. */
void daemon_drain(struct daemon *d);
/* Tells the service manager that we serve, with a line that says what. */
void daemon_tell_ready(const struct daemon *d);

/* ---- reload.c ---- */

/* Reads the file and all that it names, and compiles it. NULL and a line in err (ERR_LEN). Any
   thread. */
struct policy *reload_read(const char *path, char *err);
/* The same, and a terminal at stderr shows how far it is. */
struct policy *reload_read_shown(const char *path, char *err);

int reload_open(struct daemon *d);   /* 0 or -errno */
void reload_close(struct daemon *d); /* waits for a load that is running */

/* Someone who waits for a load. It belongs to the caller, and is in use until done() or
   reload_forget(). */
struct reload_waiter {
	void (*done)(struct reload_waiter *w, bool ok, const char *text);
	TAILQ_ENTRY(reload_waiter) link;
	struct waiters *list; /* the list that it is in; NULL: none */
};

/*
 * Reads everything again, on a thread of its own, and puts it in force; the log says how it went.
 * w->done (w may be NULL) is called later, on the main thread, when a policy read after this call
 * is in force, or with a line that says why the old one stays. One load runs at a time; all who ask
 * while one runs share the next.
 */
void reload_ask(struct daemon *d, struct reload_waiter *w);
void reload_forget(struct reload_waiter *w);
enum control_result reload_verb(struct daemon *d, struct control_call *call);

/* Gives p to everybody and takes over the caller's reference. p is already in force in the
   kernel. */
void reload_set_policy(struct daemon *d, struct policy *p);

/* ---- changes.c: entries made at run time ---- */

int changes_open(struct daemon *d, char *err); /* reads the saved entries; 0 or -errno and a line */
void changes_close(struct daemon *d);
/* Reads again the entries that the old process has saved meanwhile. 0, or -errno and a line. */
int changes_catch_up(struct daemon *d, char *err);
/* p with the current changes in place of its own, as a new reference; NULL and a line in err. */
struct policy *changes_added(const struct daemon *d, const struct policy *p, char *err);
enum control_result changes_verb_allow(struct daemon *d, struct control_call *call);
enum control_result changes_verb_deny(struct daemon *d, struct control_call *call);
enum control_result changes_verb_revoke(struct daemon *d, struct control_call *call);
enum control_result changes_verb_list(struct daemon *d, struct control_call *call);

/* ---- snapshot.c ---- */

void snapshot_stats(struct daemon *d, struct stats *s);
void snapshot_status(const struct daemon *d, struct status *s);
/* The hits of the policy's rules. Returns how many there are; *out is an array to be freed, or
   NULL. */
size_t snapshot_rules(const struct daemon *d, struct rule_hits **out);
/* A metrics_writer; arg is the struct daemon. */
void snapshot_metrics(void *arg, struct evbuffer *out);

/* ---- verbs.c ---- */

/* The control socket's handler; arg is the struct daemon. */
enum control_result verbs_request(void *arg, struct control_call *call);

#endif
