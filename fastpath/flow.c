// SPDX-License-Identifier: GPL-2.0-or-later
// A connection's way into the kernel path and out of it. Everything here runs once or twice a
// connection; what runs per byte is memory shared with the program.
#include "fastpath/flow.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "fastpath/fastpath.h"
#include "sluice.skel.h"

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint32_t flow_take(struct fastpath *fp)
{
	uint32_t flow = FLOW_NONE;
	struct resting *oldest;

	pthread_mutex_lock(&fp->pool_lock);
	oldest = &fp->pool[fp->pool_head];
	if (fp->pool_len && (oldest->since_ms == 0 || now_ms() - oldest->since_ms >= FLOW_REST_MS)) {
		flow = oldest->flow;
		fp->pool_head = (fp->pool_head + 1) % fp->capacity;
		fp->pool_len--;
	}
	pthread_mutex_unlock(&fp->pool_lock);
	if (flow != FLOW_NONE)
		memset(&fp->records[flow], 0, sizeof(struct flow));
	return flow;
}

void flow_give_back(struct fastpath *fp, uint32_t flow, const uint64_t cookies[SIDE_COUNT])
{
	int endpoints = bpf_map__fd(fp->skel->maps.endpoints);

	for (int side = 0; side < SIDE_COUNT; side++)
		if (cookies[side])
			bpf_map_delete_elem(endpoints, &cookies[side]);
	pthread_mutex_lock(&fp->pool_lock);
	fp->pool[(fp->pool_head + fp->pool_len) % fp->capacity] =
		(struct resting){ .flow = flow, .since_ms = now_ms() };
	fp->pool_len++;
	pthread_mutex_unlock(&fp->pool_lock);
}

struct flow *flow_record(const struct fastpath *fp, uint32_t flow)
{
	return &fp->records[flow];
}

int flow_insert(struct fastpath *fp, uint32_t flow, int side, int fd, uint64_t *cookie)
{
	struct endpoint end = { .flow = flow, .side = (uint32_t)side };
	int endpoints = bpf_map__fd(fp->skel->maps.endpoints);
	uint64_t key, value = (uint64_t)fd;
	socklen_t len = sizeof(key);
	int err;

	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &key, &len) != 0)
		return -errno;
	if (bpf_map_update_elem(endpoints, &key, &end, BPF_ANY) != 0)
		return -errno;
	if (bpf_map_update_elem(bpf_map__fd(fp->skel->maps.socks), &key, &value, BPF_NOEXIST) != 0) {
		err = -errno;
		bpf_map_delete_elem(endpoints, &key);
		return err;
	}
	*cookie = key;
	return 0;
}

void flow_kick(int fd)
{
	int one = 1;

	/* Setting the low-water mark makes TCP call data_ready if anything is queued. */
	setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one));
}

void flow_pair(struct fastpath *fp, uint32_t flow, const uint64_t cookies[SIDE_COUNT])
{
	struct flow *f = &fp->records[flow];

	__atomic_store_n(&f->u[SIDE_UPSTREAM].peer, cookies[SIDE_CLIENT], __ATOMIC_RELEASE);
	__atomic_store_n(&f->u[SIDE_CLIENT].peer, cookies[SIDE_UPSTREAM], __ATOMIC_RELEASE);
}
