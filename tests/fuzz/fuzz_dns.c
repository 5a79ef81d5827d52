// SPDX-License-Identifier: GPL-2.0-or-later
// Any bytes as a name server's answer over TCP, in two pieces: one result, and where the C
// library's parser reads the answer too, the same addresses.
//
// The first byte says how: family, whether identity and question are those that were asked, the
// length told, and where it is cut. Flags and counts follow, then the records.
#include <arpa/nameser.h>
#include <errno.h>
#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "slowpath/dns/tcp.h"

#define QUESTION_MAX 300
#define ANSWER_MAX 4096
#define ID_LEN 2
#define HEADER_REST 10 /* flags and four counts */
#define TIMEOUT_MS 60000

enum { HOW_V6 = 1, HOW_ASKED = 2, HOW_LIES = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct event_base *base;
static struct sockaddr_un at = { .sun_family = AF_UNIX };
static socklen_t at_len;
static int listener;

struct result {
	unsigned calls;
	int err;
	struct in6_addr addrs[DNS_TCP_ADDRESSES];
	size_t n;
};

static void on_done(void *arg, int err, const struct in6_addr *addrs, size_t n, uint32_t ttl_s)
{
	struct result *r = arg;

	(void)ttl_s;
	if (n > DNS_TCP_ADDRESSES || (err == 0) != (n > 0))
		abort();
	r->calls++;
	r->err = err;
	r->n = n;
	memcpy(r->addrs, addrs, n * sizeof(*addrs));
}

/* dns_tcp connects to any address: one without a network, so that no port is used up. */
static void open_server(void)
{
	base = event_base_new();
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!base || listener < 0 ||
	    bind(listener, (struct sockaddr *)&at, sizeof(sa_family_t)) != 0)
		abort();
	at_len = sizeof(at);
	if (getsockname(listener, (struct sockaddr *)&at, &at_len) != 0 || listen(listener, 4) != 0)
		abort();
}

/* The message the input makes; its length. */
static size_t make_answer(const uint8_t *question, size_t question_len, const uint8_t *data,
			  size_t size, uint8_t out[ANSWER_MAX])
{
	size_t n = 0, rest = question_len - ID_LEN - HEADER_REST;

	if (!(data[0] & HOW_ASKED) || size < 1 + HEADER_REST) {
		memcpy(out, data + 1, size - 1);
		return size - 1;
	}
	memcpy(out, question, ID_LEN);
	memcpy(out + ID_LEN, data + 1, HEADER_REST);
	n = ID_LEN + HEADER_REST;
	memcpy(out + n, question + n, rest);
	n += rest;
	data += 1 + HEADER_REST;
	size -= 1 + HEADER_REST;
	memcpy(out + n, data, size);
	return n + size;
}

static void send_answer(int fd, uint8_t *framed, size_t len, uint8_t how)
{
	size_t told = how & HOW_LIES ? len + (how >> 3) - 16 : len;
	size_t cut = (size_t)(how >> 3) * len / 32;

	framed[0] = (uint8_t)(told >> 8);
	framed[1] = (uint8_t)told;
	if (cut && send(fd, framed, cut, MSG_NOSIGNAL) != (ssize_t)cut)
		abort();
	event_base_loop(base, EVLOOP_NONBLOCK);
	send(fd, framed + cut, len + 2 - cut, MSG_NOSIGNAL); /* it may have seen enough */
	shutdown(fd, SHUT_WR);
}

/* The addresses of the type, as the C library finds them. */
static void compare(const uint8_t *msg, size_t len, const struct result *r, ns_type type)
{
	size_t size = type == ns_t_a ? 4 : 16, n = 0;
	ns_msg parsed;
	ns_rr rr;

	if (ns_initparse(msg, (int)len, &parsed) != 0)
		return;
	for (int i = 0; i < ns_msg_count(parsed, ns_s_an) && n < DNS_TCP_ADDRESSES; i++) {
		if (ns_parserr(&parsed, ns_s_an, i, &rr) != 0)
			return; /* a name that it minds */
		if (ns_rr_type(rr) != type || ns_rr_class(rr) != ns_c_in)
			continue;
		if (n >= r->n || ns_rr_rdlen(rr) != size ||
		    memcmp(r->addrs[n].s6_addr + 16 - size, ns_rr_rdata(rr), size) != 0)
			abort();
		n++;
	}
	if (n != r->n)
		abort();
}

static void serve(const uint8_t *data, size_t size, struct result *r)
{
	uint8_t question[QUESTION_MAX], framed[2 + ANSWER_MAX];
	int fd = accept(listener, NULL, NULL);
	ssize_t got;
	size_t len;

	if (fd < 0)
		abort();
	while ((got = recv(fd, question, sizeof(question), MSG_DONTWAIT)) < 0 && errno == EAGAIN)
		event_base_loop(base, EVLOOP_NONBLOCK);
	if (got < 2 + ID_LEN + HEADER_REST)
		abort();
	len = make_answer(question + 2, (size_t)got - 2, data, size, framed + 2);
	send_answer(fd, framed, len, data[0]);
	while (r->calls == 0)
		event_base_loop(base, EVLOOP_ONCE);
	if (r->err == 0 && !(data[0] & HOW_LIES))
		compare(framed + 2, len, r, data[0] & HOW_V6 ? ns_t_aaaa : ns_t_a);
	close(fd);
	event_base_loop(base, EVLOOP_NONBLOCK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct result r = { .calls = 0 };

	if (size < 1 || size > ANSWER_MAX - QUESTION_MAX)
		return 0;
	if (!base)
		open_server();
	if (!dns_tcp_ask(base, (struct sockaddr *)&at, at_len, "a.test",
			 data[0] & HOW_V6 ? AF_INET6 : AF_INET, TIMEOUT_MS, on_done, &r))
		abort();
	serve(data, size, &r);
	if (r.calls != 1)
		abort();
	return 0;
}
