/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which records of flows are free, and which rest. Numbers only: what a record is, and where a
 * ring has got to, is the caller's to know.
 *
 * A record is lent to one worker, and that worker gives it back: into a queue of its own, with the
 * position up to which its ring must be read before the record may be lent again. So nobody has
 * a record of which a ring still has something to tell.
 */
#ifndef SLUICE_FASTPATH_KERNEL_POOL_H
#define SLUICE_FASTPATH_KERNEL_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define POOL_NONE UINT32_MAX

/* A record that is lent to nobody is in one list. */
struct pool_link {
	uint32_t next;
	uint64_t until; /* while it rests: a position of the ring */
};

/* First in, first out. */
struct pool_queue {
	uint32_t head, tail, len;
};

/* One worker's, and touched by that worker alone. */
struct pool_worker {
	struct pool_queue resting;   /* until its ring has been read so far */
	struct pool_queue lingering; /* not known to have left the map of sockets */
};

struct pool {
	struct pool_link *links; /* one a record */
	struct pool_worker *workers;
	uint32_t capacity;
	_Atomic uint32_t lent;

	pthread_mutex_t lock; /* guards the rest */
	uint32_t free;	      /* the last that became free is the first to be lent: a busy daemon
				 stays with a few */
	uint32_t used;	      /* those from here on were never lent */
};

/* 0 or -ENOMEM; pool_close() is fine after both. */
int pool_open(struct pool *p, uint32_t capacity, unsigned workers);
void pool_close(struct pool *p);

/* POOL_NONE: there is none. Any thread. */
uint32_t pool_take(struct pool *p);
size_t pool_lent(const struct pool *p);

/* It is back; the next call says when it may be lent again. */
void pool_returned(struct pool *p);
/* Free when the worker's ring has been read up to `until`, a position that never goes back. */
void pool_rest(struct pool *p, unsigned worker, uint32_t record, uint64_t until);
/* The worker's ring has been read up to `position`. */
void pool_passed(struct pool *p, unsigned worker, uint64_t position);
/* Not even the time from which it has to rest is known: the worker asks for it again. */
void pool_linger(struct pool *p, unsigned worker, uint32_t record);
uint32_t pool_lingering(const struct pool *p, unsigned worker);
uint32_t pool_next_lingering(struct pool *p, unsigned worker); /* the oldest, taken out */

#endif
