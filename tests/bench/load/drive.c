// SPDX-License-Identifier: GPL-2.0-or-later
// Clients that open connections and exchange records of 200 bytes.
#include "tests/bench/load/load.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
	OPENING_MAX = 64, // connections that are being opened at a time, where all stay open
	ERRORS_MAX = 50,
	TIMES_MAX = 4 << 20,
};

enum mode { CONNECT, ROUNDS, IDLE };
enum stage { UNUSED, CONNECTING, GREETED, READY, ASKED };

struct flow {
	int fd;
	enum stage stage;
	uint32_t number, round;
	uint64_t began;
	size_t have;
	struct flow *next; // unused ones
	uint8_t want[RECORD], in[RECORD];
};

static struct {
	struct options *o;
	enum mode mode;
	int epoll;
	struct flow *unused;
	struct flow *flows;
	long opened, ready, closed, answers, errors;
	bool last_round; // of idle connections
	char error[128];
	uint32_t *times; // of what was measured, in units of 100 ns
	long measured;
} d;

static void flow_end(struct flow *f)
{
	close(f->fd);
	f->stage = UNUSED;
	f->next = d.unused;
	d.unused = f;
	d.closed++;
}

static void flow_fail(struct flow *f, const char *what, int error)
{
	if (!d.errors++)
		snprintf(d.error, sizeof d.error, "%s in stage %d: %s", what, f->stage,
			 error ? strerror(error) : "not what was expected");
	flow_end(f);
}

static void flow_time(const struct flow *f)
{
	if (window_open(&d.o->window) && d.measured < TIMES_MAX)
		d.times[d.measured++] = (uint32_t)((now_ns() - f->began) / 100);
}

static bool flow_send(struct flow *f, const uint8_t *data, size_t size)
{
	ssize_t n = send(f->fd, data, size, MSG_NOSIGNAL);
	if (n == (ssize_t)size)
		return true;
	flow_fail(f, "send", n < 0 ? errno : 0);
	return false;
}

static void flow_ask(struct flow *f)
{
	make_record(f->want, RECORD_APPLICATION, f->number, ++f->round);
	f->have = 0;
	f->stage = ASKED;
	flow_send(f, f->want, RECORD);
}

static void flow_start(void)
{
	struct flow *f = d.unused;
	d.unused = f->next;
	f->number = (uint32_t)d.opened++;
	f->round = 0;
	f->stage = CONNECTING;
	f->have = 0;
	f->began = now_ns();
	f->fd = client_connect(d.o, f->number);
	watch(d.epoll, EPOLL_CTL_ADD, f->fd, EPOLLOUT, f);
}

static void flow_connected(struct flow *f)
{
	int error = client_connected(f->fd);
	if (error) {
		flow_fail(f, "connect", error);
		return;
	}
	watch(d.epoll, EPOLL_CTL_MOD, f->fd, EPOLLIN, f);
	if (!flow_send(f, d.o->hello, d.o->hello_size))
		return;
	if (d.o->answer) {
		f->stage = GREETED;
		make_record(f->want, RECORD_HANDSHAKE, 0, 0);
	} else {
		flow_ask(f);
	}
}

/* The first answer on a connection that stays open. The window starts with the last one. */
static void flow_ready(struct flow *f)
{
	f->stage = READY;
	f->began = now_ns();
	d.ready++;
	if (d.mode == ROUNDS)
		flow_ask(f);
	if (d.ready == d.o->concurrent)
		window_start(&d.o->window);
}

static void flow_answered(struct flow *f)
{
	if (d.mode == CONNECT) {
		flow_time(f);
		flow_end(f);
	} else if (f->stage == GREETED) {
		flow_ready(f);
	} else if (d.mode == ROUNDS && !d.o->window.ended) {
		flow_time(f);
		f->began = now_ns();
		flow_ask(f);
	} else {
		flow_end(f);
	}
}

static void flow_readable(struct flow *f)
{
	ssize_t n = recv(f->fd, f->in + f->have, RECORD - f->have, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		flow_fail(f, n ? "recv" : "end of file", n ? errno : 0);
		return;
	}
	f->have += (size_t)n;
	if ((f->stage != GREETED && f->stage != ASKED) || memcmp(f->in, f->want, f->have)) {
		flow_fail(f, "wrong bytes", 0);
	} else if (f->have == RECORD) {
		d.answers++;
		flow_answered(f);
	}
}

