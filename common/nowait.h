/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes without waiting, whatever the descriptor leads to: a pipe that nobody reads, a stopped
 * terminal, a socket whose peer sleeps. A regular file takes as long as its disk does.
 */
#ifndef SLUICE_COMMON_NOWAIT_H
#define SLUICE_COMMON_NOWAIT_H

#include <stddef.h>
#include <sys/types.h>

enum nowait_kind { NOWAIT_FILE, NOWAIT_SOCKET, NOWAIT_OTHER };

struct nowait {
	int fd;
	enum nowait_kind kind;
};

/* Uses fd as it is. A pipe without O_NONBLOCK must have no writer but this process. */
void nowait_init(struct nowait *w, int fd);
/*
 * The same for standard error. Others share it, so O_NONBLOCK is set on an open file description of
 * our own, if we can open one. To be called at start, while we have the rights.
 */
void nowait_init_stderr(struct nowait *w);
/*
 * How many bytes were written, or -errno; -EAGAIN: there is no room now. To a pipe at most
 * PIPE_BUF, and up to that size all or nothing.
 */
ssize_t nowait_write(const struct nowait *w, const void *data, size_t len);

#endif
