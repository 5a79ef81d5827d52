// SPDX-License-Identifier: GPL-2.0-or-later
// Which addresses are tried, in which order and for how long.
#include "slowpath/proxy/connector.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bpf/abi/reason.h"
#include "tests/unit/test.h"

static const struct conf conf; /* nothing is listed, nothing listens */

static struct in6_addr ip(const char *text)
{
	struct in6_addr a = { 0 };

	CHECK(inet_pton(AF_INET6, text, &a) == 1);
	return a;
}

static void test_wanted_comes_first(void)
{
	struct in6_addr at[] = { ip("::ffff:9.9.9.1"), ip("::ffff:127.0.0.1"), ip("2620:fe::9"),
				 ip("::ffff:9.9.9.2") };
	struct endpoint_addr wanted = { .ip = at[3], .port = 443 };
	struct connector k = { .n = 0 };

	connector_add_all(&k, &conf, &conf, &wanted, at, 4);
	CHECK(k.n == 3); /* loopback is never tried */
	CHECK(IN6_ARE_ADDR_EQUAL(&k.at[0], &at[3]) && IN6_ARE_ADDR_EQUAL(&k.at[1], &at[0]) &&
	      IN6_ARE_ADDR_EQUAL(&k.at[2], &at[2]));
}

static void test_not_more_than_fit(void)
{
	struct in6_addr at[CONNECT_ADDRESSES + 5];
	struct endpoint_addr wanted = { .ip = ip("::ffff:9.9.9.9"), .port = 443 };
	struct connector k = { .n = 0 };

	for (size_t i = 0; i < CONNECT_ADDRESSES + 5; i++) {
		at[i] = ip("2620:fe::1");
		at[i].s6_addr[15] = (uint8_t)i;
	}
	connector_add_all(&k, &conf, &conf, &wanted, at, CONNECT_ADDRESSES + 5);
	CHECK(k.n == CONNECT_ADDRESSES);
}

static void test_time_is_shared(void)
{
	struct connector k = { .n = 4, .next = 1, .by_ms = 1000 };

	CHECK(connector_limit_ms(&k, 0) == 251); /* the one in hand, and three that are left */
	k.next = 4;
	CHECK(connector_limit_ms(&k, 600) == 401);
	CHECK(connector_limit_ms(&k, 5000) == 2);
}

static void test_reasons(void)
{
	CHECK(connector_reason(ECONNREFUSED) == REASON_UPSTREAM_REFUSED);
	CHECK(connector_reason(ENOENT) == REASON_UPSTREAM_REFUSED);
	CHECK(connector_reason(ETIMEDOUT) == REASON_UPSTREAM_TIMEOUT);
	CHECK(connector_reason(ECONNRESET) == REASON_UPSTREAM_RESET);
	CHECK(connector_reason(EMFILE) == REASON_LIMIT);
}

/* One after the other, whatever becomes of each. */
static void test_every_address_is_tried(void)
{
	struct sockaddr_in6 here = { .sin6_family = AF_INET6, .sin6_addr = ip("::1") };
	socklen_t len = sizeof(here);
	struct connector k = { .n = 2, .at = { ip("ff02::1"), ip("::1") } };
	int listener = socket(AF_INET6, SOCK_STREAM, 0);
	int fd;

	CHECK(bind(listener, (struct sockaddr *)&here, sizeof(here)) == 0);
	CHECK(listen(listener, 1) == 0);
	CHECK(getsockname(listener, (struct sockaddr *)&here, &len) == 0);
	CHECK(connector_has_next(&k));
	CHECK(connector_next(&k, ntohs(here.sin6_port), 0) < 0); /* TCP to a group of hosts */
	CHECK(connector_has_next(&k));
	fd = connector_next(&k, ntohs(here.sin6_port), 0);
	CHECK(fd >= 0 && !connector_has_next(&k));
	CHECK(IN6_ARE_ADDR_EQUAL(&k.dst.ip, &k.at[1]) && k.dst.port == ntohs(here.sin6_port));
	close(fd);
	close(listener);
}

int main(void)
{
	RUN(test_wanted_comes_first);
	RUN(test_not_more_than_fit);
	RUN(test_time_is_shared);
	RUN(test_reasons);
	RUN(test_every_address_is_tried);
	TEST_DONE("connector");
}
