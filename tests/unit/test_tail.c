// SPDX-License-Identifier: GPL-2.0-or-later
// Those who follow, through a real control socket: who is told what, in which form, in which order,
// and what a slow one or one that leaves costs the others.
#include "slowpath/report/tail.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bpf/abi/reason.h"
#include "tests/unit/test.h"

static struct event_base *base;
static struct control *control;
static char folder[] = "/tmp/tail.XXXXXX";
static char path[100];

static enum control_result handle(void *arg, struct control_call *call)
{
	struct selection f;
	char err[200];

	(void)arg;
	if (selection_parse(call->argc - 1, call->argv + 1, SELECT_TAIL, &f, err, sizeof(err)) == 0)
		return tail_follow(call, &f);
	evbuffer_add_printf(call->out, "%s", err);
	return CONTROL_ERROR;
}

static void turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

/* All that came, until nothing more does. */
static char *hear(int fd)
{
	static char text[4 * CONTROL_STREAM_BYTES];
	size_t len = 0;
	ssize_t n;

	for (int quiet = 0; quiet < 4;) {
		turn();
		n = recv(fd, text + len, sizeof(text) - 1 - len, MSG_DONTWAIT);
		if (n == 0)
			break;
		len += n > 0 ? (size_t)n : 0;
		quiet = n > 0 ? 0 : quiet + 1;
	}
	text[len] = '\0';
	return text;
}

static int dial(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(at.sun_path, path);
	CHECK(connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	turn();
	return fd;
}

static void say(int fd, const char *line)
{
	CHECK(send(fd, line, strlen(line), MSG_NOSIGNAL) == (ssize_t)strlen(line));
}

static int follow(const char *line)
{
	int fd = dial();

	say(fd, line);
	CHECK_STR(hear(fd), "ok\n");
	return fd;
}

static void leave(int fd)
{
	close(fd);
	turn();
}

/* 2026-01-02T03:04:05.678Z, from 192.0.2.CLIENT */
static struct access_entry event(const char *word, uint8_t client, const char *name)
{
	struct access_entry e = {
		.end = { .tv_sec = 1767323045, .tv_nsec = 678000000 },
		.duration_ms = 12,
		.client = { .port = 1234 },
		.dst = { .port = 443 },
		.group = "all",
		.name = name,
		.port = 443,
		.proto = PROTO_TLS,
		.allowed = strcmp(word, "deny") != 0,
		.enforced = true,
		.reason = REASON_OK,
		.rule = "base",
		.path = "kernel",
		.bytes_up = 1,
		.bytes_down = 2,
		.event = word,
	};

	inet_pton(AF_INET6, "::ffff:192.0.2.0", &e.client.ip);
	inet_pton(AF_INET6, "2001:db8::1", &e.dst.ip);
	e.client.ip.s6_addr[15] = client;
	e.connected = e.allowed;
	if (!e.allowed)
		e.reason = REASON_POLICY;
	return e;
}

static void tell(const char *word, uint8_t client, const char *name)
{
	struct access_entry e = event(word, client, name);

	tail_event(&e);
}

static void test_forms(void)
{
	int text, json;

	CHECK(!tail_listening());
	tell("open", 1, "early.test"); /* nobody is told, now or later */
	text = follow("tail\n");
	json = follow("-j tail\n");
	CHECK(tail_listening());
	tell("open", 1, "a.test");
	CHECK_STR(hear(text), "2026-01-02T03:04:05.678Z open 192.0.2.1 a.test:443 2001:db8::1 ok "
			      "rule=base group=all path=kernel up=1 down=2 ms=12\n");
	CHECK_STR(hear(json),
		  "{\"time\":\"2026-01-02T03:04:05.678Z\",\"event\":\"open\","
		  "\"client\":\"192.0.2.1\",\"client_port\":1234,\"group\":\"all\","
		  "\"name\":\"a.test\",\"port\":443,"
		  "\"proto\":\"tls\",\"verdict\":\"allow\",\"reason\":\"ok\",\"rule\":\"base\","
		  "\"path\":\"kernel\",\"bytes_up\":1,\"bytes_down\":2,\"duration_ms\":12,"
		  "\"dst\":\"2001:db8::1\",\"connected\":true,\"enforced\":true}\n");
	tell("deny", 1, "b\n.test"); /* nothing in it ends a line */
	CHECK_STR(hear(text), "2026-01-02T03:04:05.678Z deny 192.0.2.1 b%0A.test:443 - policy "
			      "rule=base group=all path=kernel up=1 down=2 ms=12\n");
	CHECK(strstr(hear(json), "\"name\":\"b\\u000a.test\""));
	leave(text);
	leave(json);
	CHECK(!tail_listening());
}

/* How many lines it was told, and whether all have this in them. */
static int lines(int fd, const char *all_have)
{
	char *save = NULL, *line = strtok_r(hear(fd), "\n", &save);
	int n = 0;

	for (; line; line = strtok_r(NULL, "\n", &save)) {
		CHECK(strstr(line, all_have));
		n++;
	}
	return n;
}

static void test_filters(void)
{
	int denied = follow("tail denied\n"), client = follow("tail client 192.0.2.2\n");
	int name = follow("-j tail name *.a.test\n");
	int both = follow("tail name .a.test denied client 192.0.2.0/30\n");
	struct access_entry reported = event("open", 9, "c.test");

	for (uint8_t i = 1; i <= 4; i++) {
		tell("open", i, "a.test");
		tell("deny", i, "b.a.test");
		tell("end", i, "a.test");
	}
	reported.enforced = false; /* would be denied */
	reported.reason = REASON_POLICY;
	tail_event(&reported);
	CHECK(lines(client, " 192.0.2.2 ") == 3);
	CHECK(lines(name, "\"b.a.test\"") == 4);
	CHECK(lines(both, " deny 192.0.2.") == 3);
	CHECK(lines(denied, " policy ") == 5);
	tail_event(&reported);
	CHECK(lines(denied, " 192.0.2.9 c.test:443 2001:db8::1 policy enforced=no ") == 1);
	tail_note("reload", "is about no client"); /* and not for those */
	CHECK(lines(denied, "") == 0 && lines(client, "") == 0 && lines(name, "") == 0);
	leave(denied);
	leave(client);
	leave(name);
	leave(both);
}

static void test_notes(void)
{
	int text = follow("tail\n"), json = follow("-j tail\n");
	char *got;

	tell("open", 1, "a.test");
	tail_note("reload", "/etc/a\nb: 3 rules");
	tell("end", 1, "a.test");
	got = hear(text);
	CHECK(strstr(got, " open ") && strstr(got, " reload /etc/a?b: 3 rules\n"));
	CHECK(strstr(got, " open ") < strstr(got, " reload "));
	CHECK(strstr(got, " reload ") < strstr(got, " end "));
	CHECK(strstr(hear(json), "\"event\":\"reload\",\"text\":\"/etc/a\\u000ab: 3 rules\"}\n"));
	leave(text);
	leave(json);
	tail_note("reload", "to nobody");
}

/* One takes the place of another, in one turn of the loop with what is still on its way to the
   other: it is not told that. */
static void test_places(void)
{
	int first = follow("tail\n"), second = dial();

	close(first);
	say(second, "tail name other.test\n");
	tell("open", 1, "a.test");
	CHECK_STR(hear(second), "ok\n");
	tell("open", 1, "other.test");
	CHECK(lines(second, " other.test:443 ") == 1);
	leave(second);
}

/* ---- many events, from threads as the workers are ---- */

enum { THREADS = 3, EVENTS = 4000 };

static void *worker(void *arg)
{
	uint8_t client = (uint8_t)(uintptr_t)arg;

	for (int i = 0; i < EVENTS; i++)
		tell(i % 2 ? "open" : "deny", client, "a.test");
	return NULL;
}

/* Lines, and events told as lost. */
static void count(char *text, unsigned *came, unsigned *lost)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned n;

		if (sscanf(line, "lost: %u events", &n) == 1) {
			*lost += n;
		} else {
			CHECK(strncmp(line, "2026-", 5) == 0 && strstr(line, " ms=12"));
			++*came;
		}
	}
}

