// SPDX-License-Identifier: GPL-2.0-or-later
// Whatever netlink has to tell, the answer is to read all addresses again: so it does not matter
// which message was lost, came twice or in what order. What is read is collected beside the set
// in force and takes its place when it is whole.
#include "slowpath/own.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"

#define MESSAGES_LEN 65536
#define RETRY_MS 1000	/* after the kernel could not answer */
#define START_S 10	/* for it to answer at start */
#define READS 64	/* in one go, then the loop has its turn */

struct list {
	uint8_t (*at)[16];
	size_t n, room;
};

static struct {
	pthread_rwlock_t lock;
	struct list now;     /* sorted; under the lock */
	struct list next;    /* being read */
	int fd;
	struct event *news, *retry;
	bool reading;	     /* the kernel was asked */
	bool again;	     /* and what it says is out of date */
	bool whole;	     /* some answer was complete */
	uint32_t serial;     /* of the question */
	uint8_t messages[MESSAGES_LEN] __attribute__((aligned(NLMSG_ALIGNTO)));
} own = { .lock = PTHREAD_RWLOCK_INITIALIZER, .fd = -1 };

/* ---- the set ---- */

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

bool own_has(const uint8_t addr[16])
{
	bool found;

	pthread_rwlock_rdlock(&own.lock);
	found = own.now.n && bsearch(addr, own.now.at, own.now.n, 16, compare);
	pthread_rwlock_unlock(&own.lock);
	return found;
}

static void put_in_force(void)
{
	struct list old;

	if (own.next.n)
		qsort(own.next.at, own.next.n, 16, compare);
	pthread_rwlock_wrlock(&own.lock);
	old = own.now;
	own.now = own.next;
	pthread_rwlock_unlock(&own.lock);
	own.next = (struct list){ 0 };
	own.whole = true;
	free(old.at);
}

static int collect(const uint8_t addr[16])
{
	if (own.next.n == own.next.room) {
		size_t room = own.next.room ? own.next.room * 2 : 64;
		void *grown = reallocarray(own.next.at, room, 16);

		if (!grown)
			return -ENOMEM;
		own.next.at = grown;
		own.next.room = room;
	}
	memcpy(own.next.at[own.next.n++], addr, 16);
	return 0;
}

/* ---- netlink ---- */

static int take_address(const struct nlmsghdr *h)
{
	const struct ifaddrmsg *m = NLMSG_DATA(h);
	size_t size = m->ifa_family == AF_INET ? 4 : 16;
	uint8_t addr[16] = { [10] = 0xff, [11] = 0xff };
	const struct rtattr *a = IFA_RTA(m);
	long left = (long)IFA_PAYLOAD(h);
	bool found = false;

	if (m->ifa_family != AF_INET && m->ifa_family != AF_INET6)
		return 0;
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if ((a->rta_type != IFA_LOCAL && a->rta_type != IFA_ADDRESS) ||
		    RTA_PAYLOAD(a) != size)
			continue;
		memcpy(addr + 16 - size, RTA_DATA(a), size);
		found = true;
		if (a->rta_type == IFA_LOCAL) /* IFA_ADDRESS is the other end then */
			break;
	}
	return found ? collect(addr) : 0;
}

static int ask(void)
{
	struct {
		struct nlmsghdr h;
		struct ifaddrmsg m;
	} question = { .h = { .nlmsg_len = sizeof(question),
			      .nlmsg_type = RTM_GETADDR,
			      .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			      .nlmsg_seq = ++own.serial } };

	own.next.n = 0;
	own.again = false;
	own.reading = send(own.fd, &question, sizeof(question), 0) == sizeof(question);
	return own.reading ? 0 : -errno;
}

/* The answer has come to its end. */
static int finish(void)
{
	own.reading = false;
	if (own.again)
		return ask();
	put_in_force();
	return 0;
}

/* A change: what is being read, or is in force, is out of date. */
static int changed(void)
{
	if (!own.reading)
		return ask();
	own.again = true;
	return 0;
}

static int take_message(const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = NLMSG_DATA(h);

	if (!own.reading || h->nlmsg_seq != own.serial)
		return 0;
	own.again |= (h->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
	if (h->nlmsg_type == NLMSG_DONE)
		return finish();
	if (h->nlmsg_type == NLMSG_ERROR)
		return e->error ? e->error : -EPROTO;
	return h->nlmsg_type == RTM_NEWADDR ? take_address(h) : 0;
}

/* One datagram. -EAGAIN: there is none. */
static int receive(void)
{
	struct sockaddr_nl from = { .nl_pid = 1 };
	socklen_t from_len = sizeof(from);
	const struct nlmsghdr *h = (const void *)own.messages;
	ssize_t n = recvfrom(own.fd, own.messages, sizeof(own.messages), 0,
			     (struct sockaddr *)&from, &from_len);
	unsigned len = n > 0 ? (unsigned)n : 0;
	int r = 0;

	if (n < 0 && errno == ENOBUFS) /* news was lost; an answer waits for room, and is not */
		return changed();
	if (n < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	if (from.nl_pid != 0) /* not the kernel */
		return 0;
	if (from.nl_groups != 0)
		return changed();
	for (; !r && NLMSG_OK(h, len); h = NLMSG_NEXT(h, len))
		r = take_message(h);
	return r;
}

/* ---- on the loop ---- */

static void try_later(int error)
{
	log_warn("cannot read this machine's addresses: %s; what is known stays", strerror(-error));
	own.reading = false;
	event_add(own.retry, &(struct timeval){ .tv_sec = RETRY_MS / 1000 });
}

static void on_news(evutil_socket_t fd, short what, void *arg)
{
	int r = 0;

	(void)fd;
	(void)what;
	(void)arg;
	for (int i = 0; i < READS && !r; i++)
		r = receive();
	if (r && r != -EAGAIN && r != -EINTR)
		try_later(r);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	int r = own.reading ? 0 : ask();

	(void)fd;
	(void)what;
	(void)arg;
	if (r)
		try_later(r);
}

/* ---- start and end ---- */

static int open_socket(void)
{
	struct sockaddr_nl us = { .nl_family = AF_NETLINK,
				  .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR };
	struct timeval limit = { .tv_sec = START_S };

	own.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (own.fd < 0 || bind(own.fd, (struct sockaddr *)&us, sizeof(us)) != 0 ||
	    setsockopt(own.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0)
		return -errno;
	return 0;
}

/* Blocking, until the first answer is whole. */
static int read_all(void)
{
	int r = ask();

	while (!r && !own.whole)
		r = receive();
	return r ?: evutil_make_socket_nonblocking(own.fd);
}

int own_open(struct event_base *base, char *err, size_t err_len)
{
	int r = open_socket() ?: read_all();

	if (!r) {
		own.news = event_new(base, own.fd, EV_READ | EV_PERSIST, on_news, NULL);
		own.retry = event_new(base, -1, 0, on_retry, NULL);
		if (!own.news || !own.retry || event_add(own.news, NULL) != 0)
			r = -ENOMEM;
	}
	if (!r)
		return 0;
	snprintf(err, err_len, "cannot read this machine's addresses: %s", strerror(-r));
	own_close();
	return r;
}

void own_close(void)
{
	if (own.news)
		event_free(own.news);
	if (own.retry)
		event_free(own.retry);
	if (own.fd >= 0)
		close(own.fd);
	free(own.next.at);
	own.next = (struct list){ 0 };
	put_in_force();
	own.news = own.retry = NULL;
	own.fd = -1;
	own.reading = own.whole = false;
}
