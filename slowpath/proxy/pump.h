/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Carries the bytes of a connection from one socket to the other, in user space, and has them
 * judged on the way. It changes the lanes and the judge, and nothing else of the connection: it
 * returns a word for what it met, and its caller does what follows from that.
 */
#ifndef SLUICE_SLOWPATH_PROXY_PUMP_H
#define SLUICE_SLOWPATH_PROXY_PUMP_H

#include "slowpath/proxy/connection.h"

enum pump_word {
	PUMP_GOES_ON, /* all is done that can be done now; it goes on at an event or in its turn */
	PUMP_NAMED,   /* c->judge has a later name: ask the policy; pump_clear() if it is allowed */
	PUMP_BAD,     /* c->judge has found something bad */
	PUMP_HEARD,   /* what the server sent decides on held bytes of the client: pump_judge() */
	PUMP_SETTLE,  /* nothing is left to judge, and it is worth the kernel's while: promote it */
	PUMP_PLACE,   /* here a denial of an open connection can be answered: answer it */
	PUMP_ENDED,  /* both directions have ended, or the last bytes of a dying upstream are out */
	PUMP_FAILED, /* a socket failed: c->broken, c->error */
};

/* Carries what can be carried from `side`. To be called again after any word but PUMP_GOES_ON, as
   long as the connection is there. A turn of the loop begins with c->rounds = 0. */
enum pump_word pump(struct conn *c, int side);
/* Whether something waits for room in the other socket. */
bool pump_pending(const struct conn *c, int side);
/* Judges the client's bytes that are held: PUMP_GOES_ON, PUMP_NAMED or PUMP_BAD. */
enum pump_word pump_judge(struct conn *c);
/* Judges and moves the client's bytes before there is an upstream: fills lane[SIDE_CLIENT]. */
enum judge_word pump_first(struct conn *c, bool *ended);
/* Clears what user space has judged of lane[SIDE_CLIENT]: it is allowed. */
void pump_clear(struct conn *c);
/* Looks again in a millisecond. */
void pump_retry(struct conn *c);
/* Reads SO_ERROR, which clears it: 0 or an errno. */
int pump_socket_error(const struct conn *c, int side);
void pump_free(struct conn *c);

#endif
