/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket: a UNIX stream, mode 0660. One request a connection, one line:
 *     VERB [ARGUMENT...] NEWLINE        with "-j" as first word for JSON
 * answered by "ok\n" and the text, or "error\n" and one line that says why. Anything longer
 * than CONTROL_LINE, not printable ASCII, or slower than a few seconds is answered with an
 * error or cut off; none of it can hold up the daemon: clients are served by events, and at
 * most CONTROL_CLIENTS at a time.
 */
#ifndef SLUICE_SLOWPATH_CONTROL_H
#define SLUICE_SLOWPATH_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct evbuffer;
struct control;

#define CONTROL_LINE 1024
#define CONTROL_CLIENTS 32
#define CONTROL_WORDS 8

/*
 * Called for each request, on the base's thread. argv[0] is the verb. Fills `out` and returns
 * true, or leaves one line (no newline) in `out` and returns false.
 */
typedef bool (*control_handler)(void *arg, int argc, char **argv, bool json, struct evbuffer *out);

/* 0 or -errno. A stale socket file is replaced, a live one (another daemon) is -EADDRINUSE. */
int control_open(struct control **out, struct event_base *base, const char *path,
		 control_handler fn, void *arg);
void control_close(struct control *c); /* unlinks the socket; NULL is fine */

#endif
