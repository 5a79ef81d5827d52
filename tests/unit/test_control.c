// SPDX-License-Identifier: GPL-2.0-or-later
// The control socket against clients that do not behave. The daemon's loop and the clients
// share this thread: a client's step, then turns of the loop until it has had its effect.
#include "slowpath/control/control.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/test.h"

#define BIG 300000

static struct event_base *base;
static struct control *control;
static char folder[] = "/tmp/control.XXXXXX";
static char path[100];
static unsigned calls;

static struct control_client *kept[CONTROL_CLIENTS]; /* by the number they gave */
static unsigned gone;

static void on_gone(void *arg)
{
	struct control_client **slot = arg;

	*slot = NULL;
	gone++;
}

/* "later N", "follow N": the client is kept in slot N. */
static enum control_result keep(struct control_call *call)
{
	struct control_client **slot = &kept[atoi(call->argv[1])];
	bool later = strcmp(call->argv[0], "later") == 0;

	if (!(later ? control_wait : control_stream)(call, on_gone, slot))
		return CONTROL_ERROR;
	*slot = call->client;
	return later ? CONTROL_LATER : CONTROL_STREAM;
}

static enum control_result handle(void *arg, struct control_call *call)
{
	CHECK(arg == &calls);
	CHECK(call->uid == getuid());
	calls++;
	if (call->argc == 2 &&
	    (strcmp(call->argv[0], "later") == 0 || strcmp(call->argv[0], "follow") == 0))
		return keep(call);
	if (strcmp(call->argv[0], "fail") == 0) {
		evbuffer_add_printf(call->out, "it did not work");
		return CONTROL_ERROR;
	}
	if (strcmp(call->argv[0], "big") == 0) {
		for (int i = 0; i < BIG; i++)
			evbuffer_add(call->out, "x", 1);
		return CONTROL_OK;
	}
	evbuffer_add_printf(call->out, "%s%d", call->json ? "json " : "", call->argc);
	for (int i = 0; i < call->argc; i++)
		evbuffer_add_printf(call->out, " [%s]", call->argv[i]);
	evbuffer_add(call->out, "\n", 1);
	return CONTROL_OK;
}

