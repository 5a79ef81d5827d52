/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hands over from one sluiced to the next, without a moment in which nobody listens. The new
 * process asks on the control socket of the running one, twice:
 *
 *   "handover 1"     gets a "+" with each piece of the listening sockets (SCM_RIGHTS), and then
 *                    the answer of any verb: "ok\nhandover 1 COUNT\n". Nothing has changed for
 *                    the running one.
 *   "handed-over 1"  is sent when the new one accepts: the running one ends as after SIGTERM.
 *
 * The 1 is the version of this protocol. A daemon that does not speak it refuses, and nothing has
 * happened. Only root and the daemon's own user get an answer.
 */
#ifndef SLUICE_SLOWPATH_DAEMON_HANDOVER_H
#define SLUICE_SLOWPATH_DAEMON_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>

#include "slowpath/proxy/listen.h"

#define HANDOVER_VERSION "1"

/* ---- the new one; 0, or -errno and a line in err ---- */

int handover_ask(const char *control, struct passed *out, char *err, size_t err_len);
/* A connection for sending the second request, opened early, because by the time of the request the
   path leads to us. Or -errno. */
int handover_connect(const char *control, char *err, size_t err_len);
/* Waits for the answer; closes fd. */
int handover_done(int fd, char *err, size_t err_len);
/* For a process that does not answer. handover_process(): the process at the other end of fd, as a
   pidfd, or -errno; to be called while it is certain to be that process. handover_terminate(): ends
   it with SIGTERM and closes the pidfd. */
int handover_process(int fd);
int handover_terminate(int pidfd);

/* ---- the running one; client: the control socket's connection ---- */

/* NULL, or why this client gets nothing; *pid is the client's. */
const char *handover_refusal(int client, const char *version, int *pid);
int handover_send(int client, const int *fds, size_t n); /* 0 or -errno */

#endif
