// SPDX-License-Identifier: GPL-2.0-or-later
// The server.
#include "tests/bench/load/load.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
	BUFFER = 1024, // a hello and a record; nobody has more than a few records under way
	BACKLOG = 4096,
};

struct peer {
	int fd;
	enum order order; // what it does with bulk
	struct bulk bulk;
	struct peer *next; // of those that send at a rate
	size_t have;	   // bytes read and not yet judged
	uint8_t in[BUFFER];
};

static struct {
	int epoll;
	struct peer *paced;
	_Atomic uint64_t *counter;
} s;

static void count(ssize_t bytes)
{
	atomic_fetch_add_explicit(s.counter, (uint64_t)bytes, memory_order_relaxed);
}

static void accept_peer(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	struct peer *p = allocate(1, sizeof *p);
	p->fd = fd;
	watch(s.epoll, EPOLL_CTL_ADD, fd, EPOLLIN, p);
}

static void unpace(struct peer *p)
{
	for (struct peer **at = &s.paced; *at; at = &(*at)->next) {
		if (*at == p) {
			*at = p->next;
			return;
		}
	}
}

static void close_peer(struct peer *p)
{
	unpace(p);
	close(p->fd);
	free(p);
}

static void obey(struct peer *p, enum order order, uint64_t rate)
{
	p->order = order;
	p->bulk = (struct bulk){ .began = now_ns(), .rate = rate };
	if (order != SEND_BULK)
		return;
	if (rate) {
		p->next = s.paced;
		s.paced = p;
	} else {
		watch(s.epoll, EPOLL_CTL_MOD, p->fd, EPOLLIN | EPOLLOUT, p);
	}
}

/* The answer to one record, and its size: 0 for none. */
static size_t answer(struct peer *p, const uint8_t *record, size_t size, uint8_t *out)
{
	uint64_t rate = 0;
	enum order order = record[0] == RECORD_APPLICATION ? read_order(record, size, &rate) :
							     NO_ORDER;
	if (order != NO_ORDER) {
		obey(p, order, rate);
		return 0;
	}
	if (record[0] == RECORD_APPLICATION) {
		memcpy(out, record, size);
		return size;
	}
	if (!hello_wants_answer(record, size))
		return 0;
	make_record(out, RECORD_HANDSHAKE, 0, 0);
	return RECORD;
}

/* Answers the whole records; false if something is no record or cannot be sent. */
static bool judge(struct peer *p)
{
	uint8_t out[2 * BUFFER];
	size_t at = 0, owed = 0;
	while (p->have - at >= TLS_HEAD && p->order != TAKE_BULK) {
		const uint8_t *r = p->in + at;
		size_t size = TLS_HEAD + (size_t)(r[3] << 8 | r[4]);
		if ((r[0] != RECORD_HANDSHAKE && r[0] != RECORD_APPLICATION) || size > BUFFER)
			return false;
		if (p->have - at < size)
			break;
		owed += answer(p, r, size, out + owed);
		at += size;
	}
	p->have -= at;
	memmove(p->in, p->in + at, p->have);
	return !owed || send(p->fd, out, owed, MSG_NOSIGNAL) == (ssize_t)owed;
}

/* What came behind the order is bulk already. */
static bool take(struct peer *p)
{
	count((ssize_t)p->have);
	p->have = 0;
	ssize_t n = bulk_take(&p->bulk, p->fd);
	if (n > 0)
		count(n);
	return n > 0 || n == -2;
}

static bool pour(struct peer *p, uint64_t now)
{
	ssize_t n = bulk_send(&p->bulk, p->fd, now);
	if (n > 0)
		count(n);
	return n >= 0;
}

/* False at the end of the connection. */
static bool serve_peer(struct peer *p, uint32_t events)
{
	if (p->order == TAKE_BULK)
		return take(p);
	if (events & ~(uint32_t)EPOLLOUT) {
		ssize_t n = recv(p->fd, p->in + p->have, sizeof p->in - p->have, 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n <= 0)
			return false;
		p->have += (size_t)n;
		if (!judge(p) || p->order == STOP_BULK)
			return false;
	}
	return !(events & EPOLLOUT) || p->order != SEND_BULK || pour(p, now_ns());
}

static void pour_paced(void)
{
	uint64_t now = now_ns();
	for (struct peer *p = s.paced, *next; p; p = next) {
		next = p->next;
		if (!pour(p, now))
			unpace(p); // its end is an event, too
	}
}

static int listen_at(const char *address, int port)
{
	struct sockaddr_storage to;
	socklen_t size = address_of(address, port, &to);
	int listener = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listener < 0)
		die("socket");
	set_option(listener, SOL_SOCKET, SO_REUSEADDR, 1);
	if (bind(listener, (struct sockaddr *)&to, size) || listen(listener, BACKLOG))
		die("listen");
	return listener;
}

void serve(const char *address, int port, _Atomic uint64_t *counter)
{
	int listener = listen_at(address, port);
	s.counter = counter;
	s.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s.epoll < 0)
		die("epoll");
	watch(s.epoll, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
	for (;;) {
		struct epoll_event events[EVENTS];
		int n = epoll_wait(s.epoll, events, EVENTS, s.paced ? 1 : -1);
		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++) {
			struct peer *p = events[i].data.ptr;
			if (!p)
				accept_peer(listener);
			else if (!serve_peer(p, events[i].events))
				close_peer(p);
		}
		if (s.paced)
			pour_paced();
	}
}
