/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The flow record: what the kernel program and user space share about one connection, and the
 * program's counters for all of them. Host byte order. Padding is named and zero. Sizes are
 * asserted, so a drift fails both compilers.
 *
 * Who writes what. A connection has one struct flow. `k` and `v` are written by the verdict
 * program (under the socket lock of the endpoint concerned), `u` by user space. Neither side ever
 * writes the other's part while a socket of the flow is in the map, with one exception: v.state
 * says who owns the verdict, and its owner hands it on.
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
 *   NEW    the program, which judges the first flight if it can, and moves to LOOK or DENY;
 *          user space may take the verdict over, which also moves to LOOK
 *   LOOK   user space, for good: the program passes everything up; moves to OPAQUE
 *   OPAQUE nobody: there is nothing more to judge, and the kernel may carry
 *   DENY   nobody: the program drops what comes
 */
enum {
	FLOW_NEW = 0, /* nothing has been judged yet */
	FLOW_LOOK,    /* user space judges what is passed up from v.look_at on */
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
 * A group's number is meaningful in one policy only. A flow whose serial is not that of the policy
 * in force is left to user space.
 */
#define FLOW_GROUP(serial, group) (((serial)&0xffff) << 16 | (group))

/* Events that user space does not need. */
enum {
	QUIET_NOTHING = 0,
	QUIET_PASSED, /* it watches the socket, and reads what is passed up without an event */
	QUIET_ALL,    /* it is about to look anyway */
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
	/* client side: counts the connections that have had this record. It keeps counting from one
	   to the next, so it comes last and is not zeroed for reuse. */
	__u32 incarnation;
};

/* The kernel program's verdict on the first flight. */
struct flow_verdict {
	/* Bytes of the first flight that have been judged. With FLOW_LOOK, nonzero means that the
	   program allowed them; 0 means that user space judges from the first byte. */
	__u64 look_at;
	__u64 body_len; /* HTTP: length of the request's body, which begins at look_at */
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
 * Which record a socket belongs to. An endpoint's number is its key in the map of sockets, and user
 * space stores it in the socket itself, as TCP_NOTSENT_LOWAT with the highest bit set. A limit of 2
 * GiB or more is never reached, so the value has no other effect, and the program reads it with one
 * load, where a hash would cost a look-up for each skb and two system calls for each socket.
 */
#define ENDPOINT_TAG 0x80000000u
#define ENDPOINT(flow, side) ((__u32)(flow) << 1 | (__u32)(side))
#define ENDPOINT_FLOW(endpoint) ((endpoint) >> 1)
#define ENDPOINT_SIDE(endpoint) ((endpoint)&1)

/* A worker's ring holds 4,096 events: one for each denial, and one each time passing up begins. */
#define RING_BYTES (64 * 1024)

/* One message of a worker's ring. If one is lost, no information is: the record has all of it. */
struct flow_event {
	__u32 endpoint;	   /* ENDPOINT() */
	__u32 incarnation; /* of the record when the event was written */
};

/* Counters of the program, one array slot each, per CPU. */
enum {
	STAT_ALLOWED = REASON_COUNT, /* verdicts given in the kernel */
	STAT_DENIED,
	STAT_LOOKED, /* first flights sent up unjudged */
	STAT_EVENTS_LOST,
	STAT_NO_SCRATCH, /* sent up unjudged because every scratch was taken */
	STAT_NO_FLOW,	 /* data on a socket without a record: passed up */
	STAT_OVERLAPS,	 /* retransmissions that began with bytes already seen, cut off */
	STAT_COUNT
};

_Static_assert(sizeof(struct flow_kern) == 64, "flow_kern");
_Static_assert(sizeof(struct flow_user) == 64, "flow_user");
_Static_assert(sizeof(struct flow_verdict) == 320, "flow_verdict");
_Static_assert(sizeof(struct flow) == 576, "flow");
_Static_assert(sizeof(struct flow_event) == 8, "flow_event");

#endif
