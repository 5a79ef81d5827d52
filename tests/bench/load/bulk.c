// SPDX-License-Identifier: GPL-2.0-or-later
// Clients that send or take as many bytes as they can, or at a rate.
#include "tests/bench/load/load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum stage { CONNECTING, GREETED, RUNNING, ENDED };

struct stream {
	int fd;
	enum stage stage;
	struct bulk bulk;
	size_t have; // of the answer to the hello
	uint8_t in[RECORD];
};

static struct {
	struct options *o;
	bool up;
	int epoll;
	uint64_t rate; // of each stream, in bytes a second
	struct stream *streams;
	long running, ended, errors;
	char error[128];
	uint64_t counter_before, taken_began, taken_ended;
} b;

static void stream_end(struct stream *t)
{
	close(t->fd);
	t->stage = ENDED;
	b.ended++;
}

static void stream_fail(struct stream *t, const char *what, int error)
{
	if (!b.errors++)
		snprintf(b.error, sizeof b.error, "%s in stage %d: %s", what, t->stage,
			 error ? strerror(error) : "not what was expected");
	stream_end(t);
}

static bool stream_order(struct stream *t, enum order order)
{
	uint8_t record[RECORD];
	make_order(record, order, b.rate);
	if (send(t->fd, record, sizeof record, MSG_NOSIGNAL) == sizeof record)
		return true;
	stream_fail(t, "order", errno);
	return false;
}

static void stream_run(struct stream *t)
{
	if (!stream_order(t, b.up ? TAKE_BULK : SEND_BULK))
		return;
	t->bulk = (struct bulk){ .began = now_ns(), .rate = b.rate };
	t->stage = RUNNING;
	if (b.up)
		watch(b.epoll, EPOLL_CTL_MOD, t->fd, b.rate ? 0 : EPOLLOUT, t);
	if (++b.running == b.o->concurrent)
		window_start(&b.o->window);
}

static void stream_connected(struct stream *t)
{
	const struct options *o = b.o;
	int error = client_connected(t->fd);
	if (error) {
		stream_fail(t, "connect", error);
		return;
	}
	watch(b.epoll, EPOLL_CTL_MOD, t->fd, EPOLLIN, t);
	t->stage = GREETED;
	if (send(t->fd, o->hello, o->hello_size, MSG_NOSIGNAL) != (ssize_t)o->hello_size)
		stream_fail(t, "hello", errno);
}

static void stream_greeted(struct stream *t)
{
	ssize_t n = recv(t->fd, t->in + t->have, RECORD - t->have, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		stream_fail(t, n ? "recv" : "end of file", n ? errno : 0);
		return;
	}
	t->have += (size_t)n;
	if (t->have == RECORD)
		stream_run(t);
}

/* An end before anybody asked for it is a failure; after it, it is the end. */
static void stream_moves(struct stream *t)
{
	ssize_t n = b.up ? bulk_send(&t->bulk, t->fd, now_ns()) : bulk_take(&t->bulk, t->fd);
	if (n == -1)
		stream_fail(t, b.up ? "send" : "recv", errno);
	else if (n == 0 && !b.up && !b.o->window.ended)
		stream_fail(t, "end of file", 0);
	else if (n == 0 && !b.up)
		stream_end(t);
}

static void handle_events(int timeout_ms)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(b.epoll, events, EVENTS, timeout_ms);
	if (n < 0 && errno != EINTR)
		die("epoll_wait");
	for (int i = 0; i < n; i++) {
		struct stream *t = events[i].data.ptr;
		switch (t->stage) {
		case CONNECTING:
			stream_connected(t);
			break;
		case GREETED:
			stream_greeted(t);
			break;
		case RUNNING:
			stream_moves(t);
			break;
		case ENDED:
			break;
		}
	}
}

static void send_paced(void)
{
	for (long i = 0; i < b.o->concurrent; i++)
		if (b.streams[i].stage == RUNNING)
			stream_moves(&b.streams[i]);
}

/* What we sent is there when the server says so; what it sent, when the end has come. */
static void ask_for_the_end(void)
{
	for (long i = 0; i < b.o->concurrent; i++) {
		struct stream *t = &b.streams[i];
		if (t->stage != RUNNING)
			continue;
		if (b.up)
			stream_end(t);
		else
			stream_order(t, STOP_BULK);
	}
}

static uint64_t bytes_here(void)
{
	uint64_t sum = 0;
	for (long i = 0; i < b.o->concurrent; i++)
		sum += b.streams[i].bulk.bytes;
	return sum;
}

static uint64_t bytes_there(void)
{
	return *b.o->counter - b.counter_before;
}

static void snapshot(void)
{
	uint64_t taken = b.up ? bytes_there() : bytes_here();
	if (!b.o->window.ended) {
		b.taken_began = taken;
		return;
	}
	b.taken_ended = taken;
	ask_for_the_end();
}

static void run(uint64_t deadline)
{
	uint64_t now;
	bool paced = b.up && b.rate;
	while (b.ended < b.o->concurrent && !b.errors && (now = now_ns()) < deadline) {
		if (window_moved(&b.o->window, now))
			snapshot();
		else
			handle_events(paced ? 1 : 50);
		if (paced)
			send_paced();
	}
	while (bytes_here() != bytes_there() && !b.errors && now_ns() < deadline)
		usleep(1000);
}

static int report(void)
{
	const struct window *w = &b.o->window;
	double seconds = window_seconds(w), bytes = (double)(b.taken_ended - b.taken_began);
	long stuck = b.o->concurrent - b.ended;
	if (!b.errors && !stuck && bytes_here() != bytes_there()) {
		b.errors = 1;
		snprintf(b.error, sizeof b.error, "%llu bytes here, %llu there",
			 (unsigned long long)bytes_here(), (unsigned long long)bytes_there());
	}
	printf("{\"connections\": %ld, \"errors\": %ld, \"stuck\": %ld, \"error\": \"%s\", "
	       "\"seconds\": %.4f, \"busy\": %.3f, \"stolen\": %.3f, \"bytes\": %.0f, "
	       "\"gbit\": %.3f}\n",
	       b.o->concurrent, b.errors, stuck, b.error, seconds, window_busy(w), window_stolen(w),
	       bytes, seconds > 0 ? bytes * 8 / seconds / 1e9 : 0);
	return b.errors || stuck;
}

int drive_bulk(struct options *o, bool up)
{
	b.o = o;
	b.up = up;
	b.rate = (uint64_t)(o->rate * 1000000 / 8 / o->concurrent);
	b.counter_before = *o->counter;
	b.streams = allocate((size_t)o->concurrent, sizeof *b.streams);
	b.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (b.epoll < 0)
		die("epoll");
	for (long i = 0; i < o->concurrent; i++) {
		struct stream *t = &b.streams[i];
		t->fd = client_connect(o, (uint32_t)i);
		watch(b.epoll, EPOLL_CTL_ADD, t->fd, EPOLLOUT, t);
	}
	run(now_ns() + (uint64_t)o->seconds * 1000000000u);
	return report();
}
