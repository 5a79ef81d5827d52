// SPDX-License-Identifier: GPL-2.0-or-later
// An epoll of its own for the sockets of connections; to libevent it is one descriptor.
#include "slowpath/poll.h"

#include <errno.h>
#include <unistd.h>

/* Whoever is told may close sockets whose events are further down in the batch. */
static void on_events(evutil_socket_t fd, short what, void *arg)
{
	struct poller *p = arg;

	(void)what;
	p->n = epoll_wait(fd, p->batch, POLL_BATCH, 0);
	for (p->at = 0; p->at < p->n;) {
		struct epoll_event *e = &p->batch[p->at++];

		if (e->data.ptr)
			p->fn(e->data.ptr, e->events);
	}
	p->n = 0;
}

int poller_open(struct poller *p, struct event_base *base, poll_fn *fn)
{
	p->fn = fn;
	p->at = p->n = 0;
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
	p->event = NULL;
	p->fd = -1;
}

int poll_watch(struct poller *p, struct poll_item *item, int fd, uint32_t events)
{
	struct epoll_event e = { .events = events | EPOLLET, .data.ptr = item };

	if (epoll_ctl(p->fd, item->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e) != 0)
		return -errno;
	item->watched = events;
	return 0;
}

void poll_closed(struct poller *p, struct poll_item *item)
{
	item->watched = 0;
	for (int i = p->at; i < p->n; i++)
		if (p->batch[i].data.ptr == item)
			p->batch[i].data.ptr = NULL;
}