static void turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static int dial(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(at.sun_path, path);
	CHECK(connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	return fd;
}

static void say(int fd, const char *text, size_t len)
{
	CHECK(send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len);
}

/* All the daemon says until it hangs up; closes. */
static const char *hear(int fd)
{
	static char text[BIG + 16];
	size_t len = 0;
	ssize_t n;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (;;) {
		turn();
		n = recv(fd, text + len, sizeof(text) - 1 - len, 0);
		if (n > 0)
			len += (size_t)n;
		else if (n == 0 || errno != EAGAIN)
			break;
	}
	CHECK(n == 0);
	text[len] = '\0';
	close(fd);
	turn();
	return text;
}

static const char *ask(const char *text, size_t len)
{
	int fd = dial();

	say(fd, text, len);
	return hear(fd);
}

#define ASK(text) ask(text, sizeof(text) - 1)

static void test_answers(void)
{
	CHECK_STR(ASK("status\n"), "ok\n1 [status]\n");
	CHECK_STR(ASK("-j status\n"), "ok\njson 1 [status]\n");
	CHECK_STR(ASK("  explain   10.1.0.2  a:443 \n"), "ok\n3 [explain] [10.1.0.2] [a:443]\n");
	CHECK_STR(ASK("1 2 3 4 5 6 7 8 9 a b c\n"),
		  "ok\n12 [1] [2] [3] [4] [5] [6] [7] [8] [9] [a] [b] [c]\n");
	CHECK_STR(ASK("fail\n"), "error\nit did not work\n");
	CHECK_STR(ASK("one\ntwo\n"), "ok\n1 [one]\n"); /* one request a connection */
	CHECK(strlen(ASK("big\n")) == BIG + 3);
}

static void test_bad_lines(void)
{
	char longest[CONTROL_LINE + 64];
	unsigned before = calls;

	CHECK_STR(ASK("\n"), "error\nno verb\n");
	CHECK_STR(ASK("   \n"), "error\nno verb\n");
	CHECK_STR(ASK("-j\n"), "error\nno verb\n");
	CHECK_STR(ASK("1 2 3 4 5 6 7 8 9 a b c d\n"), "error\ntoo many words\n");
	CHECK_STR(ASK("sta\0tus\n"), "error\nnot printable ASCII\n");
	CHECK_STR(ASK("\0\n"), "error\nnot printable ASCII\n");
	CHECK_STR(ASK("status\r\n"), "error\nnot printable ASCII\n");
	CHECK_STR(ASK("st\xc3\xa4tus\n"), "error\nnot printable ASCII\n");
	CHECK_STR(ASK("a\tb\n"), "error\nnot printable ASCII\n");
	memset(longest, 'x', sizeof(longest));
	CHECK_STR(ask(longest, sizeof(longest)), "error\nline too long\n");
	CHECK_STR(ask(longest, CONTROL_LINE + 1), "error\nline too long\n");
	CHECK(calls == before);
	longest[CONTROL_LINE] = '\n';
	CHECK(strncmp(ask(longest, CONTROL_LINE + 1), "ok\n1 [xxx", 9) == 0);
	CHECK(calls == before + 1);
}

static void test_slow_and_gone(void)
{
	static const char line[] = "status now\n";
	unsigned before = calls;
	int fd = dial();

	for (size_t i = 0; i < sizeof(line) - 1; i++) {
		say(fd, line + i, 1);
		turn();
	}
	CHECK_STR(hear(fd), "ok\n2 [status] [now]\n");
	fd = dial();
	say(fd, "half a li", 9);
	turn();
	close(fd);
	turn();
	fd = dial();
	turn();
	close(fd);
	turn();
	/* hangs up with its answer unread */
	fd = dial();
	say(fd, "big\n", 4);
	turn();
	close(fd);
	turn();
	/* ends its side first, as `nc -N` does */
	fd = dial();
	say(fd, "status\n", 7);
	shutdown(fd, SHUT_WR);
	CHECK_STR(hear(fd), "ok\n1 [status]\n");
	CHECK(calls == before + 3);
}

/* ---- answers that come later ---- */

/* All the daemon has said so far. */
static const char *hear_some(int fd)
{
	static char text[CONTROL_STREAM_BYTES * 4];
	size_t len = 0;
	ssize_t n;

	for (int quiet = 0; quiet < 4;) {
		turn();
		n = recv(fd, text + len, sizeof(text) - 1 - len, MSG_DONTWAIT);
		CHECK(n != 0);
		if (n > 0)
			len += (size_t)n;
		quiet = n > 0 ? 0 : quiet + 1;
	}
	text[len] = '\0';
	return text;
}

static int keep_one(const char *line)
{
	int fd = dial();

	say(fd, line, strlen(line));
	hear_some(fd);
	return fd;
}

static void test_later(void)
{
	int fd = keep_one("later 0\n"), other = keep_one("later 1\n");

	CHECK(kept[0] && kept[1] && gone == 0);
	CHECK_STR(ASK("status\n"), "ok\n1 [status]\n"); /* others are served meanwhile */
	control_finish(kept[1], false, "it did not work");
	CHECK_STR(hear(other), "error\nit did not work\n");
	say(fd, "more\n", 5);  /* nobody listens to that */
	shutdown(fd, SHUT_WR); /* nor is this a hanging up */
	CHECK_STR(hear_some(fd), "");
	CHECK(gone == 0);
	control_finish(kept[0], true, "done\n");
	CHECK_STR(hear(fd), "ok\ndone\n");
	CHECK(gone == 0);
	/* hangs up: with its side ended before, and without */
	fd = keep_one("later 0\n");
	shutdown(fd, SHUT_WR);
	turn();
	CHECK(kept[0] && gone == 0);
	close(fd);
	turn();
	CHECK(!kept[0] && gone == 1);
	close(keep_one("later 0\n"));
	turn();
	CHECK(!kept[0] && gone == 2);
	gone = 0;
}

/* Who says nothing is told so in the end, by the daemon's clock, which does not tick for those that
   have asked and wait. */
static void test_silent(void)
{
	int fd = keep_one("later 0\n");
	int follower = keep_one("follow 1\n");

	CHECK_STR(ASK(""), "error\ntoo slow\n");
	CHECK(kept[0] && kept[1] && gone == 0);
	control_finish(kept[0], true, "done\n");
	CHECK_STR(hear(fd), "ok\ndone\n");
	close(follower);
	turn();
	CHECK(!kept[1] && gone == 1);
	gone = 0;
}

/* Who talks without end while it waits is cut off. */
static void test_talker(void)
{
	char text[CONTROL_LINE * 16];
	int fd = keep_one("later 0\n");

	memset(text, 'x', sizeof(text));
	say(fd, text, sizeof(text));
	turn();
	CHECK(!kept[0] && gone == 1);
	close(fd);
	gone = 0;
}

static void test_stream(void)
{
	int fd = keep_one("follow 0\n");

	control_write(kept[0], "one\n", 4);
	CHECK_STR(hear_some(fd), "one\n");
	control_write(kept[0], "two\n", 4);
	control_write(kept[0], "three\n", 6);
	CHECK_STR(hear_some(fd), "two\nthree\n");
	shutdown(fd, SHUT_WR);
	CHECK_STR(hear_some(fd), "");
	control_write(kept[0], "four\n", 5);
	control_lost(kept[0], 7);
	CHECK_STR(hear_some(fd), "four\nlost: 7 events, for which there was no room\n");
	close(fd);
	control_write(kept[0], "five\n", 5); /* found out by writing */
	CHECK(kept[0] && gone == 0);
	turn();
	CHECK(!kept[0] && gone == 1);
	gone = 0;
}

/* Events that came whole, those told as lost; none is cut, and all are accounted for. */
static void count_events(char *text, unsigned *came, unsigned *lost)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned n;

		if (sscanf(line, "{\"event\":\"lost\",\"lost\":%u}", &n) == 1) {
			*lost += n;
		} else {
			CHECK(strlen(line) == 99);
			++*came;
		}
	}
}

