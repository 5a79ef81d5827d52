// SPDX-License-Identifier: GPL-2.0-or-later
// The control socket against clients that do not behave. The daemon's loop and the clients
// share this thread: a client's step, then turns of the loop until it has had its effect.
#include "slowpath/control.h"

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

static bool handle(void *arg, int argc, char **argv, bool json, struct evbuffer *out)
{
	CHECK(arg == &calls);
	calls++;
	if (strcmp(argv[0], "fail") == 0) {
		evbuffer_add_printf(out, "it did not work");
		return false;
	}
	if (strcmp(argv[0], "big") == 0) {
		for (int i = 0; i < BIG; i++)
			evbuffer_add(out, "x", 1);
		return true;
	}
	evbuffer_add_printf(out, "%s%d", json ? "json " : "", argc);
	for (int i = 0; i < argc; i++)
		evbuffer_add_printf(out, " [%s]", argv[i]);
	evbuffer_add(out, "\n", 1);
	return true;
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
	CHECK_STR(ASK("1 2 3 4 5 6 7 8\n"), "ok\n8 [1] [2] [3] [4] [5] [6] [7] [8]\n");
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
	CHECK_STR(ASK("1 2 3 4 5 6 7 8 9\n"), "error\ntoo many words\n");
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

/* Says nothing: is told so in the end, by the daemon's clock. */
static void test_silent(void)
{
	int fd = dial();

	CHECK_STR(hear(fd), "error\ntoo slow\n");
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
	test_answers();
	test_bad_lines();
	test_slow_and_gone();
	test_many();
	test_silent();
	test_socket_file();
	fd = dial();
	turn();
	control_close(control); /* with a client */
	control_close(NULL);
	close(fd);
	rmdir(folder);
	event_base_free(base);
	TEST_DONE("control");
}
