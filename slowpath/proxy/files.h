/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The descriptors that the process may open, and what they are for: two for each connection that
 * max_connections allows, those that the rest of the daemon has or may need, and what is left for
 * the pipes of splice(2). Pipes never take a descriptor that a connection needs.
 */
#ifndef SLUICE_SLOWPATH_PROXY_FILES_H
#define SLUICE_SLOWPATH_PROXY_FILES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct files {
	uint64_t limit;
	uint64_t connections, daemon, pipes; /* how many are set aside for each */
	_Atomic int64_t pipes_left;	     /* pipes that may still be opened; any thread */
};

/* Raises the limit as far as it may be raised. To be called first of all. */
void files_raise(struct files *f);
/* To be called when everything is open that is opened before the first connection. */
void files_divide(struct files *f, unsigned max_connections, unsigned workers);
/* How many are needed: with fewer, connections wait. */
static inline uint64_t files_wanted(const struct files *f)
{
	return f->connections + f->daemon;
}
/* false: no pipe may be opened, so copy. */
bool files_take_pipe(struct files *f);
void files_give_pipe(struct files *f); /* the pipe was closed */

/* How many descriptors the process has open; -1: not known. */
int64_t files_open(void);

#endif
