/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The descriptors that the process may open, and what they are for: two for each connection that
 * max_connections allows, what the rest of the daemon has or may need, and what is left is for the
 * pipes of splice(2). A connection is never refused for want of one because another has pipes.
 */
#ifndef SLUICE_SLOWPATH_PROXY_FILES_H
#define SLUICE_SLOWPATH_PROXY_FILES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct files {
	uint64_t limit;
	uint64_t connections, daemon, pipes; /* what is set aside for them */
	_Atomic int64_t pipes_left;	     /* of pairs that may be opened; any thread */
};

/* Raises the limit as far as it may be raised. First of all. */
void files_raise(struct files *f);
/* When all is open that is open before the first connection. */
void files_divide(struct files *f, unsigned max_connections, unsigned workers);
/* Without them connections wait. */
static inline uint64_t files_wanted(const struct files *f)
{
	return f->connections + f->daemon;
}
/* false: there is no pipe for you, copy. */
bool files_take_pipe(struct files *f);
void files_give_pipe(struct files *f); /* it is closed */

/* How many the process has open; -1: that is not known. */
int64_t files_open(void);

#endif
