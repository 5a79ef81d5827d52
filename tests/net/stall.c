// SPDX-License-Identifier: GPL-2.0-or-later
// Makes workers late, as a busy machine does, but when a test says so: LD_PRELOADed into sluiced.
// STALL is a folder; while these files are in it,
//   ring   no worker reads its ring
//   recv   no worker comes back from reading a socket that it has accepted
//   later  the clock is ahead, by the seconds that it says
// It tells on standard error, a line each, which record a worker gives to a socket, that one hangs
// in reading, that one has read its ring after it could not, and that one reads a socket which
// another has accepted: that is the end.
#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bpf/abi/flow.h"

#define FILES 65536
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

struct ring_buffer;
int ring_buffer__consume(struct ring_buffer *rb);

static _Atomic pid_t accepted_by[FILES];

static int path_of(const char *what, char path[4096])
{
	const char *folder = getenv("STALL");

	if (!folder)
		abort();
	return snprintf(path, 4096, "%s/%s", folder, what);
}

static int is_said(const char *what)
{
	char path[4096];

	path_of(what, path);
	return access(path, F_OK) == 0;
}

static long seconds_later(void)
{
	char path[4096];
	long seconds = 0;
	FILE *f;

	path_of("later", path);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%ld", &seconds) != 1)
		seconds = 0;
	fclose(f);
	return seconds;
}

/* So that a loop which has nothing else to do leaves the machine to others. */
static void a_moment(void)
{
	struct timespec t = { .tv_nsec = 1000000 };

	nanosleep(&t, NULL);
}

int ring_buffer__consume(struct ring_buffer *rb)
{
	static __thread int late;
	int n;

	if (is_said("ring")) {
		late = 1;
		a_moment();
		return 0;
	}
	n = REAL(ring_buffer__consume)(rb);
	if (late)
		fprintf(stderr, "stall: worker %d has read its ring\n", (int)gettid());
	late = 0;
	return n;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
	int r = REAL(clock_gettime)(clock, t);

	if (r == 0 && clock == CLOCK_MONOTONIC)
		t->tv_sec += seconds_later();
	return r;
}

int accept4(int fd, struct sockaddr *from, socklen_t *len, int flags)
{
	int got = REAL(accept4)(fd, from, len, flags);

	if (got >= 0 && got < FILES)
		accepted_by[got] = gettid();
	return got;
}

int close(int fd)
{
	if (fd >= 0 && fd < FILES)
		accepted_by[fd] = 0;
	return REAL(close)(fd);
}

int setsockopt(int fd, int level, int what, const void *value, socklen_t len)
{
	uint32_t tag =
		level == IPPROTO_TCP && what == TCP_NOTSENT_LOWAT ? *(const uint32_t *)value : 0;

	if (tag & ENDPOINT_TAG && ENDPOINT_SIDE(tag) == SIDE_CLIENT)
		fprintf(stderr, "stall: record %u worker %d\n", ENDPOINT_FLOW(tag & ~ENDPOINT_TAG),
			(int)gettid());
	return REAL(setsockopt)(fd, level, what, value, len);
}

ssize_t recv(int fd, void *to, size_t n, int flags)
{
	pid_t owner = fd >= 0 && fd < FILES ? accepted_by[fd] : 0;

	if (owner && owner != gettid()) {
		fputs("stall: a worker reads another's socket\n", stderr);
		abort(); /* before it does anything with it */
	}
	if (owner && is_said("recv"))
		fputs("stall: a worker reads\n", stderr);
	while (owner && is_said("recv"))
		a_moment();
	return REAL(recv)(fd, to, n, flags);
}
