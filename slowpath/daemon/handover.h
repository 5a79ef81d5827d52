/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From one sluiced to the next, without a moment in which nobody listens. The new process asks
 * on the control socket of the running one, twice:
 *
 *   "handover 1"     gets a "+" with each piece of the listening sockets (SCM_RIGHTS), and then
 *                    the answer of any verb: "ok\nhandover 1 COUNT\n". Nothing has changed for
 *                    the running one.
 *   "handed-over 1"  is said when the new one accepts: the running one ends as after SIGTERM.
 *
 * The 1 is the version of this protocol; who does not speak it refuses, and nothing has
 * happened. Only root and the daemon's own user are answered.
 */
#ifndef SLUICE_SLOWPATH_DAEMON_HANDOVER_H
#define SLUICE_SLOWPATH_DAEMON_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>

#include "slowpath/proxy/listen.h"

#define HANDOVER_VERSION "1"

/* ---- the new one; 0, or -errno and a line in err ---- */

int handover_ask(const char *control, struct passed *out, char *err, size_t err_len);
/* A connection to say the second word on: the way is ours by the time it is said. Or -errno. */
int handover_connect(const char *control, char *err, size_t err_len);
/* Waits for the answer; closes fd. */
int handover_done(int fd, char *err, size_t err_len);
/* For one that does not give it: the process at the other end of fd, as a pidfd or -errno, to be
   asked for while it is known to be that one; and its end, as by SIGTERM, which closes the pidfd.
 */
int handover_process(int fd);
int handover_terminate(int pidfd);

/* ---- the running one; client: the control socket's connection ---- */

/* NULL, or why this client gets nothing; *pid is his. */
const char *handover_refusal(int client, const char *version, int *pid);
int handover_send(int client, const int *fds, size_t n); /* 0 or -errno */

#endif
