// SPDX-License-Identifier: GPL-2.0-or-later
// Any bytes to the control socket, in pieces: one answer, at most one request out of it, of words
// that are words; and any words as what is asked of `explain`, `flows`, `tail` and `top`. The first
// byte says how the rest is cut.
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bpf/wire/name.h"
#include "slowpath/control/control.h"
#include "slowpath/daemon/explain.h"
#include "slowpath/report/selection.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct event_base *base;
static struct sockaddr_un at = { .sun_family = AF_UNIX };
static unsigned requests;

static void check_question(const char *client, char *name)
{
	struct explain_question q;
	uint8_t again[NAME_BUF];
	uint32_t len, numeric;
	struct rd in;

	if (explain_parse(client, name, &q))
		return;
	if (q.port == 0 || q.client.bits != 128)
		abort();
	if (q.about.kind == SUBJECT_ADDRESS)
		return;
	rd_init(&in, q.about.name, (uint32_t)q.about.len);
	if (q.about.kind != SUBJECT_NAME || name_normalise(in, again, &len, &numeric) != PARSE_OK ||
	    len != q.about.len || numeric || memcmp(again, q.about.name, len) != 0)
		abort();
}

/* A selection that was taken holds what it says, and selects the name that it was given. */
static void check_filter(int argc, char **argv, unsigned may)
{
	struct selection f;
	char err[200] = "", below[NAME_BUF + 2];
	uint8_t again[NAME_BUF];
	uint32_t len, numeric;
	struct rd in;

	if (selection_parse(argc, argv, may, &f, err, sizeof(err)) != 0) {
		if (!err[0] || strchr(err, '\n'))
			abort();
		return;
	}
	if (f.has & ~may || !(f.has & SELECT_LIMIT) != !f.limit ||
	    !(f.has & SELECT_SORT) != !f.sort)
		abort();
	if (!(f.has & SELECT_NAME))
		return;
	rd_init(&in, (const uint8_t *)f.name, (uint32_t)f.len);
	if (name_normalise(in, again, &len, &numeric) != PARSE_OK || len != f.len ||
	    memcmp(again, f.name, len) != 0)
		abort();
	snprintf(below, sizeof(below), "x.%s", f.name);
	if (selection_has_name(&f, f.name, f.len) != (f.kind != NAME_BELOW) ||
	    selection_has_name(&f, below, f.len + 2) != (f.kind != NAME_HOST) ||
	    selection_has_name(&f, f.name, f.len - 1))
		abort();
}

static void check_top(int argc, char **argv)
{
	struct top_question q;
	char err[200] = "";

	if (selection_parse_top(argc, argv, &q, err, sizeof(err)) != 0) {
		if (!err[0] || strchr(err, '\n'))
			abort();
	} else if ((!q.names && !q.clients) || q.limit < 1 || q.limit > TOP_MOST) {
		abort();
	}
}

static enum control_result handle(void *arg, struct control_call *call)
{
	int argc = call->argc;
	char **argv = call->argv;

	(void)arg;
	requests++;
	if (argc < 1 || argc > CONTROL_WORDS)
		abort();
	for (int i = 0; i < argc; i++) {
		if (!argv[i][0])
			abort();
		for (const char *p = argv[i]; *p; p++)
			if (*p <= ' ' || *p > '~')
				abort();
	}
	evbuffer_add_printf(call->out, "%s", argv[0]);
	check_filter(argc - 1, argv + 1, SELECT_FLOWS);
	check_filter(argc - 1, argv + 1, SELECT_TAIL);
	check_top(argc - 1, argv + 1);
	if (argc == 3)
		check_question(argv[1], argv[2]);
	return argc % 2 ? CONTROL_OK : CONTROL_ERROR;
}

/* A daemon whose socket has no file: nothing is left behind, however we end. */
static void open_daemon(void)
{
	char folder[] = "/tmp/sluice-fuzz-XXXXXX", path[64];
	static struct control *control;
	int fd;

	base = event_base_new();
	if (!base || !mkdtemp(folder))
		abort();
	snprintf(path, sizeof(path), "%s/s", folder);
	if (control_open(&control, base, path, handle, NULL) != 0)
		abort();
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0 || unlink(path) != 0 || rmdir(folder) != 0)
		abort();
	snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d", fd);
}

static void turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static void say(int fd, const uint8_t *data, size_t size, size_t piece)
{
	turn();
	while (size) {
		size_t n = piece < size ? piece : size;

		/* it may have answered, and hung up on the rest */
		if (send(fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			return;
		data += n;
		size -= n;
		turn();
	}
	shutdown(fd, SHUT_WR);
}

/* All it says until it hangs up. */
static size_t hear(int fd, char *text, size_t room)
{
	size_t len = 0;
	ssize_t n;

	for (;;) {
		turn();
		n = recv(fd, text + len, room - len, MSG_DONTWAIT);
		if (n > 0)
			len += (size_t)n;
		else if (n == 0 || errno != EAGAIN)
			return len;
	}
}

static void check_answer(const char *text, size_t len, const uint8_t *data, size_t size)
{
	bool ok = len >= 3 && memcmp(text, "ok\n", 3) == 0;

	if (requests > 1 || (ok && requests != 1))
		abort();
	if (len && !ok && (len < 8 || memcmp(text, "error\n", 6) != 0 || text[len - 1] != '\n'))
		abort();
	/* whoever says a whole line, or too much of one, is answered */
	if (len == 0 && (memchr(data, '\n', size) || size > CONTROL_LINE))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[2 * CONTROL_LINE];
	size_t len;
	int fd;

	if (size < 1 || size > 2 * CONTROL_LINE)
		return 0;
	if (!base)
		open_daemon();
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0)
		abort();
	requests = 0;
	say(fd, data + 1, size - 1, data[0] ? data[0] : size);
	len = hear(fd, text, sizeof(text));
	check_answer(text, len, data + 1, size - 1);
	close(fd);
	turn();
	return 0;
}
