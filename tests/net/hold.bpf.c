// SPDX-License-Identifier: GPL-2.0-or-later
// For hold.c: holds TCP where it is about to hand a first flight to the verdict program, until the
// daemon has been told that the socket is readable and has looked. So user space meets bytes that
// are queued and that the program has not seen.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "tests/net/hold.h"

#define READ_ONCE(x) (*(volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hold);
} holds SEC(".maps");

struct wait {
	struct hold *hold;
	__u64 until;
	__u32 met;
};

static struct hold *armed_hold(void)
{
	__u32 zero = 0;
	struct hold *h = bpf_map_lookup_elem(&holds, &zero);

	return h && READ_ONCE(h->armed) ? h : NULL;
}

/* Once it has been told, some time to look. */
static long wait_some(__u32 i, void *ctx)
{
	struct wait *w = ctx;
	__u64 now = bpf_ktime_get_ns();

	(void)i;
	if (!w->met && READ_ONCE(w->hold->told) >= HOLD_TOLD) {
		w->met = 1;
		w->until = now + HOLD_AFTER_NS;
	}
	return now > w->until;
}

/* Whether it is the daemon's end of the connection. */
static int is_wanted(const struct hold *h, __u64 sk)
{
	struct hold_ports ports = {};

	return bpf_probe_read_kernel(&ports, sizeof(ports), (void *)(sk + HOLD_PORTS_AT)) == 0 &&
	       ports.client == h->ports.client && ports.listener == h->ports.listener;
}

/* TCP tells the sockmap of an urgent byte, which tells on; and then of what is queued. */
SEC("raw_tp/sk_data_ready")
int hold_data(struct bpf_raw_tracepoint_args *ctx)
{
	struct hold *h = armed_hold();
	struct wait w = { .hold = h };

	if (!h || !is_wanted(h, ctx->args[0]) || __sync_fetch_and_add(&h->ready, 1) != HOLD_READY)
		return 0;
	WRITE_ONCE(h->told, 0);
	w.until = bpf_ktime_get_ns() + HOLD_NS;
	bpf_loop(HOLD_LOOPS, wait_some, &w, 0);
	h->met += w.met;
	WRITE_ONCE(h->armed, 0);
	return 0;
}

/* The daemon comes back from a system call. By two it is told: it has an epoll in an epoll. */
SEC("raw_tp/sys_exit")
int hold_told(void *ctx)
{
	struct hold *h = armed_hold();
	struct bpf_pidns_info us = {};

	(void)ctx;
	if (h && bpf_get_ns_current_pid_tgid(h->pids_dev, h->pids_ino, &us, sizeof(us)) == 0 &&
	    us.tgid == h->pid)
		__sync_fetch_and_add(&h->told, 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
