/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The door to the kernel path, for the slow path: put a connection into it, pair it, read what
 * the kernel says of it, take it out. Rules: shared memory with the verdict program, told in
 * bpf/abi/flow.h and ARCHITECTURE.md ("The hand-over").
 *
 * A flow is a number, the index of its record. A record is lent to one worker at a time. One that
 * was given back rests until the program cannot touch it any more for the old connection and that
 * worker's ring has nothing more to tell of it; ARCHITECTURE.md, "When a record is lent again".
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
 * A record for a new connection of this worker, zeroed, or FLOW_NONE when there is none. Both are
 * called by the worker's thread, or before that runs. We have closed both sockets when it is given
 * back.
 */
uint32_t flow_take(struct fastpath *fp, unsigned worker);
void flow_give_back(struct fastpath *fp, unsigned worker, uint32_t flow);
struct flow *flow_record(const struct fastpath *fp, uint32_t flow);

/*
 * Puts one socket into the map, so that the program sees all that arrives from now on. 0, or
 * -EOPNOTSUPP and others: it stays in user space for good, which is no error.
 */
int flow_insert(struct fastpath *fp, uint32_t flow, int side, int fd);
/* Makes the program see what arrived before the insertion. */
void flow_kick(int fd);

/* Before the socket of `side` is put in: what user space has read from it until now, and written.
 */
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

/* What the program writes and user space must read in order, and the other way round. */

static inline uint32_t flow_state(const struct flow *f)
{
	return __atomic_load_n(&f->v.state, __ATOMIC_ACQUIRE);
}

/* The kernel lost the thread of one direction: the connection is to be reset. */
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

/* Publishes forwarded, then looks whether more was passed meanwhile: true if so. */
static inline bool flow_forwarded(struct flow *f, int side, uint64_t total)
{
	__atomic_store_n(&f->u[side].forwarded, total, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&f->k[side].passed, __ATOMIC_SEQ_CST) != total;
}

/* QUIET_*. After more is asked for than before, the caller looks: what came meanwhile is not told.
 */
static inline void flow_set_quiet(struct flow *f, int side, uint32_t quiet)
{
	__atomic_store_n(&f->u[side].quiet, quiet, __ATOMIC_SEQ_CST);
}

/*
 * Hands the verdict on (bpf/abi/flow.h): from NEW to LOOK user space takes it over, from LOOK to
 * OPAQUE it says that nothing is left. false: `from` is past, and the record is as it was.
 */
static inline bool flow_hand_on(struct flow *f, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(&f->v.state, &from, to, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

/*
 * The events of one worker: a descriptor to poll, and a reader that calls fn for each; it reads a
 * bounded number, and the descriptor stays readable while there are more. What it has read of
 * connections that have ended lets their records go: flow_let_go() does nothing else.
 */
int flow_ring_fd(const struct fastpath *fp, unsigned worker);
void flow_ring_read(struct fastpath *fp, unsigned worker,
		    void (*fn)(void *ctx, const struct flow_event *e), void *ctx);
void flow_let_go(struct fastpath *fp, unsigned worker);
/* Whether it is of a connection that this worker has now. */
bool flow_is_own(const struct fastpath *fp, unsigned worker, const struct flow_event *e);
/* How many events of this worker were lost so far: if it grew, look at every flow. */
uint64_t flow_lost(const struct fastpath *fp, unsigned worker);

#endif
