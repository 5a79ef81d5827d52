// SPDX-License-Identifier: GPL-2.0-or-later
// Whatever netlink reports, the answer is to read everything again, so it does not matter if
// messages were lost, came twice or came in another order. The new set is collected beside the one
// in force and replaces it when complete. A router may have a million routes that change all day,
// so the kernel is asked only for those that are ours, and news of others is ignored.
#include "slowpath/address/own.h"

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
#include "conf/conf.h"

#define MESSAGES_LEN 65536
#define RETRY_MS 1000 /* after the kernel could not answer */
#define START_S 10    /* time for it to answer at start */
#define READS 64      /* at a time, then the loop has its turn */

/* Addresses from first to last, both included. */
struct range {
	uint8_t first[16], last[16];
};

struct list {
	struct range *at;
	size_t n, room;
};

/* The questions, asked one after the other. Type: of the routes. */
static const struct question {
	uint16_t message;
	uint8_t type;
} questions[] = {
	{ RTM_GETADDR, 0 },
	{ RTM_GETROUTE, RTN_LOCAL },
	{ RTM_GETROUTE, RTN_ANYCAST },
};

#define QUESTIONS (sizeof(questions) / sizeof(questions[0]))

static struct {
	pthread_rwlock_t lock;
	struct list now;  /* sorted, none touches another; under the lock */
	struct list next; /* being read */
	int fd;
	struct event *news, *retry;
	bool reading;	 /* the kernel has been asked */
	unsigned asked;	 /* which of the questions it is answering */
	bool again;	 /* what it is answering is already out of date, so ask again */
	bool whole;	 /* at least one answer has been complete */
	uint32_t serial; /* of the current question */
	uint8_t messages[MESSAGES_LEN] __attribute__((aligned(NLMSG_ALIGNTO)));
} own = { .lock = PTHREAD_RWLOCK_INITIALIZER, .fd = -1 };

/* ---- the set ---- */

static int by_first(const void *a, const void *b)
{
	return memcmp(((const struct range *)a)->first, ((const struct range *)b)->first, 16);
}

/* The key is an address. */
static int against(const void *key, const void *element)
{
	const struct range *r = element;

	if (memcmp(key, r->first, 16) < 0)
		return -1;
	return memcmp(key, r->last, 16) > 0;
}

bool own_has(const uint8_t addr[16])
{
	bool found;

	pthread_rwlock_rdlock(&own.lock);
	found = own.now.n && bsearch(addr, own.now.at, own.now.n, sizeof(struct range), against);
	pthread_rwlock_unlock(&own.lock);
	return found;
}

/* Sorts the ranges and merges those that overlap. */
static void tidy(struct list *l)
{
	size_t n = 0;

	if (l->n == 0)
		return;
	qsort(l->at, l->n, sizeof(*l->at), by_first);
	for (size_t i = 1; i < l->n; i++) {
		struct range *last = &l->at[n];

		if (memcmp(l->at[i].first, last->last, 16) > 0)
			l->at[++n] = l->at[i];
		else if (memcmp(l->at[i].last, last->last, 16) > 0)
			memcpy(last->last, l->at[i].last, 16);
	}
	l->n = n + 1;
}

static void put_in_force(void)
{
	struct list old;

	tidy(&own.next);
	pthread_rwlock_wrlock(&own.lock);
	old = own.now;
	own.now = own.next;
	pthread_rwlock_unlock(&own.lock);
	own.next = (struct list){ 0 };
	own.whole = true;
	free(old.at);
}

/* Adds the addresses that share the first `bits` bits of addr. */
static int collect(const uint8_t addr[16], unsigned bits)
{
	uint8_t mask[16];
	struct range *r;

	memset(mask, 0xff, sizeof(mask));
	if (own.next.n == own.next.room) {
		size_t room = own.next.room ? own.next.room * 2 : 64;
		void *grown = reallocarray(own.next.at, room, sizeof(struct range));

		if (!grown)
			return -ENOMEM;
		own.next.at = grown;
		own.next.room = room;
	}
	r = &own.next.at[own.next.n++];
	cidr_mask(mask, bits);
	for (unsigned i = 0; i < 16; i++) {
		r->first[i] = addr[i] & mask[i];
		r->last[i] = addr[i] | (uint8_t)~mask[i];
	}
	return 0;
}

/* ---- netlink ---- */

static size_t size_of(unsigned family)
{
	return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
}

static void take_bytes(uint8_t out[16], const void *bytes, size_t size)
{
	if (size == 4)
		cidr_from_v4(out, bytes);
	else
		memcpy(out, bytes, 16);
}

