// SPDX-License-Identifier: GPL-2.0-or-later
#include "slowpath/proxy/connector.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bpf/abi/reason.h"

unsigned connector_reason(int error)
{
	switch (error) {
	case ETIMEDOUT:
		return REASON_UPSTREAM_TIMEOUT;
	case ECONNRESET:
		return REASON_UPSTREAM_RESET;
	case EMFILE: /* we lack descriptors, memory or ports: nothing that the destination said */
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case EADDRNOTAVAIL:
	case ENOSPC: /* or watches */
		return REASON_LIMIT;
	}
	return REASON_UPSTREAM_REFUSED;
}

void connector_add(struct connector *k, const struct conf *start, const struct conf *conf,
		   const struct endpoint_addr *to)
{
	if (k->n < CONNECT_ADDRESSES && !address_is_refused(conf, &to->ip) &&
	    !address_is_own_listener(start, conf, to))
		k->at[k->n++] = to->ip;
}

void connector_add_all(struct connector *k, const struct conf *start, const struct conf *conf,
		       const struct endpoint_addr *wanted, const struct in6_addr *at, size_t n)
{
	struct endpoint_addr to = *wanted;

	/* The client's own choice first, if the name has it: it may know better which is near. */
	for (size_t i = 0; i < n; i++)
		if (IN6_ARE_ADDR_EQUAL(&at[i], &wanted->ip)) {
			connector_add(k, start, conf, wanted);
			break;
		}
	for (size_t i = 0; i < n; i++)
		if (!IN6_ARE_ADDR_EQUAL(&at[i], &wanted->ip)) {
			to.ip = at[i];
			connector_add(k, start, conf, &to);
		}
}

static int connect_to(const struct endpoint_addr *dst, uint32_t mark)
{
	struct sockaddr_storage ss;
	socklen_t len = address_to_sockaddr(dst, &ss);
	int one = 1;
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one)); /* as the listener's */
	if ((mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) != 0) ||
	    (connect(fd, (struct sockaddr *)&ss, len) != 0 && errno != EINPROGRESS)) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

int connector_next(struct connector *k, uint16_t port, uint32_t mark)
{
	k->dst = (struct endpoint_addr){ .ip = k->at[k->next++], .port = port };
	return connect_to(&k->dst, mark);
}

uint64_t connector_limit_ms(const struct connector *k, uint64_t now_ms)
{
	uint64_t left = k->by_ms > now_ms ? k->by_ms - now_ms : 1;

	return left / (k->n - k->next + 1) + 1;
}
