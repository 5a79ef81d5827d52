/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What hold.c and hold.bpf.c share. */
#ifndef SLUICE_TESTS_NET_HOLD_H
#define SLUICE_TESTS_NET_HOLD_H

#include <linux/types.h>

#define HOLD_NS 200000000 /* then it is let go: they have missed each other */
#define HOLD_AFTER_NS 1000000
#define HOLD_READY 2 /* tellings before the one that is held */
#define HOLD_TOLD 2
#define HOLD_LOOPS (1 << 23)

/* As struct sock_common has them, at this place. */
#define HOLD_PORTS_AT 12
struct hold_ports {
	__be16 client;
	__u16 listener;
};

struct hold {
	__u64 pids_dev, pids_ino; /* the namespace that numbers processes so, as stat() has it */
	__u32 pid;		  /* of the daemon */
	struct hold_ports ports;
	__u32 armed; /* the next flight is held */
	__u32 ready; /* how often TCP has told of it */
	__u32 told;  /* system calls from which the daemon came back meanwhile */
	__u32 met;   /* flights that were held until the daemon had looked */
	__u32 pad;
};

#endif
