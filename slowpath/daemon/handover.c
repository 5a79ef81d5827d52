// SPDX-License-Identifier: GPL-2.0-or-later
// Both sides of the protocol described in handover.h. The new process may block: it serves nobody
// yet.
#include "slowpath/daemon/handover.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"

#define PIECE 128 /* descriptors per message; the kernel allows 253 */
#define TEXT_LEN 1024
#define WAIT_S 10 /* how long to wait for the running process, which may be reloading */

union rights {
	struct cmsghdr align;
	char space[CMSG_SPACE(sizeof(int) * PIECE)];
};

/* ---- the new one ---- */

int handover_connect(const char *control, char *err, size_t err_len)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct timeval wait = { .tv_sec = WAIT_S };
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r;

	if (fd >= 0 && strlen(control) < sizeof(at.sun_path)) {
		memcpy(at.sun_path, control, strlen(control) + 1);
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
		if (connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
			return TAKE_FD(fd);
	}
	r = fd >= 0 && strlen(control) >= sizeof(at.sun_path) ? -ENAMETOOLONG : -errno;
	snprintf(err, err_len, "no sluiced to replace answers at control = %s: %s", control,
		 strerror(-r));
	return r;
}

static int say(int fd, const char *line)
{
	ssize_t n = send(fd, line, strlen(line), MSG_NOSIGNAL);

	return n == (ssize_t)strlen(line) ? 0 : n < 0 ? -errno : -EIO;
}

static int keep(struct passed *p, const int *fds, size_t n)
{
	int *grown = p->n + n > LISTEN_PASSED_MAX ? NULL :
						    realloc(p->fds, (p->n + n) * sizeof(*grown));

	if (!grown) {
		for (size_t i = 0; i < n; i++)
			close(fds[i]);
		return -E2BIG;
	}
	memcpy(grown + p->n, fds, n * sizeof(*fds));
	p->fds = grown;
	p->n += n;
	return 0;
}

static int keep_rights(struct msghdr *msg, struct passed *p)
{
	int fds[PIECE], r = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || n > PIECE)
			continue;
		memcpy(fds, CMSG_DATA(c), n * sizeof(int));
		r = r ?: keep(p, fds, n);
	}
	if (!r && msg->msg_flags & MSG_CTRUNC)
		r = -EMFILE; /* the limit of open files is too low for the descriptors */
	return r;
}

/* Reads the whole answer, and the descriptors that come with it. 0 or -errno. */
static int hear(int fd, char text[TEXT_LEN], struct passed *p)
{
	size_t len = 0;
	ssize_t n;
	int r = 0;

	do {
		union rights rights;
		struct iovec io = { .iov_base = text + len, .iov_len = TEXT_LEN - 1 - len };
		struct msghdr msg = { .msg_iov = &io,
				      .msg_iovlen = 1,
				      .msg_control = &rights,
				      .msg_controllen = sizeof(rights) };

		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		r = keep_rights(&msg, p);
		len += (size_t)n;
	} while (n > 0 && !r && len < TEXT_LEN - 1);
	text[len] = '\0';
	return r;
}

/* 0: the answer is ok, and *rest is what follows it. */
static int understand(char *text, const char **rest, char *err, size_t err_len)
{
	char *p = text + strspn(text, "+");

	if (strncmp(p, "ok\n", 3) == 0) {
		*rest = p + 3;
		return 0;
	}
	if (strncmp(p, "error\n", 6) == 0)
		p += 6;
	p[strcspn(p, "\n")] = '\0';
	snprintf(err, err_len, "the running sluiced refuses: %.200s", *p ? p : "no answer");
	return -EPERM;
}

static int request(int fd, const char *line, struct passed *p, char *text, const char **rest,
		   char *err, size_t err_len)
{
	int r = say(fd, line);

	r = r ?: hear(fd, text, p);
	if (r) {
		snprintf(err, err_len, "the running sluiced does not answer: %s", strerror(-r));
		return r;
	}
	return understand(text, rest, err, err_len);
}

int handover_ask(const char *control, struct passed *out, char *err, size_t err_len)
{
	AUTO_FD int fd = handover_connect(control, err, err_len);
	char text[TEXT_LEN];
	const char *rest;
	size_t n;
	int r;

	if (fd < 0)
		return fd;
	r = request(fd, "handover " HANDOVER_VERSION "\n", out, text, &rest, err, err_len);
	if (r)
		return r;
	if (sscanf(rest, "handover " HANDOVER_VERSION " %zu", &n) != 1 || n != out->n) {
		snprintf(err, err_len, "the running sluiced says it hands over '%.60s', %zu came",
			 rest, out->n);
		return -EPROTO;
	}
	out->whole = true;
	return 0;
}

int handover_done(int fd, char *err, size_t err_len)
{
	AUTO_FD int own = fd;
	struct passed none = { 0 };
	char text[TEXT_LEN];
	const char *rest;
	int r = request(own, "handed-over " HANDOVER_VERSION "\n", &none, text, &rest, err,
			err_len);

	passed_free(&none);
	return r;
}

int handover_process(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int pidfd;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		return -errno;
	pidfd = (int)syscall(SYS_pidfd_open, peer.pid, 0);
	return pidfd < 0 ? -errno : pidfd;
}

int handover_terminate(int pidfd)
{
	AUTO_FD int own = pidfd;

	return syscall(SYS_pidfd_send_signal, own, SIGTERM, NULL, 0) != 0 ? -errno : 0;
}

/* ---- the running one ---- */

const char *handover_refusal(int client, const char *version, int *pid)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (strcmp(version, HANDOVER_VERSION) != 0)
		return "handover: this sluiced speaks version " HANDOVER_VERSION " only";
	if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 ||
	    (peer.uid != 0 && peer.uid != geteuid()))
		return "handover: only for root and for the user it runs as";
	*pid = peer.pid;
	return NULL;
}

int handover_send(int client, const int *fds, size_t n)
{
	for (size_t at = 0, now; at < n; at += now) {
		union rights rights = { 0 };
		struct iovec io = { .iov_base = "+", .iov_len = 1 };
		struct msghdr msg = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = &rights };
		struct cmsghdr *c;

		now = n - at < PIECE ? n - at : PIECE;
		msg.msg_controllen = CMSG_SPACE(now * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(now * sizeof(int));
		memcpy(CMSG_DATA(c), fds + at, now * sizeof(int));
		if (sendmsg(client, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
			return -errno;
	}
	return 0;
}
