/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scope-bound cleanup: a variable frees what it holds when its block ends, unless the value was
 * taken out of it with TAKE().
 */
#ifndef SLUICE_COMMON_CLEANUP_H
#define SLUICE_COMMON_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define TAKE(var)                                                                                  \
	({                                                                                         \
		__typeof__(var) taken_ = (var);                                                    \
		(var) = 0;                                                                         \
		taken_;                                                                            \
	})
/* The same for a descriptor, where 0 is a valid value. */
#define TAKE_FD(var)                                                                               \
	({                                                                                         \
		int taken_ = (var);                                                                \
		(var) = -1;                                                                        \
		taken_;                                                                            \
	})

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define AUTO_FREE CLEANUP(cleanup_free)
#define AUTO_FD CLEANUP(cleanup_fd)
#define AUTO_FILE CLEANUP(cleanup_file)

#endif
