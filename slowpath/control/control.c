// SPDX-License-Identifier: GPL-2.0-or-later
// The control socket. A client goes through three steps, each bounded by one timer: its line
// is read, the answer is written, and what it still sends is discarded until it hangs up (a UNIX
// socket closed with unread bytes would take the answer back with ECONNRESET). Two steps have no
// timer, since only the client and the verb know when they are over: waiting for an answer, and a
// stream.
#include "slowpath/control/control.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
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

#define IDLE_READS 8 /* of CONTROL_LINE bytes: a waiting client that sends more is cut off */
#define STREAM_BATCH (64 * 1024) /* with more in a stream's buffer, writing is tried at once */
#define NOTE_LEN 80		 /* room kept in a stream for the note of how many were lost */

enum step { STEP_READ, STEP_WRITE, STEP_LINGER, STEP_WAIT, STEP_STREAM };

static const struct timeval deadlines[] = {
	[STEP_READ] = { .tv_sec = 5 },
	[STEP_WRITE] = { .tv_sec = 20 },
	[STEP_LINGER] = { .tv_sec = 1 },
};
static const struct timeval accept_pause = { .tv_sec = 1 }; /* after running out of something */

struct control_client {
	TAILQ_ENTRY(control_client) link;
	struct control *control;
	int fd;
	uid_t uid;
	enum step step;
	struct event *io; /* readable, or writable in STEP_WRITE; both, by edges, in a stream */
	struct event *timer;
	struct evbuffer *answer;
	control_gone gone; /* of a verb that waits or streams */
	void *gone_arg;
	uint64_t lost; /* events of a stream that did not fit, not yet reported to the client */
	bool json;
	bool stalled; /* the stream's socket takes nothing now */
	size_t len;
	char line[CONTROL_LINE + 1];
};

TAILQ_HEAD(client_list, control_client);

struct control {
	struct event_base *base;
	control_handler fn;
	void *arg;
	int fd;
	struct event *accept;
	struct event *pause; /* accepts again when it fires */
	struct client_list clients;
	unsigned n_clients, n_kept; /* kept: those that wait or stream */
	struct sockaddr_un at;
	dev_t dev; /* the file that is ours to unlink */
	ino_t ino;
};

/* The verb has nothing to do with this client any more. */
static void client_release(struct control_client *c)
{
	if (c->gone)
		c->control->n_kept--;
	c->gone = NULL;
}

static void client_free(struct control_client *c)
{
	struct control *control = c->control;
	control_gone gone = c->gone;
	void *gone_arg = c->gone_arg;

	client_release(c);
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
	if (gone)
		gone(gone_arg);
}

static void on_client(evutil_socket_t fd, short what, void *arg);

/* Frees the client and returns false when it cannot wait. */
static bool client_step(struct control_client *c, enum step step)
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

static void client_write(struct control_client *c)
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
static void client_answer(struct control_client *c, bool ok, struct evbuffer *text)
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

static void client_refuse(struct control_client *c, const char *why)
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

static bool client_keep(struct control_call *call, enum step step, unsigned most, control_gone gone,
			void *arg)
{
	struct control_client *c = call->client;

	if (c->control->n_kept >= most) {
		evbuffer_add_printf(call->out, "too many clients wait or follow already (%u)",
				    c->control->n_kept);
		return false;
	}
	c->control->n_kept++;
	c->gone = gone;
	c->gone_arg = arg;
	c->json = call->json;
	c->step = step;
	return true;
}

bool control_wait(struct control_call *call, control_gone gone, void *arg)
{
	return client_keep(call, STEP_WAIT, CONTROL_KEPT, gone, arg);
}

bool control_stream(struct control_call *call, control_gone gone, void *arg)
{
	return client_keep(call, STEP_STREAM, CONTROL_STREAMS, gone, arg);
}

/* By edges: the end of the client's sending side is seen once, and its hanging up once more. */
static void client_rest(struct control_client *c, struct evbuffer *out)
{
	short what = c->step == STEP_STREAM ? EV_READ | EV_WRITE : EV_READ;

	c->answer = out;
	event_del(c->timer);
	event_del(c->io);
	event_assign(c->io, c->control->base, c->fd, (short)(what | EV_PERSIST | EV_ET), on_client,
		     c);
	if (c->step == STEP_STREAM)
		evbuffer_prepend(out, "ok\n", 3);
	if (event_add(c->io, NULL) != 0)
		client_free(c);
}

static void client_call(struct control_client *c, struct control_call *call)
{
	struct control *control = c->control;
	enum control_result result = control->fn(control->arg, call);

	if (result == CONTROL_LATER || result == CONTROL_STREAM) {
		if (!c->gone || (c->step == STEP_STREAM) != (result == CONTROL_STREAM))
			abort();
		client_rest(c, call->out);
		return;
	}
	client_release(c); /* a verb that thought better of it */
	client_answer(c, result == CONTROL_OK, call->out);
}

/* A whole line, without its newline. */
static void client_request(struct control_client *c, size_t len)
{
	char *words[CONTROL_WORDS + 1];
	struct control_call call = { .argv = words, .client = c, .uid = c->uid };

	if (!is_printable(c->line, len)) {
		client_refuse(c, "not printable ASCII");
		return;
	}
	c->line[len] = '\0';
	call.argc = split(c->line, words);
	if (call.argc > CONTROL_WORDS) {
		client_refuse(c, "too many words");
		return;
	}
	if (call.argc > 0 && strcmp(call.argv[0], "-j") == 0) {
		call.json = true;
		call.argv++;
		call.argc--;
	}
	if (call.argc == 0) {
		client_refuse(c, "no verb");
		return;
	}
	call.out = evbuffer_new();
	if (!call.out)
		client_free(c);
	else
		client_call(c, &call);
}

