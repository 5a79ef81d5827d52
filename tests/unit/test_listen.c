// SPDX-License-Identifier: GPL-2.0-or-later
// Which of the passed sockets is used, by which worker, and what is refused; and the messages by
// which they travel from one process to the next.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "slowpath/daemon/handover.h"
#include "slowpath/proxy/listen.h"
#include "tests/unit/test.h"

#define PASSED_MAX 300

static struct conf conf;
static struct listen_set set;
static struct passed passed;
static char err[512];

/* A bound socket on a port of [::1] or 127.0.0.1 that the kernel chooses, 0, or on this one. */
static int bound(int family, int type, bool reuse, struct sockaddr_storage *at)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)at;
	struct sockaddr_in *v4 = (struct sockaddr_in *)at;
	socklen_t len = family == AF_INET ? sizeof(*v4) : sizeof(*v6);
	int fd = socket(family, type, 0), one = 1;

	if (!at->ss_family && family == AF_INET)
		*v4 = (struct sockaddr_in){ .sin_family = AF_INET,
					    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	else if (!at->ss_family)
		*v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
					     .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	if (reuse)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)at, len) != 0 ||
	    getsockname(fd, (struct sockaddr *)at, &len) != 0)
		abort();
	return fd;
}

static int listening(int family, bool reuse, struct sockaddr_storage *at)
{
	int fd = bound(family, SOCK_STREAM, reuse, at);

	if (listen(fd, 8) != 0)
		abort();
	return fd;
}

static void pass(int fd)
{
	if (!passed.fds)
		passed.fds = calloc(PASSED_MAX, sizeof(int));
	passed.fds[passed.n++] = fd;
}

static struct sockaddr_storage *configured(void)
{
	static struct sockaddr_storage at[2];
	static struct conf_listener listener = { .at = at };

	memset(at, 0, sizeof(at));
	listener.n = 1;
	conf.listeners = &listener;
	conf.n_listeners = 1;
	return at;
}

static int opened(unsigned workers)
{
	int r = listen_open(&set, &conf, workers, &passed, err, sizeof(err));

	passed_free(&passed);
	return r;
}

static void clear(void)
{
	for (size_t i = 0; i < set.n; i++)
		close(set.at[i].fd);
	listen_free(&set);
	set.unused = 0;
}

static int option(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value = -1;

	getsockopt(fd, level, name, &value, &len);
	return value;
}

static void one_for_each_worker(int family)
{
	struct sockaddr_storage *at = configured();
	int fds[4];

	close(bound(family, SOCK_STREAM, false, at)); /* a port that is free */
	CHECK(opened(3) == 0);
	CHECK(set.n == 3 && listen_fds(&set, false, fds) == 3 && listen_fds(&set, true, fds) == 3);
	for (unsigned i = 0; i < set.n; i++) {
		CHECK(set.at[i].worker == i && !set.at[i].passed && !set.at[i].bare);
		CHECK(option(set.at[i].fd, SOL_SOCKET, SO_ACCEPTCONN) == 0); /* not yet */
		CHECK(listen(set.at[i].fd, LISTEN_BACKLOG) == 0);
	}
	clear();
}

/* One socket of a manager: all share it, and none is opened that nobody would keep. */
static void one_passed_is_shared(int family, bool reuse)
{
	struct sockaddr_storage *at = configured();
	int fd = listening(family, reuse, at), fds[4];

	pass(fd);
	CHECK(opened(3) == 0);
	CHECK(set.n == 3 && set.at[0].fd == fd);
	CHECK(listen_fds(&set, true, fds) == 1 && fds[0] == fd);
	CHECK(listen_fds(&set, false, fds) == 0);
	for (unsigned i = 0; i < set.n; i++) {
		CHECK(set.at[i].worker == i && set.at[i].passed && set.at[i].bare);
		CHECK(set.at[i].shared == (i > 0));
		CHECK(option(set.at[i].fd, SOL_SOCKET, SO_ACCEPTCONN) == 1);
		CHECK(option(set.at[i].fd, SOL_SOCKET, SO_OOBINLINE) == 1);
		CHECK(option(set.at[i].fd, IPPROTO_TCP, TCP_NODELAY) == 1);
		CHECK(fcntl(set.at[i].fd, F_GETFL) & O_NONBLOCK);
		CHECK(fcntl(set.at[i].fd, F_GETFD) & FD_CLOEXEC);
	}
	clear();
}

