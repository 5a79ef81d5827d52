// SPDX-License-Identifier: GPL-2.0-or-later
// The control socket. A client goes through three steps, each bounded by one timer: its line
// is read, the answer is written, and what it still says is thrown away until it hangs up (a
// UNIX socket closed with unread bytes would take the answer back with ECONNRESET).
#include "slowpath/control.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"

#define SOCKET_MODE 0660
#define BACKLOG 16

enum step { STEP_READ, STEP_WRITE, STEP_LINGER };

static const struct timeval deadlines[] = {
	[STEP_READ] = { .tv_sec = 5 },
	[STEP_WRITE] = { .tv_sec = 20 },
	[STEP_LINGER] = { .tv_sec = 1 },
};
static const struct timeval accept_pause = { .tv_sec = 1 }; /* after running out of something */

struct client {
	TAILQ_ENTRY(client) link;
	struct control *control;
	int fd;
	enum step step;
	struct event *io;    /* readable, or writable in STEP_WRITE */
	struct event *timer;
	struct evbuffer *answer;
	size_t len;
	char line[CONTROL_LINE + 1];
};

TAILQ_HEAD(client_list, client);

struct control {
	struct event_base *base;
	control_handler fn;
	void *arg;
	int fd;
	struct event *accept;
	struct event *pause; /* accepts again when it fires */
	struct client_list clients;
	unsigned n_clients;
	struct sockaddr_un at;
	dev_t dev; /* the file that is ours to unlink */
	ino_t ino;
};

static void client_free(struct client *c)
{
	struct control *control = c->control;

	if (c->io)
		event_free(c->io);
	if (c->timer)
		event_free(c->timer);
	if (c->answer)
		evbuffer_free(c->answer);
	close(c->fd);
	TAILQ_REMOVE(&control->clients, c, link);
	control->n_clients--;
	event_add(control->accept, NULL);
	free(c);
}

static void on_client(evutil_socket_t fd, short what, void *arg);

/* Frees the client and returns false when it cannot wait. */
static bool client_step(struct client *c, enum step step)
{
	short what = step == STEP_WRITE ? EV_WRITE : EV_READ;

	c->step = step;
	event_del(c->io);
	event_assign(c->io, c->control->base, c->fd, (short)(what | EV_PERSIST), on_client, c);
	if (event_add(c->io, NULL) == 0 && evtimer_add(c->timer, &deadlines[step]) == 0)
		return true;
	client_free(c);
	return false;
}

static void client_write(struct client *c)
{
	while (evbuffer_get_length(c->answer) > 0) {
		if (evbuffer_write(c->answer, c->fd) > 0)
			continue;
		if (errno != EAGAIN && errno != EINTR)
			client_free(c);
		return;
	}
	shutdown(c->fd, SHUT_WR);
	client_step(c, STEP_LINGER);
}

/* Takes `text`, makes it the answer and begins to send it. */
static void client_answer(struct client *c, bool ok, struct evbuffer *text)
{
	if (!ok)
		evbuffer_add(text, "\n", 1);
	if (ok)
		evbuffer_prepend(text, "ok\n", 3);
	else
		evbuffer_prepend(text, "error\n", 6);
	c->answer = text;
	if (client_step(c, STEP_WRITE))
		client_write(c);
}

static void client_refuse(struct client *c, const char *why)
{
	struct evbuffer *text = evbuffer_new();

	if (!text) {
		client_free(c);
		return;
	}
	evbuffer_add(text, why, strlen(why));
	client_answer(c, false, text);
}

/* The number of words; more than fit is one too many. */
static int split(char *line, char *words[CONTROL_WORDS + 1])
{
	char *save = NULL, *word = strtok_r(line, " ", &save);
	int n = 0;

	for (; word && n <= CONTROL_WORDS; word = strtok_r(NULL, " ", &save))
		words[n++] = word;
	return n;
}

static bool is_printable(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] < 0x20 || p[i] > 0x7e)
			return false;
	return true;
}

/* A whole line, without its newline. */
static void client_request(struct client *c, size_t len)
{
	char *words[CONTROL_WORDS + 1], **argv = words;
	struct control *control = c->control;
	struct evbuffer *out;
	bool json = false;
	int argc;

	if (!is_printable(c->line, len)) {
		client_refuse(c, "not printable ASCII");
		return;
	}
	c->line[len] = '\0';
	argc = split(c->line, words);
	if (argc > CONTROL_WORDS) {
		client_refuse(c, "too many words");
		return;
	}
	if (argc > 0 && strcmp(argv[0], "-j") == 0) {
		json = true;
		argv++;
		argc--;
	}
	if (argc == 0) {
		client_refuse(c, "no verb");
		return;
	}
	out = evbuffer_new();
	if (!out)
		client_free(c);
	else
		client_answer(c, control->fn(control->arg, argc, argv, json, out), out);
}