static void client_read(struct control_client *c)
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

static void client_discard(struct control_client *c)
{
	ssize_t n = read(c->fd, c->line, sizeof(c->line));

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		client_free(c);
}

/* Discards what a waiting client sends. False if it hung up or keeps sending; one that only closed
   its sending side (`nc -N`) still wants the answer. */
static bool client_listens(struct control_client *c)
{
	char unread[CONTROL_LINE];
	struct pollfd at = { .fd = c->fd };

	for (int i = 0; i < IDLE_READS; i++) {
		ssize_t n = read(c->fd, unread, sizeof(unread));

		if (n > 0)
			continue;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return false;
		return poll(&at, 1, 0) == 0;
	}
	return false;
}

/* Notes how many events were lost, where they would have been. */
static void stream_note(struct control_client *c)
{
	if (c->lost == 0 || evbuffer_get_length(c->answer) + NOTE_LEN > CONTROL_STREAM_BYTES)
		return;
	evbuffer_add_printf(c->answer,
			    c->json ? "{\"event\":\"lost\",\"lost\":%" PRIu64 "}\n" :
				      "lost: %" PRIu64 " events, for which there was no room\n",
			    c->lost);
	c->lost = 0;
}

/* Writes what the socket takes. false: it is broken. */
static bool stream_flush(struct control_client *c)
{
	while (evbuffer_get_length(c->answer) > 0) {
		if (evbuffer_write(c->answer, c->fd) > 0) {
			stream_note(c);
		} else if (errno == EAGAIN) {
			c->stalled = true; /* an edge will tell */
			return true;
		} else if (errno != EINTR) {
			return false;
		}
	}
	return true;
}

static void stream_room(struct control_client *c)
{
	c->stalled = false;
	if (!stream_flush(c))
		client_free(c);
}

static void on_client(evutil_socket_t fd, short what, void *arg)
{
	struct control_client *c = arg;

	(void)fd;
	if (c->step == STEP_READ)
		client_read(c);
	else if (c->step == STEP_WRITE)
		client_write(c);
	else if (c->step == STEP_LINGER)
		client_discard(c);
	else if (what & EV_READ && !client_listens(c))
		client_free(c);
	else if (what & EV_WRITE)
		stream_room(c);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct control_client *c = arg;

	(void)fd;
	(void)what;
	if (c->step == STEP_READ)
		client_refuse(c, "too slow");
	else
		client_free(c);
}

static uid_t peer_uid(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 ? peer.uid : (uid_t)-1;
}

static void client_new(struct control *control, int fd)
{
	struct control_client *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return;
	}
	c->control = control;
	c->fd = fd;
	c->uid = peer_uid(fd);
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
		event_del(control->accept); /* or it would be ready again at once */
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
	/* A full backlog (EAGAIN) means that somebody is there, too. */
	if (connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0 || errno == EAGAIN)
		return -EADDRINUSE;
	if (errno != ECONNREFUSED)
		return -errno;
	return unlink(at->sun_path) == 0 || errno == ENOENT ? 0 : -errno;
}

/* The file is made with its mode: so it is never open to all, and there is no later call by name,
   which might reach another file. */
static int bind_at(int fd, const struct sockaddr_un *at)
{
	mode_t mask = umask(0777 & ~SOCKET_MODE);
	int rc = bind(fd, (const struct sockaddr *)at, sizeof(*at)) != 0 ? -errno : 0;

	umask(mask);
	return rc;
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
	rc = bind_at(fd, at);
	if (rc != 0)
		return rc;
	if (listen(fd, BACKLOG) != 0) {
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

void control_finish(struct control_client *c, bool ok, const char *text)
{
	struct evbuffer *out = c->answer;

	if (c->step != STEP_WAIT || !out)
		abort(); /* or called from within the verb */
	client_release(c);
	c->answer = NULL;
	evbuffer_add(out, text, strlen(text));
	client_answer(c, ok, out);
}

/* Events that come together share a write, which the loop makes when they are all there. */
void control_write(struct control_client *c, const char *text, size_t len)
{
	size_t waits;

	if (c->step != STEP_STREAM || !c->answer)
		abort(); /* or called from within the verb */
	stream_note(c);
	waits = evbuffer_get_length(c->answer);
	if (c->lost || waits + len + NOTE_LEN > CONTROL_STREAM_BYTES ||
	    evbuffer_add(c->answer, text, len) != 0)
		c->lost++;
	else if (waits == 0)
		event_active(c->io, EV_WRITE, 0);
	else if (waits > STREAM_BATCH && !c->stalled)
		stream_flush(c); /* if it is broken, the loop finds that again */
}

void control_lost(struct control_client *c, uint64_t events)
{
	c->lost += events;
	stream_note(c);
	event_active(c->io, EV_WRITE, 0);
}

/* Tells a waiting client why there is no answer, and writes what is left of a stream, if that can
   be done at once. */
static void say_goodbye(struct control_client *c)
{
	static const char why[] = "error\nsluiced has stopped before it was done\n";

	if (c->step == STEP_WAIT)
		send(c->fd, why, sizeof(why) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	else if (c->step == STEP_STREAM)
		stream_flush(c);
}

int control_move(struct control *c, const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	memcpy(to.sun_path, path, strlen(path) + 1);
	if (rename(c->at.sun_path, path) != 0)
		return -errno;
	c->at = to;
	return 0;
}

int control_socket(const struct control_client *client)
{
	return client->fd;
}

void control_close(struct control *c)
{
	struct control_client *client;
	struct stat st;

	if (!c)
		return;
	while ((client = TAILQ_FIRST(&c->clients))) {
		say_goodbye(client);
		client_free(client);
	}
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
