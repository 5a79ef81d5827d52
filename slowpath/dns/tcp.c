// SPDX-License-Identifier: GPL-2.0-or-later
// One question, one connection, one answer. The answer is read with the bounded reader; one that is
// too short, or does not answer the question, counts as the server's failure.
#include "slowpath/dns/tcp.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/util.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/wire/rd.h"
#include "conf/conf.h"

#define QUERY_LEN (2 + 12 + 255 + 4)
#define HEADER_LEN 12
#define TYPE_A 1
#define TYPE_AAAA 28
#define CLASS_IN 1
#define FLAG_ANSWER 0x8000
#define FLAG_TRUNCATED 0x0200
#define FLAG_RECURSE 0x0100
#define RCODE_MASK 0x000f
#define RCODE_NXDOMAIN 3

struct dns_tcp {
	struct bufferevent *bev;
	dns_tcp_done done;
	void *arg;
	uint16_t type;
	size_t query_len;
	uint8_t query[QUERY_LEN]; /* preceded by its length */
};

struct answer {
	struct in6_addr addrs[DNS_TCP_ADDRESSES];
	size_t n;
	uint32_t ttl_s;
};

static void put_u16(uint8_t *p, unsigned value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

/* Writes the name to out as labels. Returns their length, or 0 if it is not a name. */
static size_t put_name(uint8_t *out, const char *name)
{
	size_t n = 0;

	for (;;) {
		size_t label = strcspn(name, ".");

		if (label == 0 || label > 63 || n + label + 2 > 255)
			return 0;
		out[n++] = (uint8_t)label;
		memcpy(out + n, name, label);
		n += label;
		if (name[label] == '\0')
			break;
		name += label + 1;
	}
	out[n++] = 0;
	return n;
}

static bool make_query(struct dns_tcp *t, const char *name)
{
	uint8_t *header = t->query + 2;
	size_t n = put_name(header + HEADER_LEN, name);

	if (n == 0)
		return false;
	memset(header, 0, HEADER_LEN);
	evutil_secure_rng_get_bytes(header, 2);
	put_u16(header + 2, FLAG_RECURSE);
	put_u16(header + 4, 1); /* one question */
	put_u16(header + HEADER_LEN + n, t->type);
	put_u16(header + HEADER_LEN + n + 2, CLASS_IN);
	t->query_len = 2 + HEADER_LEN + n + 4;
	put_u16(t->query, (unsigned)t->query_len - 2);
	return true;
}

/* Skips a name in an answer: only where it ends matters. */
static void skip_name(struct rd *r)
{
	for (;;) {
		__u32 c = rd_u8(r);

		if (c == 0 || r->bad)
			return;
		if ((c & 0xc0) == 0xc0) {
			rd_skip(r, 1);
			return;
		}
		if (c & 0xc0)
			rd_fail(r);
		rd_skip(r, c);
	}
}

static void take_record(const struct dns_tcp *t, struct rd *r, struct answer *a)
{
	__u32 type, class, ttl, size = t->type == TYPE_A ? 4 : 16;
	struct in6_addr ip;
	uint8_t bytes[16];
	struct rd data;

	skip_name(r);
	type = rd_u16(r);
	class = rd_u16(r);
	ttl = rd_u16(r) << 16;
	ttl |= rd_u16(r);
	data = rd_vec(r, 2);
	if (r->bad || type != t->type || class != CLASS_IN)
		return;
	if (rd_left(&data) != size) {
		rd_fail(r);
		return;
	}
	if (a->n == DNS_TCP_ADDRESSES)
		return;
	for (__u32 i = 0; i < size; i++)
		bytes[i] = (uint8_t)rd_u8(&data);
	if (size == 4)
		cidr_from_v4(ip.s6_addr, bytes);
	else
		memcpy(&ip, bytes, sizeof(ip));
	if (a->n == 0 || ttl < a->ttl_s)
		a->ttl_s = ttl;
	a->addrs[a->n++] = ip;
}

/* 0, -ENOENT or -EIO. */
static int parse(const struct dns_tcp *t, const uint8_t *msg, size_t len, struct answer *out)
{
	size_t question_len = t->query_len - 2 - HEADER_LEN;
	struct answer a = { .n = 0 };
	__u32 flags, records, rcode;
	struct rd r;

	/* The same identity, and our question word for word. */
	if (len < HEADER_LEN + question_len || memcmp(msg, t->query + 2, 2) != 0 ||
	    memcmp(msg + HEADER_LEN, t->query + 2 + HEADER_LEN, question_len) != 0)
		return -EIO;
	rd_init(&r, msg, (__u32)len);
	rd_skip(&r, 2);
	flags = rd_u16(&r);
	rcode = flags & RCODE_MASK;
	if (!(flags & FLAG_ANSWER) || (flags & FLAG_TRUNCATED) || rd_u16(&r) != 1 ||
	    (rcode != 0 && rcode != RCODE_NXDOMAIN))
		return -EIO;
	records = rd_u16(&r);
	rd_skip(&r, (__u32)(4 + question_len));
	for (; records > 0 && !r.bad; records--)
		take_record(t, &r, &a);
	if (r.bad)
		return -EIO;
	if (rcode != 0 || a.n == 0)
		return -ENOENT;
	*out = a;
	return 0;
}

static void finish(struct dns_tcp *t, int err, const struct answer *a)
{
	dns_tcp_done done = t->done;
	void *arg = t->arg;

	dns_tcp_cancel(t);
	done(arg, err, a->addrs, a->n, a->ttl_s);
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct dns_tcp *t = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	struct answer a = { .n = 0 };
	uint8_t head[2];
	size_t len;
	int err;

	if (evbuffer_copyout(in, head, 2) != 2)
		return;
	len = (size_t)head[0] << 8 | head[1];
	if (evbuffer_get_length(in) < 2 + len)
		return;
	evbuffer_drain(in, 2);
	err = -EIO;
	if (len > 0)
		err = parse(t, evbuffer_pullup(in, (ev_ssize_t)len), len, &a);
	finish(t, err, &a);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	static const struct answer none;

	(void)bev;
	if (what & BEV_EVENT_CONNECTED)
		return;
	finish(arg, what & BEV_EVENT_TIMEOUT ? -ETIMEDOUT : -EIO, &none);
}

/* false: the connection cannot be started. */
static bool begin(struct dns_tcp *t, struct event_base *base, const struct sockaddr *server,
		  socklen_t len, unsigned timeout_ms)
{
	struct timeval tv = { timeout_ms / 1000, (timeout_ms % 1000) * 1000 };
	evutil_socket_t fd =
		socket(server->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	t->bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (!t->bev) {
		evutil_closesocket(fd);
		return false;
	}
	bufferevent_setcb(t->bev, on_read, NULL, on_event, t);
	bufferevent_set_timeouts(t->bev, &tv, &tv);
	return bufferevent_write(t->bev, t->query, t->query_len) == 0 &&
	       bufferevent_enable(t->bev, EV_READ | EV_WRITE) == 0 &&
	       bufferevent_socket_connect(t->bev, server, (int)len) == 0;
}

struct dns_tcp *dns_tcp_ask(struct event_base *base, const struct sockaddr *server, socklen_t len,
			    const char *name, int family, unsigned timeout_ms, dns_tcp_done done,
			    void *arg)
{
	struct dns_tcp *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->done = done;
	t->arg = arg;
	t->type = family == AF_INET ? TYPE_A : TYPE_AAAA;
	if (!make_query(t, name) || !begin(t, base, server, len, timeout_ms)) {
		dns_tcp_cancel(t);
		return NULL;
	}
	return t;
}

void dns_tcp_cancel(struct dns_tcp *t)
{
	if (t->bev)
		bufferevent_free(t->bev);
	free(t);
}
