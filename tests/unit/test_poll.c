// SPDX-License-Identifier: GPL-2.0-or-later
// What is told of sockets, and that nothing is told of one that was closed, be it still there.
#include "slowpath/proxy/poll.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/test.h"

#define MANY 200 /* more than the first places, and more than a batch */

static struct event_base *base;
static struct poller poller;
static unsigned calls;
static struct poll_item *last;
static struct poll_item *to_close;

static void on_news(struct poll_item *item, uint32_t events)
{
	CHECK(events & EPOLLIN);
	calls++;
	last = item;
	if (to_close)
		poll_closed(&poller, to_close);
	to_close = NULL;
}

static unsigned turn(void)
{
	calls = 0;
	event_base_loop(base, EVLOOP_NONBLOCK);
	return calls;
}

static void test_told(void)
{
	struct poll_item items[MANY] = { 0 };
	int pair[MANY][2];

	for (int i = 0; i < MANY; i++) {
		CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]) == 0);
		CHECK(poll_watch(&poller, &items[i], pair[i][0], EPOLLIN) == 0);
	}
	CHECK(turn() == 0);
	CHECK(write(pair[MANY - 1][1], "x", 1) == 1);
	CHECK(turn() == 1 && last == &items[MANY - 1]);
	CHECK(write(pair[3][1], "x", 1) == 1);
	CHECK(turn() == 1 && last == &items[3]);
	for (int i = 0; i < MANY; i++) {
		close(pair[i][0]);
		poll_closed(&poller, &items[i]);
		close(pair[i][1]);
	}
	CHECK(turn() == 0);
}

static void test_closed_while_others_are_told(void)
{
	struct poll_item items[2] = { 0 };
	int pair[2][2];

	for (int i = 0; i < 2; i++) {
		CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]) == 0);
		CHECK(poll_watch(&poller, &items[i], pair[i][0], EPOLLIN) == 0);
		CHECK(write(pair[i][1], "x", 1) == 1);
	}
	to_close = &items[1];
	CHECK(turn() == 1 && last == &items[0]);
	poll_closed(&poller, &items[0]);
	for (int i = 0; i < 2; i++) {
		close(pair[i][0]);
		close(pair[i][1]);
	}
}

/* Somebody holds the socket that we have closed, and its peer speaks to it. */
static void test_held_by_another(void)
{
	struct poll_item item = { 0 };
	int before[2], now[2], held;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, before) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, now) == 0);
	CHECK(poll_watch(&poller, &item, before[0], EPOLLIN) == 0);
	held = dup(before[0]);
	close(before[0]);
	poll_closed(&poller, &item);
	memset(&item, 0, sizeof(item)); /* its memory is another's now */
	CHECK(poll_watch(&poller, &item, now[0], EPOLLIN) == 0);
	CHECK(write(before[1], "x", 1) == 1);
	CHECK(turn() == 0);
	CHECK(write(now[1], "x", 1) == 1);
	CHECK(turn() == 1 && last == &item);
	close(now[0]);
	poll_closed(&poller, &item);
	CHECK(write(before[1], "x", 1) == 1);
	CHECK(turn() == 0);
	close(held);
	close(before[1]);
	close(now[1]);
}

static void test_not_watched(void)
{
	struct poll_item item = { 0 };

	CHECK(poll_watch(&poller, &item, -1, EPOLLIN) != 0 && item.watched == 0);
	poll_closed(&poller, &item);
}

int main(void)
{
	base = event_base_new();
	CHECK(base && poller_open(&poller, base, on_news) == 0);
	RUN(test_told);
	RUN(test_closed_while_others_are_told);
	RUN(test_held_by_another);
	RUN(test_not_watched);
	poller_close(&poller);
	event_base_free(base);
	TEST_DONE("poll");
}
