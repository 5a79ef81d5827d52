/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Carries the bytes of a connection from one socket to the other, in user space, and has them
 * judged on the way. It changes the lanes and the judge, and nothing else of the connection: what
 * follows from what it met is a word to its caller.
 */
#ifndef SLUICE_SLOWPATH_PROXY_PUMP_H
#define SLUICE_SLOWPATH_PROXY_PUMP_H

#include "slowpath/proxy/connection.h"

enum pump_word {
	PUMP_GOES_ON, /* all is done that can be done now; an event or its turn will go on */
	PUMP_NAMED,   /* c->judge has a later name: ask the policy; pump_clear() if it is allowed */
	PUMP_BAD,     /* c->judge has found something bad */
	PUMP_HEARD,  /* the server's words decide on what the client has said: pump_judge(), then on
		      */
	PUMP_SETTLE, /* nothing is left to judge, and it is worth the kernel's while: promote it */
	PUMP_PLACE,  /* a denial of an open connection has its place here: answer it */
	PUMP_ENDED,  /* both directions have ended, or the last words of a dying upstream are out */
	PUMP_FAILED, /* a socket failed: c->broken, c->error */
};

/* Carries what can be carried from `side`. To be called again after any word but PUMP_GOES_ON, as
   long as the connection is there. A turn of the loop begins with c->rounds = 0. */
enum pump_word pump(struct conn *c, int side);
/* Whether something waits for room in the other socket. */
bool pump_pending(const struct conn *c, int side);
/* Judges what is held of the client's: PUMP_GOES_ON, PUMP_NAMED or PUMP_BAD. */
enum pump_word pump_judge(struct conn *c);
/* Judges and moves the client's bytes before there is an upstream: fills lane[SIDE_CLIENT]. */
enum judge_word pump_first(struct conn *c, bool *ended);
/* What user space has judged of lane[SIDE_CLIENT] is allowed now. */
void pump_clear(struct conn *c);
/* Looks again in a millisecond. */
void pump_retry(struct conn *c);
/* SO_ERROR, which is gone then: 0 or an errno. */
int pump_socket_error(const struct conn *c, int side);
void pump_free(struct conn *c);

#endif