// --- steering -------------------------------------------------------------------------------

static bool may_open(uint64_t now)
{
	const struct options *o = d.o;
	if (!d.unused || d.errors >= ERRORS_MAX)
		return false;
	if (d.mode != CONNECT)
		return d.opened < o->concurrent && d.opened - d.ready < OPENING_MAX;
	if (o->window.ended || (o->most && d.opened >= o->most))
		return false;
	double due = (double)o->rate * (double)(now - o->window.start) / 1e9;
	return !o->rate || (double)d.opened < due;
}

static bool finished(void)
{
	const struct options *o = d.o;
	if (d.mode != CONNECT)
		return d.errors || d.closed == o->concurrent;
	if (d.opened > d.closed)
		return false;
	return o->window.ended || (o->most && d.opened >= o->most) || d.errors >= ERRORS_MAX;
}

/* All are open: say so, wait for a word, and prove that each one still works. */
static void hold(void)
{
	char word;
	printf("{\"ready\": %ld}\n", d.ready);
	fflush(stdout);
	if (read(STDIN_FILENO, &word, 1) < 0)
		die("read");
	d.last_round = true;
	for (long i = 0; i < d.o->concurrent; i++)
		flow_ask(&d.flows[i]);
}

static void handle_events(int timeout_ms)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(d.epoll, events, EVENTS, timeout_ms);
	if (n < 0 && errno != EINTR)
		die("epoll_wait");
	for (int i = 0; i < n; i++) {
		struct flow *f = events[i].data.ptr;
		if (f->stage == CONNECTING)
			flow_connected(f);
		else if (f->stage != UNUSED)
			flow_readable(f);
	}
}

static void run(uint64_t deadline)
{
	uint64_t now;
	while (!finished() && (now = now_ns()) < deadline) {
		window_moved(&d.o->window, now);
		while (may_open(now))
			flow_start();
		if (d.mode == IDLE && !d.last_round && d.ready == d.o->concurrent) {
			hold();
			deadline = now_ns() + (uint64_t)d.o->seconds * 1000000000u;
		}
		handle_events(d.o->rate ? 1 : 50);
	}
}

// --- the result -----------------------------------------------------------------------------

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static double percentile(double part)
{
	return d.measured ? d.times[(long)(part * (double)(d.measured - 1))] / 10.0 : 0;
}

static int report(void)
{
	const struct window *w = &d.o->window;
	long stuck = d.opened - d.closed;
	double seconds = window_seconds(w);
	qsort(d.times, (size_t)d.measured, sizeof *d.times, by_size);
	printf("{\"connections\": %ld, \"answers\": %ld, \"measured\": %ld, "
	       "\"errors\": %ld, \"stuck\": %ld, "
	       "\"error\": \"%s\", \"seconds\": %.4f, \"busy\": %.3f, \"stolen\": %.3f, "
	       "\"per_second\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f}\n",
	       d.opened, d.answers, d.measured, d.errors, stuck, d.error, seconds, window_busy(w),
	       window_stolen(w), seconds > 0 ? (double)d.measured / seconds : 0, percentile(0.5),
	       percentile(0.99), percentile(1));
	return d.errors || stuck;
}

static int drive(struct options *o, enum mode mode)
{
	d.o = o;
	d.mode = mode;
	d.times = allocate(TIMES_MAX, sizeof *d.times);
	d.flows = allocate((size_t)o->concurrent, sizeof *d.flows);
	d.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (d.epoll < 0)
		die("epoll");
	for (long i = o->concurrent; i--;) {
		d.flows[i].next = d.unused;
		d.unused = &d.flows[i];
	}
	if (mode == CONNECT)
		window_start(&o->window);
	run(now_ns() + (uint64_t)o->seconds * 1000000000u);
	return report();
}

int drive_connect(struct options *o)
{
	return drive(o, CONNECT);
}

int drive_rounds(struct options *o)
{
	return drive(o, ROUNDS);
}

int drive_idle(struct options *o)
{
	return drive(o, IDLE);
}
