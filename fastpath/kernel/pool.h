/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which flow records are free, and which rest. It handles numbers only: what a record is, and how
 * far a ring has been read, is the caller's business.
 *
 * A record is lent to one worker, and that worker gives it back into a queue of its own, with the
 * position up to which its ring must be read before the record may be lent again. So no one has a
 * record about which a ring still holds an event.
 */
#ifndef SLUICE_FASTPATH_KERNEL_POOL_H
#define SLUICE_FASTPATH_KERNEL_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define POOL_NONE UINT32_MAX

/* A record that is not lent is in exactly one list. */
struct pool_link {
	uint32_t next;
	uint64_t until; /* while it rests: a position in the ring */
};

/* First in, first out. */
struct pool_queue {
	uint32_t head, tail, len;
};

/* Belongs to one worker; no other thread touches it. */
struct pool_worker {
	struct pool_queue resting;   /* until the ring has been read up to their positions */
	struct pool_queue lingering; /* not known to have left the map of sockets */
};

struct pool {
	struct pool_link *links; /* one for each record */
	struct pool_worker *workers;
	uint32_t capacity;
	_Atomic uint32_t lent;

	pthread_mutex_t lock; /* guards the rest */
	uint32_t free; /* the last one freed is the first one lent, so that a busy daemon keeps
			  using the same few */
	uint32_t used; /* numbers from here on have never been lent */
};

/* 0 or -ENOMEM; pool_close() may be called after either. */
int pool_open(struct pool *p, uint32_t capacity, unsigned workers);
void pool_close(struct pool *p);

/* POOL_NONE: there is none. Any thread. */
uint32_t pool_take(struct pool *p);
size_t pool_lent(const struct pool *p);

/* The record is back; the next call says when it may be lent again. */
void pool_returned(struct pool *p);
/* The record becomes free when the worker's ring has been read up to `until`. From call to call
   `until` never decreases. */
void pool_rest(struct pool *p, unsigned worker, uint32_t record, uint64_t until);
/* The worker's ring has been read up to `position`. */
void pool_passed(struct pool *p, unsigned worker, uint64_t position);
/* The record may still be in the map of sockets, so its rest cannot begin: the worker will look
   again. */
void pool_linger(struct pool *p, unsigned worker, uint32_t record);
uint32_t pool_lingering(const struct pool *p, unsigned worker);
uint32_t pool_next_lingering(struct pool *p, unsigned worker); /* the oldest, taken out */

#endif
