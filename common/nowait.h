/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing that does not wait, to whatever a descriptor leads to: a pipe that nobody reads, a
 * terminal that is stopped, a socket whose peer sleeps. A regular file takes as long as its disk.
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

/* Takes fd as it is. A pipe without O_NONBLOCK must have no other writer but this process. */
void nowait_init(struct nowait *w, int fd);
/*
 * The same for standard error: others have it too, so O_NONBLOCK is set on a description of our
 * own, if such can be opened; while there are rights to do so, that is at start.
 */
void nowait_init_stderr(struct nowait *w);
/*
 * How much was taken, or -errno; -EAGAIN: there is no room now. To a pipe PIPE_BUF at most, and
 * up to that all or nothing.
 */
ssize_t nowait_write(const struct nowait *w, const void *data, size_t len);

#endif
