/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pipes for splice(2), lent to connections while they carry in bulk. Those that come back empty are
 * kept for the next, SPARE_PIPES at most. Used by one thread; slowpath/proxy/files.h says how
 * many there may be in all.
 */
#ifndef SLUICE_SLOWPATH_PROXY_PIPES_H
#define SLUICE_SLOWPATH_PROXY_PIPES_H

#include "slowpath/proxy/files.h"

#define SPARE_PIPES 64
#define PIPE_BYTES (256 * 1024) /* asked for; a smaller pipe is slower, not wrong */

struct pipes {
	struct files *files;
	int spare[SPARE_PIPES][2];
	unsigned n;
};

/* Takes an empty pipe. 0, or -errno with fds as it was: copy instead. */
int pipes_take(struct pipes *p, int fds[2]);
void pipes_give_back(struct pipes *p, const int fds[2]); /* it is empty again */
void pipes_close_one(struct pipes *p, const int fds[2]); /* it is not empty */
void pipes_close(struct pipes *p);			 /* the spare ones */

#endif
