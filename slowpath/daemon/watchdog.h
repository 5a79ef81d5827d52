/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tells the service manager that we are alive, as often as it wants to hear it, but only while
 * every worker's loop turns. The main loop proves that it turns by running this.
 */
#ifndef SLUICE_SLOWPATH_DAEMON_WATCHDOG_H
#define SLUICE_SLOWPATH_DAEMON_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct watchdog;
struct worker;

/* Whether a loop that last turned at seen_ms has stood still for longer than limit_ms. */
bool watchdog_stuck(uint64_t now_ms, uint64_t seen_ms, uint64_t limit_ms);
/* How often a worker must show that it is alive (struct shared); 0 if nobody asks. */
unsigned watchdog_tick_ms(uint64_t usec);

/* Call it when the workers run. usec: how long the manager waits at most; if 0, *out is NULL. 0 or
   -errno. */
int watchdog_open(struct watchdog **out, struct event_base *base, struct worker *workers,
		  unsigned n_workers, uint64_t usec);
void watchdog_close(struct watchdog *w); /* NULL is fine */

#endif