static void test_stalled_stream(void)
{
	enum { EVENTS = 20000 };
	static char text[EVENTS * 100 + 1000];
	char event[100];
	unsigned came = 0, lost = 0;
	int fd = keep_one("-j follow 0\n");

	memset(event, 'e', sizeof(event));
	event[sizeof(event) - 1] = '\n';
	for (int i = 0; i < EVENTS; i++) {
		control_write(kept[0], event, sizeof(event));
		if (i % 1000 == 0)
			turn();
	}
	CHECK_STR(ASK("status\n"), "ok\n1 [status]\n");
	strcpy(text, hear_some(fd));
	count_events(text, &came, &lost);
	CHECK(lost > 0 && came + lost == EVENTS);
	CHECK(came * sizeof(event) > CONTROL_STREAM_BYTES / 2);
	control_write(kept[0], "after\n", 6); /* and goes on */
	CHECK_STR(hear_some(fd), "after\n");
	close(fd);
	turn();
	CHECK(gone == 1);
	gone = 0;
}

/* Those that stay leave room for those that only ask. */
static void test_bounds(void)
{
	int fds[CONTROL_KEPT], n = 0;
	char line[32], want[80];

	for (; n < CONTROL_KEPT; n++) {
		snprintf(line, sizeof(line), "%s %d\n", n < CONTROL_STREAMS ? "follow" : "later",
			 n);
		fds[n] = keep_one(line);
		CHECK(kept[n]);
		if (n == CONTROL_STREAMS - 1)
			CHECK(strncmp(ASK("follow 30\n"), "error\ntoo many", 14) == 0);
	}
	snprintf(want, sizeof(want), "error\ntoo many clients wait or follow already (%d)\n",
		 CONTROL_KEPT);
	CHECK_STR(ASK("later 30\n"), want);
	CHECK_STR(ASK("status\n"), "ok\n1 [status]\n");
	for (int i = 0; i < n; i++)
		close(fds[i]);
	turn();
	CHECK(gone == CONTROL_KEPT);
	gone = 0;
}

