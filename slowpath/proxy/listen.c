// SPDX-License-Identifier: GPL-2.0-or-later
// Which socket is used for which address and by which worker, so that no queue is left behind.
#include "slowpath/proxy/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "slowpath/address/address.h"

#define PRINT_LEN 128 /* an address, or the path of a UNIX socket */

static int option(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value = 0;

	return getsockopt(fd, level, name, &value, &len) == 0 ? value : -errno;
}

const char *listen_print(int fd, char *text, size_t len)
{
	struct sockaddr_storage at = { 0 };
	socklen_t size = sizeof(at);
	struct endpoint_addr a;
	char buf[ADDRESS_TEXT];

	if (getsockname(fd, (struct sockaddr *)&at, &size) != 0) {
		snprintf(text, len, "%s", strerror(errno));
	} else if (at.ss_family == AF_INET || at.ss_family == AF_INET6) {
		address_from_sockaddr(&a, (struct sockaddr *)&at);
		snprintf(text, len, "%s", address_print(&a, true, buf));
	} else {
		snprintf(text, len, "address family %d", at.ss_family);
	}
	return text;
}

void listen_dress(int fd)
{
	int one = 1;

	/* To the kernel program an urgent byte is a byte like others; out of line, TCP would now
	   and then skip one that was already passed up. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one));
}

static socklen_t size_of(const struct sockaddr_storage *at)
{
	return at->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

/* The socket or -errno. */
static int bind_at(const struct sockaddr_storage *at)
{
	bool v6 = at->ss_family == AF_INET6;
	int one = 1;
	AUTO_FD int fd =
		socket(at->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	listen_dress(fd);
	if ((v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) != 0) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) != 0 ||
	    bind(fd, (const struct sockaddr *)at, size_of(at)) != 0)
		return -errno;
	return TAKE_FD(fd);
}

static bool is_at(int fd, const struct sockaddr_storage *at)
{
	const struct sockaddr_in6 *want6 = (const struct sockaddr_in6 *)at;
	const struct sockaddr_in *want4 = (const struct sockaddr_in *)at;
	struct sockaddr_storage own = { 0 };
	const struct sockaddr_in6 *own6 = (const struct sockaddr_in6 *)&own;
	const struct sockaddr_in *own4 = (const struct sockaddr_in *)&own;
	socklen_t size = sizeof(own);

	if (getsockname(fd, (struct sockaddr *)&own, &size) != 0 || own.ss_family != at->ss_family)
		return false;
	if (own.ss_family == AF_INET)
		return own4->sin_port == want4->sin_port &&
		       own4->sin_addr.s_addr == want4->sin_addr.s_addr;
	return own.ss_family == AF_INET6 && own6->sin6_port == want6->sin6_port &&
	       own6->sin6_scope_id == want6->sin6_scope_id &&
	       memcmp(&own6->sin6_addr, &want6->sin6_addr, sizeof(own6->sin6_addr)) == 0;
}

/* ---- what was passed ---- */

/* NULL: a socket that can be served. */
static const char *what_is_wrong(int fd)
{
	struct sockaddr_storage at = { 0 };
	socklen_t size = sizeof(at);

	if (option(fd, SOL_SOCKET, SO_TYPE) < 0)
		return "is no socket";
	if (option(fd, SOL_SOCKET, SO_TYPE) != SOCK_STREAM)
		return "is no stream socket";
	if (option(fd, SOL_SOCKET, SO_ACCEPTCONN) != 1)
		return "does not listen";
	if (getsockname(fd, (struct sockaddr *)&at, &size) != 0)
		return "has no address";
	if (at.ss_family == AF_INET6 && option(fd, IPPROTO_IPV6, IPV6_V6ONLY) != 1)
		return "takes IPv4 as well (BindIPv6Only=ipv6-only is missing)";
	return NULL;
}

static int check_passed(const struct passed *p, char *err, size_t err_len)
{
	char text[PRINT_LEN];

	for (size_t i = 0; i < p->n; i++) {
		const char *wrong = what_is_wrong(p->fds[i]);

		if (!wrong)
			continue;
		snprintf(err, err_len, "passed descriptor %d (%s, at %s) %s", p->fds[i],
			 p->names ? p->names[i] : "handed over",
			 listen_print(p->fds[i], text, sizeof(text)), wrong);
		return -EINVAL;
	}
	return 0;
}

static bool same_socket(int a, int b)
{
	uint64_t x = 0, y = 1;
	socklen_t len = sizeof(x);

	return getsockopt(a, SOL_SOCKET, SO_COOKIE, &x, &len) == 0 &&
	       getsockopt(b, SOL_SOCKET, SO_COOKIE, &y, &len) == 0 && x == y;
}

