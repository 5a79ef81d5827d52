// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel path of a build without BPF (./configure --enable-bpf=no): opening it fails and says
// why, so the other functions are never reached.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastpath/kernel/fastpath.h"
#include "fastpath/kernel/records.h"

int fastpath_open(struct fastpath **out, const struct conf *conf, unsigned workers, char *why,
		  size_t why_len)
{
	(void)out;
	(void)conf;
	(void)workers;
	snprintf(why, why_len, "this sluiced was built without BPF");
	return -ENOTSUP;
}

int fastpath_prepare(struct fastpath *fp, const struct policy *p, char *why, size_t why_len)
{
	(void)fp;
	(void)p;
	(void)why;
	(void)why_len;
	abort();
}

int fastpath_switch(struct fastpath *fp, const struct policy *p, char *why, size_t why_len)
{
	(void)fp;
	(void)p;
	(void)why;
	(void)why_len;
	abort();
}

int fastpath_load_policy(struct fastpath *fp, const struct policy *p, char *why, size_t why_len)
{
	(void)fp;
	(void)p;
	(void)why;
	(void)why_len;
	abort();
}

int fastpath_load_changes(struct fastpath *fp, const struct policy *p, char *why, size_t why_len)
{
	(void)fp;
	(void)p;
	(void)why;
	(void)why_len;
	abort();
}

int fastpath_publish(struct fastpath *fp, char *why, size_t why_len)
{
	(void)fp;
	(void)why;
	(void)why_len;
	abort();
}

void fastpath_close(struct fastpath *fp)
{
	if (fp)
		abort();
}

void fastpath_stats(const struct fastpath *fp, uint64_t out[STAT_COUNT])
{
	(void)fp;
	memset(out, 0, sizeof(*out) * STAT_COUNT);
}

size_t fastpath_used(struct fastpath *fp)
{
	(void)fp;
	return 0;
}

size_t fastpath_capacity(const struct fastpath *fp)
{
	(void)fp;
	return 0;
}

uint32_t flow_take(struct fastpath *fp, unsigned worker)
{
	(void)fp;
	(void)worker;
	return FLOW_NONE;
}

void flow_give_back(struct fastpath *fp, unsigned worker, uint32_t flow)
{
	(void)fp;
	(void)worker;
	(void)flow;
	abort();
}

struct flow *flow_record(const struct fastpath *fp, uint32_t flow)
{
	(void)fp;
	(void)flow;
	abort();
}

int flow_insert(struct fastpath *fp, uint32_t flow, int side, int fd)
{
	(void)fp;
	(void)flow;
	(void)side;
	(void)fd;
	return -EOPNOTSUPP;
}

void flow_kick(int fd)
{
	(void)fd;
}

int flow_ring_fd(const struct fastpath *fp, unsigned worker)
{
	(void)fp;
	(void)worker;
	return -1;
}

void flow_ring_read(struct fastpath *fp, unsigned worker,
		    void (*fn)(void *ctx, const struct flow_event *e), void *ctx)
{
	(void)fp;
	(void)worker;
	(void)fn;
	(void)ctx;
	abort();
}

void flow_let_go(struct fastpath *fp, unsigned worker)
{
	(void)fp;
	(void)worker;
	abort();
}

bool flow_is_own(const struct fastpath *fp, unsigned worker, const struct flow_event *e)
{
	(void)fp;
	(void)worker;
	(void)e;
	return false;
}

uint64_t flow_lost(const struct fastpath *fp, unsigned worker)
{
	(void)fp;
	(void)worker;
	return 0;
}
