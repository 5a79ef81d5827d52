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

/* Takes the accepted socket over; may end it at once. */
void conn_accept(struct place *p, int fd, const struct sockaddr *client);
/* A socket of it has news: poll_fn for the place's poller. */
void conn_poll(struct poll_item *item, uint32_t events);
/* The kernel program has news of this connection. */
void conn_event(struct conn *c, int side);
/* No more time. What has come by now is passed on, and a stream that has ended ends as it did; one
   that has not is reset. It may take a second call for a denial to be answered. */
void conn_stop(struct conn *c);
/* The place will have another policy, and has it: the client's group is asked for again. Both may
   end the connection. */
void conn_policy_ends(struct conn *c);
void conn_policy_changed(struct conn *c);

#endif