static void client_read(struct client *c)
{
	size_t room = sizeof(c->line) - c->len;
	ssize_t n = read(c->fd, c->line + c->len, room);
	char *eol;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_free(c); /* hung up before the end of its line */
		return;
	}
	eol = memchr(c->line + c->len, '\n', (size_t)n);
	c->len += (size_t)n;
	if (eol)
		client_request(c, (size_t)(eol - c->line));
	else if (c->len > CONTROL_LINE)
		client_refuse(c, "line too long");
}

static void client_discard(struct client *c)
{
	ssize_t n = read(c->fd, c->line, sizeof(c->line));

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		client_free(c);
}

static void on_client(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;

	(void)fd;
	(void)what;
	if (c->step == STEP_READ)
		client_read(c);
	else if (c->step == STEP_WRITE)
		client_write(c);
	else
		client_discard(c);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;

	(void)fd;
	(void)what;
	if (c->step == STEP_READ)
		client_refuse(c, "too slow");
	else
		client_free(c);
}

static void client_new(struct control *control, int fd)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return;
	}
	c->control = control;
	c->fd = fd;
	TAILQ_INSERT_TAIL(&control->clients, c, link);
	if (++control->n_clients == CONTROL_CLIENTS)
		event_del(control->accept); /* the rest wait in the backlog */
	c->io = event_new(control->base, fd, EV_READ | EV_PERSIST, on_client, c);
	c->timer = evtimer_new(control->base, on_deadline, c);
	if (!c->io || !c->timer)
		client_free(c);
	else
		client_step(c, STEP_READ);
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct control *control = arg;
	int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	if (client >= 0) {
		client_new(control, client);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
		event_del(control->accept); /* it would only be ready again at once */
		evtimer_add(control->pause, &accept_pause);
	}
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
	struct control *control = arg;

	(void)fd;
	(void)what;
	if (control->n_clients < CONTROL_CLIENTS)
		event_add(control->accept, NULL);
}

/* 0: nobody is there and the path is free. */
static int clear_path(const struct sockaddr_un *at)
{
	AUTO_FD int fd = -1;
	struct stat st;

	if (lstat(at->sun_path, &st) != 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* A full backlog (EAGAIN) is somebody, too. */
	if (connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0 || errno == EAGAIN)
		return -EADDRINUSE;
	if (errno != ECONNREFUSED)
		return -errno;
	return unlink(at->sun_path) == 0 || errno == ENOENT ? 0 : -errno;
}

/* The listening socket or -errno. */
static int listen_at(const struct sockaddr_un *at)
{
	AUTO_FD int fd = -1;
	int rc = clear_path(at);

	if (rc != 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* The file is made with the socket's mode less umask: at no time is it open to all. */
	if (fchmod(fd, SOCKET_MODE) != 0 ||
	    bind(fd, (const struct sockaddr *)at, sizeof(*at)) != 0)
		return -errno;
	if (chmod(at->sun_path, SOCKET_MODE) != 0 || listen(fd, BACKLOG) != 0) {
		rc = -errno;
		unlink(at->sun_path);
		return rc;
	}
	return TAKE_FD(fd);
}

/* 0 or -errno; control_close() takes down what was made. */
static int set_up(struct control *c, const char *path)
{
	struct stat st;
	int fd;

	c->at.sun_family = AF_UNIX;
	if (path[0] == '\0')
		return -EINVAL;
	if (strlen(path) >= sizeof(c->at.sun_path))
		return -ENAMETOOLONG;
	memcpy(c->at.sun_path, path, strlen(path) + 1);
	fd = listen_at(&c->at);
	if (fd < 0)
		return fd;
	c->fd = fd;
	if (lstat(path, &st) != 0)
		return -errno;
	c->dev = st.st_dev;
	c->ino = st.st_ino;
	c->accept = event_new(c->base, fd, EV_READ | EV_PERSIST, on_accept, c);
	c->pause = evtimer_new(c->base, on_pause_over, c);
	if (!c->accept || !c->pause || event_add(c->accept, NULL) != 0)
		return -ENOMEM;
	return 0;
}

int control_open(struct control **out, struct event_base *base, const char *path,
		 control_handler fn, void *arg)
{
	struct control *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return -ENOMEM;
	*c = (struct control){ .base = base, .fn = fn, .arg = arg, .fd = -1 };
	TAILQ_INIT(&c->clients);
	rc = set_up(c, path);
	if (rc != 0) {
		control_close(c);
		return rc;
	}
	*out = c;
	return 0;
}

void control_close(struct control *c)
{
	struct client *client;
	struct stat st;

	if (!c)
		return;
	while ((client = TAILQ_FIRST(&c->clients)))
		client_free(client);
	if (c->accept)
		event_free(c->accept);
	if (c->pause)
		event_free(c->pause);
	/* Not the one a successor has put in its place. */
	if (c->ino != 0 && lstat(c->at.sun_path, &st) == 0 && st.st_dev == c->dev &&
	    st.st_ino == c->ino)
		unlink(c->at.sun_path);
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}
