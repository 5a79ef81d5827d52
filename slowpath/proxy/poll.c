// SPDX-License-Identifier: GPL-2.0-or-later
// An epoll of its own for the sockets of connections; to libevent it is one descriptor.
#include "slowpath/proxy/poll.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#define PLACES 64 /* at first */

/* ---- places ---- */

static int grow(struct poller *p)
{
	uint32_t n = p->n_places ? p->n_places * 2 : PLACES;
	struct poll_place *grown = reallocarray(p->places, n, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	for (uint32_t i = p->n_places; i < n; i++)
		grown[i] = (struct poll_place){ .next = i + 1 };
	p->places = grown;
	p->n_places = n;
	return 0;
}

static int take_place(struct poller *p, struct poll_item *item)
{
	if (p->free == p->n_places && grow(p) != 0)
		return -ENOMEM;
	item->place = p->free;
	p->free = p->places[item->place].next;
	p->places[item->place].item = item;
	return 0;
}

/* The last free place points to n_places as it was when the table grew last: that is where the
   places begin that are added next. */
static void leave_place(struct poller *p, const struct poll_item *item)
{
	struct poll_place *at = &p->places[item->place];

	at->item = NULL;
	at->incarnation++;
	at->next = p->free;
	p->free = item->place;
}

static uint64_t word(const struct poller *p, const struct poll_item *item)
{
	return (uint64_t)p->places[item->place].incarnation << 32 | item->place;
}

/* The socket that an event is about; NULL: it is gone. */
static struct poll_item *told(const struct poller *p, uint64_t word)
{
	const struct poll_place *at = &p->places[(uint32_t)word];

	return at->incarnation == word >> 32 ? at->item : NULL;
}

/* p->fn may close sockets whose events are further down in the batch. */
static void on_events(evutil_socket_t fd, short what, void *arg)
{
	struct poller *p = arg;
	int n = epoll_wait(fd, p->batch, POLL_BATCH, 0);

	(void)what;
	for (int i = 0; i < n; i++) {
		struct poll_item *item = told(p, p->batch[i].data.u64);

		if (item)
			p->fn(item, p->batch[i].events);
	}
}

int poller_open(struct poller *p, struct event_base *base, poll_fn *fn)
{
	p->fn = fn;
	p->places = NULL;
	p->n_places = p->free = 0;
	p->event = NULL;
	p->fd = epoll_create1(EPOLL_CLOEXEC);
	if (p->fd < 0)
		return -errno;
	p->event = event_new(base, p->fd, EV_READ | EV_PERSIST, on_events, p);
	return p->event && event_add(p->event, NULL) == 0 ? 0 : -ENOMEM;
}

void poller_close(struct poller *p)
{
	if (p->event)
		event_free(p->event);
	if (p->fd >= 0)
		close(p->fd);
	free(p->places);
	p->places = NULL;
	p->event = NULL;
	p->fd = -1;
}

int poll_watch(struct poller *p, struct poll_item *item, int fd, uint32_t events)
{
	struct epoll_event e = { .events = events | EPOLLET };
	bool first = !item->watched;

	if (first && take_place(p, item) != 0)
		return -ENOMEM;
	e.data.u64 = word(p, item);
	if (epoll_ctl(p->fd, first ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &e) != 0) {
		int err = -errno;

		if (first)
			leave_place(p, item);
		return err;
	}
	item->watched = events;
	return 0;
}

void poll_closed(struct poller *p, struct poll_item *item)
{
	if (item->watched)
		leave_place(p, item);
	item->watched = 0;
}
