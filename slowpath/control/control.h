/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket: a UNIX stream, mode 0660. One request a connection, one line:
 *     VERB [ARGUMENT...] NEWLINE        with "-j" as first word for JSON
 * answered by "ok\n" and the text, or "error\n" and one line that says why. Anything longer
 * than CONTROL_LINE, not printable ASCII, or slower than a few seconds is answered with an
 * error or cut off; none of it can hold up the daemon: clients are served by events, and at
 * most CONTROL_CLIENTS at a time.
 *
 * A verb may answer later, or go on answering: CONTROL_KEPT of the clients may wait or stream,
 * and CONTROL_STREAMS of these may stream, so that the others are always served. Such a client has
 * no deadline. A stream has a buffer of CONTROL_STREAM_BYTES; what finds no room there is
 * dropped, and as soon as the client reads on, it is told how many events it has lost.
 *
 * All of it belongs to the thread of the event base.
 */
#ifndef SLUICE_SLOWPATH_CONTROL_CONTROL_H
#define SLUICE_SLOWPATH_CONTROL_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct event_base;
struct evbuffer;
struct control;
struct control_client;

#define CONTROL_LINE 1024
#define CONTROL_CLIENTS 32
#define CONTROL_WORDS 12
#define CONTROL_KEPT 16
#define CONTROL_STREAMS 8
#define CONTROL_STREAM_BYTES (256 * 1024)

struct control_call {
	int argc;
	char **argv; /* argv[0] is the verb; all of it is gone when the handler returns */
	bool json;
	uid_t uid;		       /* the client's, by SO_PEERCRED; (uid_t)-1 if unknown */
	struct evbuffer *out;	       /* borrowed; not to be kept */
	struct control_client *client; /* to be kept only with control_wait(), control_stream() */
};

enum control_result {
	CONTROL_OK,	/* the text is in `out` */
	CONTROL_ERROR,	/* one line, without newline, is in `out`: why not */
	CONTROL_LATER,	/* after control_wait(): control_finish() will answer */
	CONTROL_STREAM, /* after control_stream(): `out`, then what control_write() is given */
};

typedef enum control_result (*control_handler)(void *arg, struct control_call *call);

/* The client has hung up or the socket is being closed: call->client is gone. Not called any more
   after control_finish(). */
typedef void (*control_gone)(void *arg);

/*
 * For a handler that will return CONTROL_LATER or CONTROL_STREAM. gone must not be NULL. false: too
 * many clients wait or stream already, and call->out has a line that says so: return CONTROL_ERROR.
 */
bool control_wait(struct control_call *call, control_gone gone, void *arg);
bool control_stream(struct control_call *call, control_gone gone, void *arg);

/* Answers a client that waits; text is what the handler would leave in `out`. The client is not the
   caller's any more. Not to be called from within the handler. */
void control_finish(struct control_client *client, bool ok, const char *text);

/* Writes one event of a stream, with its newline, or nothing of it. Never waits, never ends the
   client. Not to be called from within the handler. */
void control_write(struct control_client *client, const char *text, size_t len);
/* Adds to the count of lost events those that were lost on their way here. */
void control_lost(struct control_client *client, uint64_t events);

/* The client's socket, for use within the handler: to ask about the client and to send ahead of the
   answer, never to close. */
int control_socket(const struct control_client *client);

/* 0 or -errno. A stale socket file is replaced, a live one (another daemon) is -EADDRINUSE. */
int control_open(struct control **out, struct event_base *base, const char *path,
		 control_handler fn, void *arg);
/* Puts the socket in the place of whatever is at `path`, in one step. 0 or -errno. */
int control_move(struct control *c, const char *path);
void control_close(struct control *c); /* unlinks the socket; NULL is fine */

#endif