/* One reads and one does not: each has all events that are its own, or is told how many it has
   not. */
static void test_threads(void)
{
	int reader = follow("tail client 192.0.2.1\n"), stalled = follow("tail\n");
	unsigned came = 0, lost = 0;
	pthread_t threads[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, worker, (void *)(i + 1));
	while (came + lost < EVENTS)
		count(hear(reader), &came, &lost);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK(came + lost == EVENTS);
	came = lost = 0;
	count(hear(stalled), &came, &lost);
	CHECK(lost > 0 && came + lost == THREADS * EVENTS);
	leave(stalled);
	leave(reader);
}

/* Nobody empties the buffer: it is full, and no more than that. */
static void test_full_buffer(void)
{
	int fd = follow("tail\n");
	unsigned came = 0, lost = 0;

	worker((void *)1);
	count(hear(fd), &came, &lost);
	CHECK(lost > 0 && came + lost == EVENTS && came < TAIL_BYTES / 100);
	tell("end", 1, "a.test");
	CHECK(lines(fd, " end ") == 1);
	leave(fd);
}

int main(void)
{
	int last;

	signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(folder))
		return 99;
	snprintf(path, sizeof(path), "%s/sock", folder);
	base = event_base_new();
	CHECK(tail_open(base) == 0);
	CHECK(control_open(&control, base, path, handle, NULL) == 0);
	RUN(test_forms);
	RUN(test_filters);
	RUN(test_notes);
	RUN(test_places);
	RUN(test_threads);
	RUN(test_full_buffer);
	last = follow("tail\n");
	tell("end", 1, "last.test");
	tail_close(); /* passes on what is left */
	tail_close();
	control_close(control);
	CHECK(lines(last, " last.test:443 ") == 1);
	close(last);
	rmdir(folder);
	event_base_free(base);
	TEST_DONE("tail");
}
