// SPDX-License-Identifier: GPL-2.0-or-later
// O_NONBLOCK belongs to the open file, which others share (a shell, its other children). So where
// it is not set, poll() tells whether there is room, and no more is written than fits.
#include "common/nowait.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void nowait_init(struct nowait *w, int fd)
{
	struct stat st = { .st_mode = 0 };

	w->fd = fd;
	w->kind = NOWAIT_OTHER;
	(void)fstat(fd, &st);
	if (S_ISREG(st.st_mode))
		w->kind = NOWAIT_FILE;
	else if (S_ISSOCK(st.st_mode))
		w->kind = NOWAIT_SOCKET;
}

void nowait_init_stderr(struct nowait *w)
{
	int own;

	nowait_init(w, STDERR_FILENO);
	if (w->kind != NOWAIT_OTHER)
		return; /* reopening a file would lose its offset, and a socket needs no flag */
	own = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (own >= 0)
		w->fd = own;
}

static ssize_t write_other(int fd, const void *data, size_t len)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	if (poll(&p, 1, 0) == 0)
		return -EAGAIN;
	return write(fd, data, len < PIPE_BUF ? len : PIPE_BUF);
}

ssize_t nowait_write(const struct nowait *w, const void *data, size_t len)
{
	ssize_t n;

	do {
		errno = EAGAIN;
		if (w->kind == NOWAIT_SOCKET)
			n = send(w->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		else if (w->kind == NOWAIT_FILE)
			n = write(w->fd, data, len);
		else
			n = write_other(w->fd, data, len);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}