static int take_address(const struct nlmsghdr *h)
{
	const struct ifaddrmsg *m = NLMSG_DATA(h);
	size_t size = size_of(m->ifa_family);
	uint8_t addr[16];
	const struct rtattr *a = IFA_RTA(m);
	long left = (long)IFA_PAYLOAD(h);
	bool found = false;

	if (!size)
		return 0;
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if ((a->rta_type != IFA_LOCAL && a->rta_type != IFA_ADDRESS) ||
		    RTA_PAYLOAD(a) != size)
			continue;
		take_bytes(addr, RTA_DATA(a), size);
		found = true;
		if (a->rta_type == IFA_LOCAL) /* IFA_ADDRESS is then the other end */
			break;
	}
	return found ? collect(addr, 128) : 0;
}

/*
 * True for routes that deliver to this machine. TCP cannot be sent to a broadcast route, so such
 * addresses are judged only by what they are in themselves. Older kernels report all routes,
 * whatever was asked.
 */
static bool is_ours(const struct rtmsg *m)
{
	return m->rtm_type == RTN_LOCAL || m->rtm_type == RTN_ANYCAST;
}

static int take_route(const struct nlmsghdr *h)
{
	const struct rtmsg *m = NLMSG_DATA(h);
	size_t size = size_of(m->rtm_family);
	uint8_t addr[16];
	const struct rtattr *a = RTM_RTA(m);
	long left = (long)RTM_PAYLOAD(h);

	if (!size || !is_ours(m) || m->rtm_dst_len == 0 || m->rtm_dst_len > size * 8)
		return 0;
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type != RTA_DST || RTA_PAYLOAD(a) != size)
			continue;
		take_bytes(addr, RTA_DATA(a), size);
		return collect(addr, (unsigned)(128 - size * 8) + m->rtm_dst_len);
	}
	return 0;
}

static int send_question(const struct question *q)
{
	struct {
		struct nlmsghdr h;
		struct rtmsg m; /* or ifaddrmsg, which is shorter and all zero here */
	} message = { .h = { .nlmsg_len = sizeof(message),
			     .nlmsg_type = q->message,
			     .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			     .nlmsg_seq = ++own.serial },
		      .m = { .rtm_type = q->type } };

	if (q->message == RTM_GETADDR)
		message.h.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg));
	own.reading = send(own.fd, &message, message.h.nlmsg_len, 0) == message.h.nlmsg_len;
	return own.reading ? 0 : -errno;
}

static int ask(void)
{
	own.next.n = 0;
	own.again = false;
	own.asked = 0;
	return send_question(&questions[0]);
}

/* The answer has ended; with an error, only part of it has come. */
static int finish(int error)
{
	own.reading = false;
	if (error)
		return error;
	if (own.again)
		return ask();
	if (++own.asked < QUESTIONS)
		return send_question(&questions[own.asked]);
	put_in_force();
	return 0;
}

/* Something changed: the set being read, or the one in force, is out of date. */
static int changed(void)
{
	if (!own.reading)
		return ask();
	own.again = true;
	return 0;
}

static bool is_route(const struct nlmsghdr *h)
{
	return h->nlmsg_type == RTM_NEWROUTE || h->nlmsg_type == RTM_DELROUTE;
}

/* A message that the kernel sends of its own accord. */
static int take_news(const struct nlmsghdr *h)
{
	return is_route(h) && !is_ours(NLMSG_DATA(h)) ? 0 : changed();
}

static int take_message(const struct nlmsghdr *h)
{
	const struct nlmsgerr *e =
		NLMSG_DATA(h); /* NLMSG_DONE has its error in the first word, too */

	if (!own.reading || h->nlmsg_seq != own.serial)
		return 0;
	own.again |= (h->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
	if (h->nlmsg_type == NLMSG_DONE)
		return finish(e->error);
	if (h->nlmsg_type == NLMSG_ERROR)
		return e->error ? e->error : -EPROTO;
	if (h->nlmsg_type == RTM_NEWROUTE)
		return take_route(h);
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

	if (n < 0 &&
	    errno == ENOBUFS) /* news was lost; an answer cannot be, because it waits for room */
		return changed();
	if (n < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	if (from.nl_pid != 0) /* not the kernel */
		return 0;
	for (; !r && NLMSG_OK(h, len); h = NLMSG_NEXT(h, len))
		r = from.nl_groups ? take_news(h) : take_message(h);
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
				  .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
					       RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE };
	struct timeval limit = { .tv_sec = START_S };
	int strict = 1;

	own.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (own.fd < 0 || bind(own.fd, (struct sockaddr *)&us, sizeof(us)) != 0 ||
	    setsockopt(own.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0)
		return -errno;
	/* With this option the kernel heeds the type that we ask for; without it, it reports all
	   routes, and we filter them. */
	setsockopt(own.fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &strict, sizeof(strict));
	return 0;
}

/* Blocks until the first answer is complete. */
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
