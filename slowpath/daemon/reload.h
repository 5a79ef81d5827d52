/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the file to a policy in force, at start and again whenever it is asked for. Main thread,
 * unless it says otherwise.
 */
#ifndef SLUICE_SLOWPATH_DAEMON_RELOAD_H
#define SLUICE_SLOWPATH_DAEMON_RELOAD_H

#include <stdbool.h>
#include <sys/queue.h>

#include "slowpath/control/control.h"

struct daemon;
struct policy;
struct waiters;

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

#endif
