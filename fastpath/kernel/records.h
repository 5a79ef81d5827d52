/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The slow path's door to the kernel path: put a connection into it, pair it, read what the kernel
 * says of it, take it out. The rules for the memory shared with the verdict program are in
 * bpf/abi/flow.h and ARCHITECTURE.md ("The hand-over").
 *
 * A flow is a number, the index of its record. A record is lent to one worker at a time. After it
 * is given back it rests until the program can no longer touch it for the old connection and that
 * worker's ring holds no more events about it; see ARCHITECTURE.md, "When a record is lent again".
 */
#ifndef SLUICE_FASTPATH_KERNEL_RECORDS_H
#define SLUICE_FASTPATH_KERNEL_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/abi/flow.h"

struct fastpath;

#define FLOW_NONE UINT32_MAX

/*
 * flow_take() returns a zeroed record for a new connection of this worker, or FLOW_NONE if there is
 * none left. Both functions are called by the worker's thread, or before it runs. Close both
 * sockets before giving a record back.
 */
uint32_t flow_take(struct fastpath *fp, unsigned worker);
void flow_give_back(struct fastpath *fp, unsigned worker, uint32_t flow);
struct flow *flow_record(const struct fastpath *fp, uint32_t flow);

/*
 * Puts one socket into the map, so that the program sees all that arrives from now on. 0, or -errno
 * (-EOPNOTSUPP and others): the connection stays in user space for good, which is not an error.
 */
int flow_insert(struct fastpath *fp, uint32_t flow, int side, int fd);
/* Makes the program see what arrived before the insertion. */
void flow_kick(int fd);

/* Called before the socket of `side` is put in: how much user space has read from it so far, and
   how much it has written. */
static inline void flow_set_carried(struct flow *f, int side, uint64_t read, uint64_t written)
{
	f->k[side].passed = read;
	f->u[side].forwarded = written;
}

/* Both sockets are in the map: from here on the kernel may carry. */
static inline void flow_pair(struct flow *f)
{
	for (int side = 0; side < SIDE_COUNT; side++)
		__atomic_store_n(&f->u[side].paired, 1, __ATOMIC_RELEASE);
}

/* Loads and stores of what one side writes and the other must read in order. */

static inline uint32_t flow_state(const struct flow *f)
{
	return __atomic_load_n(&f->v.state, __ATOMIC_ACQUIRE);
}

/* The kernel lost track of one direction: the connection must be reset. */
static inline bool flow_broken(const struct flow *f)
{
	return __atomic_load_n(&f->k[SIDE_CLIENT].broken, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&f->k[SIDE_UPSTREAM].broken, __ATOMIC_RELAXED);
}

static inline uint64_t flow_passed(const struct flow *f, int side)
{
	return __atomic_load_n(&f->k[side].passed, __ATOMIC_ACQUIRE);
}

static inline uint64_t flow_redirected(const struct flow *f, int side)
{
	return __atomic_load_n(&f->k[side].redirected, __ATOMIC_ACQUIRE);
}

/* Publishes forwarded, then checks whether more was passed meanwhile: true if so. */
static inline bool flow_forwarded(struct flow *f, int side, uint64_t total)
{
	__atomic_store_n(&f->u[side].forwarded, total, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&f->k[side].passed, __ATOMIC_SEQ_CST) != total;
}

/* QUIET_*. After asking for more events than before the caller must look itself, because what came
   meanwhile is not reported. */
static inline void flow_set_quiet(struct flow *f, int side, uint32_t quiet)
{
	__atomic_store_n(&f->u[side].quiet, quiet, __ATOMIC_SEQ_CST);
}

/*
 * Hands the verdict on (bpf/abi/flow.h): from NEW to LOOK user space takes it over, from LOOK to
 * OPAQUE it declares that nothing is left to judge. false: the state is no longer `from`, and the
 * record is unchanged.
 */
static inline bool flow_hand_on(struct flow *f, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(&f->v.state, &from, to, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

/*
 * The events of one worker: a descriptor to poll, and a reader that calls fn for each; it reads a
 * bounded number, and the descriptor stays readable while there are more. Reading also frees the
 * records of ended connections whose events have been read; flow_let_go() does only that.
 */
int flow_ring_fd(const struct fastpath *fp, unsigned worker);
void flow_ring_read(struct fastpath *fp, unsigned worker,
		    void (*fn)(void *ctx, const struct flow_event *e), void *ctx);
void flow_let_go(struct fastpath *fp, unsigned worker);
/* Whether the event is about a connection that this worker has now. */
bool flow_is_own(const struct fastpath *fp, unsigned worker, const struct flow_event *e);
/* How many of this worker's events have been lost so far: if the number grew, look at every
   flow. */
uint64_t flow_lost(const struct fastpath *fp, unsigned worker);

#endif