/* A service manager that has a socket in its store and from a socket unit passes it twice. */
static void drop_repeated(struct passed *p)
{
	for (size_t i = 0; i < p->n; i++)
		for (size_t k = 0; k < i && p->fds[i] >= 0; k++) {
			if (p->fds[k] < 0 || !same_socket(p->fds[i], p->fds[k]))
				continue;
			close(p->fds[i]);
			p->fds[i] = -1;
		}
}

/* ---- dealing out ---- */

static int add(struct listen_set *set, struct listen_socket s)
{
	struct listen_socket *grown = realloc(set->at, (set->n + 1) * sizeof(*grown));

	if (!grown) {
		close(s.fd);
		return -ENOMEM;
	}
	set->at = grown;
	set->at[set->n++] = s;
	return 0;
}

static int add_passed(struct listen_set *set, int fd, unsigned worker)
{
	bool bare = option(fd, SOL_SOCKET, SO_OOBINLINE) != 1;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
		return -errno;
	listen_dress(fd);
	return add(set, (struct listen_socket){
				.fd = fd, .worker = worker, .passed = true, .bare = bare });
}

static int add_bound(struct listen_set *set, const struct sockaddr_storage *at, unsigned worker)
{
	int fd = bind_at(at);

	return fd < 0 ? fd : add(set, (struct listen_socket){ .fd = fd, .worker = worker });
}

static int add_shared(struct listen_set *set, size_t of, unsigned worker)
{
	struct listen_socket s = set->at[of];

	s.fd = fcntl(s.fd, F_DUPFD_CLOEXEC, 0);
	if (s.fd < 0)
		return -errno;
	s.worker = worker;
	s.shared = true;
	return add(set, s);
}

/* Takes every passed socket at this address; *taken is how many there were. */
static int take_passed(struct listen_set *set, const struct sockaddr_storage *at, unsigned workers,
		       struct passed *p, unsigned *taken)
{
	int r = 0;

	*taken = 0;
	for (size_t i = 0; i < p->n && !r; i++) {
		if (p->fds[i] < 0 || !is_at(p->fds[i], at))
			continue;
		r = add_passed(set, TAKE_FD(p->fds[i]), *taken % workers);
		++*taken;
	}
	return r;
}

static int open_address(struct listen_set *set, const struct sockaddr_storage *at, unsigned workers,
			struct passed *p)
{
	size_t first = set->n;
	unsigned taken;
	int r = take_passed(set, at, workers, p, &taken);
	bool beside = !taken ||
		      (p->whole && option(set->at[first].fd, SOL_SOCKET, SO_REUSEPORT) == 1);

	for (unsigned w = taken; w < workers && !r; w++) {
		r = beside ? add_bound(set, at, w) : -EADDRINUSE;
		if (r && taken) /* another user's, or one that allows no second: share it */
			r = add_shared(set, first + w % taken, w);
	}
	return r;
}

static void drop_unused(struct listen_set *set, struct passed *p)
{
	char text[PRINT_LEN];

	for (size_t i = 0; i < p->n; i++) {
		if (p->fds[i] < 0)
			continue;
		log_warn("passed socket %s is at %s, which no [listener] names: closed",
			 p->names ? p->names[i] : "of the process before",
			 listen_print(p->fds[i], text, sizeof(text)));
		close(TAKE_FD(p->fds[i]));
		set->unused++;
	}
}

int listen_open(struct listen_set *set, const struct conf *conf, unsigned workers,
		struct passed *passed, char *err, size_t err_len)
{
	struct endpoint_addr a;
	char text[ADDRESS_TEXT];
	int r = check_passed(passed, err, err_len);

	if (r)
		return r;
	drop_repeated(passed);
	for (size_t i = 0; i < conf->n_listeners; i++) {
		for (size_t k = 0; k < conf->listeners[i].n; k++) {
			const struct sockaddr_storage *at = &conf->listeners[i].at[k];

			r = open_address(set, at, workers, passed);
			if (!r)
				continue;
			address_from_sockaddr(&a, (const struct sockaddr *)at);
			snprintf(err, err_len, "cannot listen at %s: %s",
				 address_print(&a, true, text), strerror(-r));
			return r;
		}
	}
	drop_unused(set, passed);
	return 0;
}

size_t listen_fds(const struct listen_set *set, bool all, int *fds)
{
	size_t n = 0;

	for (size_t i = 0; i < set->n; i++)
		if (!set->at[i].shared && (all || !set->at[i].passed))
			fds[n++] = set->at[i].fd;
	return n;
}

void listen_free(struct listen_set *set)
{
	free(set->at);
	set->at = NULL;
	set->n = 0;
}

void passed_free(struct passed *p)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->fds[i] >= 0)
			close(p->fds[i]);
		if (p->names)
			free(p->names[i]);
	}
	free(p->fds);
	free(p->names);
	*p = (struct passed){ 0 };
}