static void handed_over(int family)
{
	struct sockaddr_storage *at = configured();
	int fds[4];

	for (int i = 0; i < 2; i++) /* fewer than workers: others beside them */
		pass(listening(family, true, at));
	passed.whole = true;
	CHECK(opened(4) == 0);
	CHECK(set.n == 4 && listen_fds(&set, true, fds) == 4 && listen_fds(&set, false, fds) == 2);
	for (unsigned i = 0; i < set.n; i++)
		CHECK(set.at[i].worker == i && set.at[i].passed == (i < 2) && !set.at[i].shared);
	clear();
	at = configured();
	for (int i = 0; i < 3; i++) /* more: none is left alone */
		pass(listening(family, true, at));
	passed.whole = true;
	CHECK(opened(2) == 0);
	CHECK(set.n == 3 && set.at[0].worker == 0 && set.at[1].worker == 1 &&
	      set.at[2].worker == 0);
	clear();
	at = configured();
	pass(listening(family, false, at)); /* allows none beside it */
	passed.whole = true;
	CHECK(opened(2) == 0);
	CHECK(set.n == 2 && set.at[1].shared);
	clear();
}

static void repeated_and_unused(void)
{
	struct sockaddr_storage other = { 0 }, *at = configured();
	int fd = listening(AF_INET, false, at);

	pass(fd);
	pass(dup(fd));
	pass(listening(AF_INET, false, &other));
	CHECK(opened(1) == 0);
	CHECK(set.n == 1 && set.at[0].fd == fd && set.unused == 1);
	clear();
}

static void refused(int fd, const char *why)
{
	struct sockaddr_storage *at = configured();

	close(bound(AF_INET, SOCK_STREAM, false, at));
	pass(fd);
	err[0] = '\0';
	CHECK(opened(1) == -EINVAL);
	CHECK(strstr(err, why) != NULL);
	CHECK(set.n == 0);
}

static void garbage(void)
{
	struct sockaddr_storage a = { 0 }, b = { 0 };
	struct sockaddr_in6 both = { .sin6_family = AF_INET6 };
	int dual = socket(AF_INET6, SOCK_STREAM, 0), zero = 0;

	refused(bound(AF_INET, SOCK_DGRAM, false, &a), "is no stream socket");
	refused(bound(AF_INET, SOCK_STREAM, false, &b), "does not listen");
	refused(open("/dev/null", O_RDONLY), "is no socket");
	setsockopt(dual, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	CHECK(bind(dual, (struct sockaddr *)&both, sizeof(both)) == 0 && listen(dual, 1) == 0);
	refused(dual, "takes IPv4 as well");
}

/* More than fit into one message arrive, and are what was sent. */
static void travel(void)
{
	int pair[2], fds[PASSED_MAX], pid = 0;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	for (int i = 0; i < PASSED_MAX; i++)
		fds[i] = pair[0];
	CHECK(handover_refusal(pair[1], HANDOVER_VERSION, &pid) == NULL && pid == getpid());
	CHECK(handover_refusal(pair[1], "0", &pid) != NULL);
	CHECK(handover_refusal(pair[1], "", &pid) != NULL);
	CHECK(handover_send(pair[1], fds, PASSED_MAX) == 0);
	CHECK(write(pair[1], "ok\n", 3) == 3);
	shutdown(pair[1], SHUT_WR);
	CHECK(handover_done(pair[0], err, sizeof(err)) == 0); /* throws them away */
	close(pair[1]);
}

int main(void)
{
	for (int i = 0; i < 2; i++) {
		int family = i ? AF_INET6 : AF_INET;

		RUN(one_for_each_worker, family);
		RUN(one_passed_is_shared, family, false);
		RUN(one_passed_is_shared, family, true);
		RUN(handed_over, family);
	}
	RUN(repeated_and_unused);
	RUN(garbage);
	RUN(travel);
	TEST_DONE("test_listen");
}
