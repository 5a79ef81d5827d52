/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Watches the sockets of connections: epoll(7), edge-triggered, within a worker's libevent loop.
 * libevent's own events do not show that a socket has failed (a reset looks like something to read,
 * and recv() may return bytes and keep the error), and they cost a system call to take out a socket
 * that is about to be closed.
 *
 * A closed socket is normally gone from an epoll, but not while somebody else holds it open, as a
 * process that reads /proc/PID/fdinfo does for a moment. So an event does not carry a pointer: it
 * carries a place in a table, and which of the sockets that had this place it is about.
 */
#ifndef SLUICE_SLOWPATH_PROXY_POLL_H
#define SLUICE_SLOWPATH_PROXY_POLL_H

#include <event2/event.h>
#include <stdint.h>
#include <sys/epoll.h>

#define POLL_BATCH 128

/* One socket, a member of its owner. Zeroed before it is first used. */
struct poll_item {
	void *owner;
	int side;	  /* the owner's word for which of its sockets it is */
	uint32_t watched; /* EPOLL*; 0: not watched */
	uint32_t place;	  /* while it is watched */
};

struct poll_place {
	struct poll_item *item; /* NULL: free */
	uint32_t incarnation;	/* counts the sockets that had it */
	uint32_t next;		/* the next free place */
};

typedef void poll_fn(struct poll_item *item, uint32_t events);

struct poller {
	int fd;
	struct event *event;
	poll_fn *fn;
	struct poll_place *places;
	uint32_t n_places, free; /* free: the first, or n_places */
	struct epoll_event batch[POLL_BATCH];
};

/* 0 or -errno. fn is called with what happened; EPOLLERR and EPOLLHUP come unasked. */
int poller_open(struct poller *p, struct event_base *base, poll_fn *fn);
void poller_close(struct poller *p);

/* From now on fn is called for `events` of fd, once for each change. 0 or -errno (a first watch
   only). */
int poll_watch(struct poller *p, struct poll_item *item, int fd, uint32_t events);
/* The socket was closed: fn is not called for it any more. */
void poll_closed(struct poller *p, struct poll_item *item);

#endif
