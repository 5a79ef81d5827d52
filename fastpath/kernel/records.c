// SPDX-License-Identifier: GPL-2.0-or-later
// A connection's way into the kernel path and out of it. Everything here runs once or twice per
// connection; what is needed more often is in memory shared with the program.
#include "fastpath/kernel/records.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "fastpath/kernel/internal.h"
#include "sluice.skel.h"

#define LINGERING_LOOKS 4 /* at a time: each is a system call or two */

/* True if neither socket is in the map any more. The map is asked, because close() proves nothing:
   a process that reads /proc/PID/fdinfo may hold a socket open for a moment longer. If the map
   cannot be asked, the socket counts as still there. */
static bool has_left(const struct fastpath *fp, uint32_t flow)
{
	int socks = bpf_map__fd(fp->skel->maps.socks);
	int sides = fp->records[flow].u[SIDE_UPSTREAM].paired ? SIDE_COUNT : 1;

	for (int side = 0; side < sides; side++) {
		uint32_t endpoint = ENDPOINT(flow, side);
		uint64_t cookie;

		if (bpf_map_lookup_elem(socks, &endpoint, &cookie) == 0 || errno != ENOENT)
			return false;
	}
	return true;
}

/* All events that the program wrote about the flow until it left the map are in the ring, before
   the position of the next event. */
static void rest(struct fastpath *fp, unsigned worker, uint32_t flow)
{
	if (has_left(fp, flow))
		pool_rest(&fp->pool, worker, flow, ring_written(fp, worker));
	else
		pool_linger(&fp->pool, worker, flow);
}

void flow_let_go(struct fastpath *fp, unsigned worker)
{
	uint32_t n = pool_lingering(&fp->pool, worker);

	for (n = n < LINGERING_LOOKS ? n : LINGERING_LOOKS; n; n--)
		rest(fp, worker, pool_next_lingering(&fp->pool, worker));
	pool_passed(&fp->pool, worker, ring_read(fp, worker));
}

/* Clears all but the incarnation and the name, which is valid only with its length. */
static void clear(struct flow *f)
{
	memset(f->k, 0, sizeof(f->k));
	for (int side = 0; side < SIDE_COUNT; side++)
		memset(&f->u[side], 0, offsetof(struct flow_user, incarnation));
	memset(&f->v, 0, offsetof(struct flow_verdict, name));
}

uint32_t flow_take(struct fastpath *fp, unsigned worker)
{
	uint32_t flow = pool_take(&fp->pool);

	_Static_assert(FLOW_NONE == POOL_NONE, "one word for none");
	if (flow != FLOW_NONE) {
		clear(&fp->records[flow]);
		__atomic_store_n(&fp->records[flow].u[SIDE_CLIENT].worker, worker,
				 __ATOMIC_RELAXED);
	}
	return flow;
}

void flow_give_back(struct fastpath *fp, unsigned worker, uint32_t flow)
{
	struct flow_user *u = &fp->records[flow].u[SIDE_CLIENT];

	__atomic_store_n(&u->incarnation, u->incarnation + 1, __ATOMIC_RELEASE);
	pool_returned(&fp->pool);
	rest(fp, worker, flow);
	flow_let_go(fp, worker);
}

/* Only the worker that has a record ends its incarnation. So if the incarnation is still the
   event's, and the event is in our ring, nobody else can have the record, now or while we look. */
bool flow_is_own(const struct fastpath *fp, unsigned worker, const struct flow_event *e)
{
	const struct flow_user *u;

	if (ENDPOINT_FLOW(e->endpoint) >= fp->capacity)
		return false;
	u = &fp->records[ENDPOINT_FLOW(e->endpoint)].u[SIDE_CLIENT];
	return __atomic_load_n(&u->incarnation, __ATOMIC_ACQUIRE) == e->incarnation &&
	       __atomic_load_n(&u->worker, __ATOMIC_RELAXED) == worker;
}

struct flow *flow_record(const struct fastpath *fp, uint32_t flow)
{
	return &fp->records[flow];
}

int flow_insert(struct fastpath *fp, uint32_t flow, int side, int fd)
{
	uint32_t endpoint = ENDPOINT(flow, side), tag = ENDPOINT_TAG | endpoint;
	uint64_t value = (uint64_t)fd;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &tag, sizeof(tag)) != 0 ||
	    bpf_map_update_elem(bpf_map__fd(fp->skel->maps.socks), &endpoint, &value,
				BPF_NOEXIST) != 0)
		return -errno;
	return 0;
}

void flow_kick(int fd)
{
	int one = 1;

	/* Setting the low-water mark makes TCP call data_ready if anything is queued. */
	setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one));
}
