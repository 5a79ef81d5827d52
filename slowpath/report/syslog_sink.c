// SPDX-License-Identifier: GPL-2.0-or-later
// Not syslog(3): that waits for ever for a daemon that does not read, and does not say when there
// is none.
#include "slowpath/report/syslog_sink.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "slowpath/report/log_line.h"

#define IDENT_LEN 32
#define HEAD_LEN 96 /* priority, time, who */

struct syslog_sink {
	struct sockaddr_un at;
	char ident[IDENT_LEN];
	int fd;
	bool stream;
	char text[HEAD_LEN + LOG_LINE_LEN]; /* the message being sent */
	size_t len, sent;		    /* 0: none */
};

/* ---- the connection ---- */

static void disconnect(struct syslog_sink *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->sent = 0;
}

static int connect_as(struct syslog_sink *s, int type)
{
	int err;

	s->fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return -errno;
	s->stream = type == SOCK_STREAM;
	if (connect(s->fd, (struct sockaddr *)&s->at, sizeof(s->at)) == 0)
		return 0;
	err = errno == EAGAIN ? -ECONNREFUSED :
				-errno; /* its backlog is full, and there is no event to wait for */
	disconnect(s);
	return err;
}

static int connect_any(struct syslog_sink *s)
{
	int err = connect_as(s, SOCK_DGRAM);

	return err == -EPROTOTYPE ? connect_as(s, SOCK_STREAM) : err;
}

/* ---- messages ---- */

/* Formats a message as local daemons do: local time and no host name. In a stream, a NUL ends a
   message. */
static int frame(struct syslog_sink *s, const char *line, size_t len)
{
	time_t now = time(NULL);
	char when[32];
	struct tm tm;
	int head;

	localtime_r(&now, &tm);
	strftime(when, sizeof(when), "%b %e %H:%M:%S", &tm);
	head = snprintf(s->text, HEAD_LEN, "<%d>%s %s[%ld]: ", LOG_DAEMON | LOG_INFO, when,
			s->ident, (long)getpid());
	if (len >= sizeof(s->text) - (size_t)head)
		return -EMSGSIZE;
	memcpy(s->text + head, line, len);
	s->text[(size_t)head + len] = '\0';
	s->len = (size_t)head + len;
	s->sent = 0;
	return 0;
}

static int push(struct syslog_sink *s)
{
	size_t all = s->len + s->stream;

	while (s->sent < all) {
		ssize_t n =
			send(s->fd, s->text + s->sent, all - s->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			s->sent += (size_t)n;
	}
	return 0;
}

/* A restarted syslog daemon has another socket at the same place, so try once more. */
static int send_framed(struct syslog_sink *s)
{
	bool fresh = s->fd < 0;
	int err;

	for (;;) {
		err = s->fd < 0 ? connect_any(s) : 0;
		if (err)
			return err;
		err = push(s);
		if (err == 0 || err == -EAGAIN || err == -EMSGSIZE)
			return err;
		disconnect(s);
		if (fresh)
			return err;
		fresh = true;
	}
}

int syslog_sink_send(struct syslog_sink *s, const char *line, size_t len)
{
	int err = s->len ? 0 : frame(s, line, len);

	err = err ?: send_framed(s);
	if (err != -EAGAIN)
		s->len = 0;
	return err;
}

int syslog_sink_fd(const struct syslog_sink *s)
{
	return s->fd;
}

void syslog_sink_reset(struct syslog_sink *s)
{
	disconnect(s);
	s->len = 0;
}

int syslog_sink_open(struct syslog_sink **out, const char *path, const char *ident)
{
	struct syslog_sink *s;

	if (strlen(path) >= sizeof(s->at.sun_path))
		return -ENAMETOOLONG;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->fd = -1;
	s->at.sun_family = AF_UNIX;
	memcpy(s->at.sun_path, path, strlen(path));
	snprintf(s->ident, sizeof(s->ident), "%s", ident);
	*out = s;
	return 0;
}

void syslog_sink_close(struct syslog_sink *s)
{
	if (!s)
		return;
	disconnect(s);
	free(s);
}
