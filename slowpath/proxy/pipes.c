// SPDX-License-Identifier: GPL-2.0-or-later
#include "slowpath/proxy/pipes.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int pipes_take(struct pipes *p, int fds[2])
{
	int made[2];

	if (p->n) {
		memcpy(fds, p->spare[--p->n], sizeof(made));
		return 0;
	}
	if (!files_take_pipe(p->files))
		return -EMFILE;
	if (pipe2(made, O_NONBLOCK | O_CLOEXEC) != 0) {
		files_give_pipe(p->files);
		return -errno;
	}
	fcntl(made[1], F_SETPIPE_SZ, PIPE_BYTES);
	memcpy(fds, made, sizeof(made));
	return 0;
}

void pipes_close_one(struct pipes *p, const int fds[2])
{
	close(fds[0]);
	close(fds[1]);
	files_give_pipe(p->files);
}

void pipes_give_back(struct pipes *p, const int fds[2])
{
	if (p->n < SPARE_PIPES)
		memcpy(p->spare[p->n++], fds, sizeof(int[2]));
	else
		pipes_close_one(p, fds);
}

void pipes_close(struct pipes *p)
{
	while (p->n)
		pipes_close_one(p, p->spare[--p->n]);
}
