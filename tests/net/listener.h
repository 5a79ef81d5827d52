/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A listening TCP socket of a server of the tests. */
#ifndef SLUICE_TESTS_NET_LISTENER_H
#define SLUICE_TESTS_NET_LISTENER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* At an address of either family. The descriptor, or -1 and errno. */
static inline int listener_open(const char *address, int port)
{
	struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	char mapped[INET6_ADDRSTRLEN + 8];
	int fd, one = 1;

	snprintf(mapped, sizeof(mapped), "%s%s", strchr(address, ':') ? "" : "::ffff:", address);
	if (inet_pton(AF_INET6, mapped, &at.sin6_addr) != 1)
		return -1;
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 1024) != 0)
		return -1;
	return fd;
}

#endif