static void test_close_with_waiting(void)
{
	int later = keep_one("later 0\n"), follow = keep_one("follow 1\n");
	char text[80];
	ssize_t n;

	control_write(kept[1], "last\n", 5);
	control_close(control);
	control = NULL;
	CHECK(gone == 2 && !kept[0] && !kept[1]);
	n = recv(later, text, sizeof(text), 0);
	CHECK(n > 6 && strncmp(text, "error\n", 6) == 0);
	CHECK(recv(follow, text, sizeof(text), 0) == 5 && recv(follow, text, sizeof(text), 0) == 0);
	close(later);
	close(follow);
}

static void test_many(void)
{
	int fds[CONTROL_CLIENTS + 8];
	size_t n = sizeof(fds) / sizeof(fds[0]);
	struct pollfd last;

	for (size_t i = 0; i < n; i++) {
		fds[i] = dial();
		say(fds[i], "status", 6);
		turn();
	}
	/* The last ones are not served while the others sit there ... */
	say(fds[n - 1], "\n", 1);
	turn();
	last = (struct pollfd){ .fd = fds[n - 1], .events = POLLIN };
	CHECK(poll(&last, 1, 0) == 0);
	/* ... and are when they are gone. */
	for (size_t i = 0; i < n - 1; i++)
		close(fds[i]);
	CHECK_STR(hear(fds[n - 1]), "ok\n1 [status]\n");
	CHECK_STR(ASK("status\n"), "ok\n1 [status]\n");
}

static void test_socket_file(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct control *second = NULL;
	char longest[200];
	struct stat st;
	int fd;

	CHECK(stat(path, &st) == 0 && S_ISSOCK(st.st_mode) && (st.st_mode & 07777) == 0660);
	CHECK(control_open(&second, base, path, handle, &calls) == -EADDRINUSE);
	CHECK(second == NULL);
	CHECK_STR(ASK("status\n"), "ok\n1 [status]\n");
	control_close(control);
	CHECK(stat(path, &st) != 0);
	/* left behind by one that crashed */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(at.sun_path, path);
	CHECK(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	close(fd);
	CHECK(control_open(&control, base, path, handle, &calls) == 0);
	CHECK_STR(ASK("status\n"), "ok\n1 [status]\n");
	/* a successor's file is not ours to remove */
	CHECK(unlink(path) == 0);
	CHECK(control_open(&second, base, path, handle, &calls) == 0);
	control_close(control);
	CHECK(stat(path, &st) == 0);
	control = second;
	CHECK_STR(ASK("status\n"), "ok\n1 [status]\n");
	CHECK(control_open(&second, base, folder, handle, &calls) == -ENOTSOCK);
	CHECK(control_open(&second, base, "", handle, &calls) == -EINVAL);
	CHECK(control_open(&second, base, "/nonexistent/x", handle, &calls) == -ENOENT);
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	CHECK(control_open(&second, base, longest, handle, &calls) == -ENAMETOOLONG);
}

int main(void)
{
	int fd;

	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	if (!mkdtemp(folder))
		return 99;
	snprintf(path, sizeof(path), "%s/sock", folder);
	base = event_base_new();
	CHECK(control_open(&control, base, path, handle, &calls) == 0);
	RUN(test_answers);
	RUN(test_bad_lines);
	RUN(test_slow_and_gone);
	RUN(test_many);
	RUN(test_later);
	RUN(test_talker);
	RUN(test_stream);
	RUN(test_stalled_stream);
	RUN(test_bounds);
	RUN(test_silent);
	RUN(test_socket_file);
	fd = dial();
	turn();
	RUN(test_close_with_waiting);
	control_close(control);
	control_close(NULL);
	close(fd);
	rmdir(folder);
	event_base_free(base);
	TEST_DONE("control");
}
