// SPDX-License-Identifier: GPL-2.0-or-later
// A connection's way into the kernel path and out of it. Everything here runs once or twice a
// connection; what runs per byte is memory shared with the program.
#include "fastpath/flow.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "fastpath/fastpath.h"
#include "sluice.skel.h"

/* The longest rested record, else one that was never used: a busy daemon stays with a few. */
static uint32_t take_number(struct fastpath *fp)
{
	const struct resting *oldest = &fp->pool[fp->pool_head];

	if (fp->pool_len && clock_ms() - oldest->since_ms >= FLOW_REST_MS) {
		fp->pool_head = (fp->pool_head + 1) % fp->capacity;
		fp->pool_len--;
		return oldest->flow;
	}
	return fp->used < fp->capacity ? fp->used++ : FLOW_NONE;
}

uint32_t flow_take(struct fastpath *fp)
{
	uint32_t flow;

	pthread_mutex_lock(&fp->pool_lock);
	flow = take_number(fp);
	pthread_mutex_unlock(&fp->pool_lock);
	if (flow != FLOW_NONE) /* but for the name, which is valid only with its length */
		memset(&fp->records[flow], 0, offsetof(struct flow, v.name));
	return flow;
}

void flow_give_back(struct fastpath *fp, uint32_t flow)
{
	pthread_mutex_lock(&fp->pool_lock);
	fp->pool[(fp->pool_head + fp->pool_len) % fp->capacity] =
		(struct resting){ .flow = flow, .since_ms = clock_ms() };
	fp->pool_len++;
	pthread_mutex_unlock(&fp->pool_lock);
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
