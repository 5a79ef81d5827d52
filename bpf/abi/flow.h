/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The flow record: what the kernel program and user space share of one connection, and what the
 * program says of all. Host byte order. Padding is named and zero. Sizes are asserted, so a drift
 * fails both compilers.
 *
 * Who writes what. A connection has one struct flow. `k` and `v` are written by the verdict
 * program (under the socket lock of the endpoint concerned), `u` by user space. Neither side
 * ever writes the other's part while a socket of the flow is in the map, but for one word:
 * v.state says who owns the verdict, and its owner hands it on.
 */
#ifndef SLUICE_BPF_ABI_FLOW_H
#define SLUICE_BPF_ABI_FLOW_H

#include <linux/types.h>

#include "bpf/abi/name.h"
#include "bpf/abi/reason.h"

enum { SIDE_CLIENT = 0, SIDE_UPSTREAM = 1, SIDE_COUNT = 2 };

/*
 * Who owns the verdict on a client's bytes (flow.v.state); only client endpoints have one. Every
 * change is a compare-and-swap from the state it leaves, by the owner of that state:
 *
 *   NEW    the program, which judges the first flight if it can, and leaves to LOOK or DENY;
 *          user space may take the verdict over, which leaves to LOOK as well
 *   LOOK   user space, for good: the program passes everything up; leaves to OPAQUE
 *   OPAQUE nobody: there is nothing more to judge, and the kernel may carry
 *   DENY   nobody: the program drops what comes
 */
enum {
	FLOW_NEW = 0, /* nothing was judged */
	FLOW_LOOK,    /* user space judges what is passed from v.look_at on */
	FLOW_OPAQUE,  /* nothing more to judge */
	FLOW_DENY,    /* payload is dropped; v.reason says why */
};

/* One endpoint's data, as the kernel program counts it. One cache line. */
struct flow_kern {
	__u64 passed;	  /* bytes passed up to user space */
	__u64 redirected; /* bytes handed to the peer's socket */
	__u64 dropped;	  /* bytes discarded after a denial */
	__u32 next;	  /* sequence number that the next skb begins with */
	__u32 begun;	  /* 1: next is valid */
	__u32 broken;	  /* 1: bytes are missing, the connection must not go on */
	__u32 pad32;
	__u64 pad[2];
	__u32 base;  /* peer's write_seq less what had been written, at the first redirect */
	__u32 based; /* 1: base is valid */
};

/*
 * A group's number means something in one policy only. A flow that does not have the number of
 * the policy in force is looked at by user space.
 */
#define FLOW_GROUP(serial, group) (((serial)&0xffff) << 16 | (group))

/* Events that user space does not need. */
enum {
	QUIET_NOTHING = 0,
	QUIET_PASSED, /* it watches the socket, and reads what is passed up without being told */
	QUIET_ALL,    /* it is about to look by itself */
};

/* One endpoint as user space sees it. One cache line. */
struct flow_user {
	__u64 forwarded; /* of `passed`: bytes written to the peer, whole writes only */
	__u32 paired;	 /* 0: nothing is redirected to the peer */
	__u32 pad32[3];
	__u32 group;  /* client side: FLOW_GROUP(serial of the policy, group in it) */
	__u32 worker; /* ring to send events to */
	__u16 port;   /* client side: destination port the rules are asked about */
	__u16 pad16;
	__u32 quiet; /* QUIET_* */
	__u64 pad[2];
	__u32 pad_end;
	/* client side: counts the connections that had this record. It goes on from one to the
	   next, so it comes last: it is not zeroed for reuse. */
	__u32 incarnation;
};

/* What the kernel program judged: the first flight. */
struct flow_verdict {
	/* Bytes of the first flight that are judged: FLOW_LOOK and not 0 is the program's
	   "allowed"; 0 is "user space judges from the first byte". */
	__u64 look_at;
	__u64 body_len; /* HTTP: of the request's body, which begins at look_at */
	__u32 state;	/* FLOW_* */
	__u32 rule;	/* number of the rule that decided; 0: default */
	__u32 reason;	/* REASON_* */
	__u16 proto;	/* PROTO_* */
	__u16 name_len; /* 0: no name */
	__u64 pad[4];
	__u8 name[NAME_BUF]; /* normalised, not terminated; last: it is not zeroed for reuse */
};

struct flow {
	struct flow_kern k[SIDE_COUNT];
	struct flow_user u[SIDE_COUNT];
	struct flow_verdict v;
};

/*
 * Which record a socket belongs to. The number of an endpoint is its key in the map of sockets,
 * and user space leaves it in the socket itself, as TCP_NOTSENT_LOWAT with the highest bit set:
 * a limit of 2 GiB or more is never met, so it means nothing else, and for the program it is one
 * load where a hash would be a look-up for each skb and two system calls for each socket.
 */
#define ENDPOINT_TAG 0x80000000u
#define ENDPOINT(flow, side) ((__u32)(flow) << 1 | (__u32)(side))
#define ENDPOINT_FLOW(endpoint) ((endpoint) >> 1)
#define ENDPOINT_SIDE(endpoint) ((endpoint)&1)

/* A worker's ring: 4,096 events, of which there is one for a denial and one when passing up begins.
 */
#define RING_BYTES (64 * 1024)

/* One message of a worker's ring. A lost one loses nothing: the record has it all. */
struct flow_event {
	__u32 endpoint;	   /* ENDPOINT() */
	__u32 incarnation; /* of the record when it was told */
};

/* Counters of the program, one array slot each, per CPU. */
enum {
	STAT_ALLOWED = REASON_COUNT, /* verdicts given in the kernel */
	STAT_DENIED,
	STAT_LOOKED, /* first flights sent up unjudged */
	STAT_EVENTS_LOST,
	STAT_NO_SCRATCH, /* looked, because every scratch was taken */
	STAT_NO_FLOW,	 /* data on a socket without a record: passed up */
	STAT_OVERLAPS,	 /* retransmissions that began with bytes seen before: those were cut off */
	STAT_COUNT
};

_Static_assert(sizeof(struct flow_kern) == 64, "flow_kern");
_Static_assert(sizeof(struct flow_user) == 64, "flow_user");
_Static_assert(sizeof(struct flow_verdict) == 320, "flow_verdict");
_Static_assert(sizeof(struct flow) == 576, "flow");
_Static_assert(sizeof(struct flow_event) == 8, "flow_event");

#endif
