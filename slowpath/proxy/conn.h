/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection, from accept to its line in the access log. One owner (its place), one exit:
 * conn_close() in conn.c, after which nobody touches it.
 */
#ifndef SLUICE_SLOWPATH_PROXY_CONN_H
#define SLUICE_SLOWPATH_PROXY_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct conn;
struct place;
struct poll_item;

/* Takes over the accepted socket; may end the connection at once. */
void conn_accept(struct place *p, int fd, const struct sockaddr *client);
/* The poll_fn of the place's poller: a socket of a connection has news. */
void conn_poll(struct poll_item *item, uint32_t events);
/* The kernel program has news of this connection. */
void conn_event(struct conn *c, int side);
/* There is no more time. Passes on what has come by now; a stream that has ended ends in the same
   way, one that has not is reset. A denial may be answered only at a second call. */
void conn_stop(struct conn *c);
/* To be called before the place gets another policy, and after it: the second looks up the client's
   group again. Both may end the connection. */
void conn_policy_ends(struct conn *c);
void conn_policy_changed(struct conn *c);

#endif
