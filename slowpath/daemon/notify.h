/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What we tell a service manager, and what it passes to us: sd_notify(3), sd_listen_fds(3). Without
 * a manager, and in a build without libsystemd (notify_none.c), nothing happens.
 */
#ifndef SLUICE_SLOWPATH_DAEMON_NOTIFY_H
#define SLUICE_SLOWPATH_DAEMON_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slowpath/proxy/listen.h"

/* Whether a manager listens. */
bool notify_present(void);
/* The sockets that were passed to this process. Call it once, before anything is opened, because
   only their numbers are known. 0, or -errno and a line in err. */
int notify_passed(struct passed *out, char *err, size_t err_len);

void notify_ready(const char *status);
void notify_reloading(void);
void notify_stopping(const char *status);
void notify_alive(void);
/* How long the manager waits for notify_alive(), or 0. */
uint64_t notify_watchdog_usec(void);

/* Gives the manager these listening sockets to keep for the next process; forget: it first drops
   those that it has. A manager that keeps none closes them. */
void notify_store(const int *fds, size_t n, bool forget);

#endif
