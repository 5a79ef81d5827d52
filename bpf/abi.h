/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel program and user space share: the only header on both sides of the
 * boundary that is not pure code. Everything here is host byte order unless a type says
 * __beNN. Padding is named and zero. Sizes are asserted, so a drift fails both compilers.
 *
 * Who writes what. A connection has one struct flow. `k` and `v` are written by the verdict
 * program (under the socket lock of the endpoint concerned), `u` by user space. Neither side
 * ever writes the other's part while a socket of the flow is in the map, but for one word:
 * v.state says who owns the verdict, and its owner hands it on.
 */
#ifndef SLUICE_BPF_ABI_H
#define SLUICE_BPF_ABI_H

#include <linux/types.h>

/* The one word of DESIGN section 4. The number is an index of the counters. */
enum {
	REASON_OK = 0,
	REASON_POLICY,
	REASON_NO_SNI,
	REASON_BAD_NAME,
	REASON_BAD_TLS,
	REASON_TLS_VERSION,
	REASON_NOT_TLS,
	REASON_BAD_HTTP,
	REASON_NO_HOST,
	REASON_NAME_CHANGED,
	REASON_UNRESOLVED,
	REASON_BAD_DESTINATION,
	REASON_HELLO_TIMEOUT,
	REASON_LIMIT,
	REASON_LOOP,
	REASON_UPSTREAM_REFUSED,
	REASON_UPSTREAM_TIMEOUT,
	REASON_UPSTREAM_RESET,
	REASON_UNTRACKED,
	REASON_COUNT
};

enum { SIDE_CLIENT = 0, SIDE_UPSTREAM = 1, SIDE_COUNT = 2 };

enum { PROTO_NONE = 0, PROTO_TLS = 1, PROTO_HTTP = 2 };

#define NAME_MAX_LEN 253 /* RFC 1035 2.3.4, without the root's dot */
#define NAME_BUF 256

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
#define FLOW_GROUP(serial, group) (((serial) & 0xffff) << 16 | (group))

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
	__u32 group;	 /* client side: FLOW_GROUP(serial of the policy, group in it) */
	__u32 worker;	 /* ring to send events to */
	__u16 port;	 /* client side: destination port the rules are asked about */
	__u16 pad16;
	__u32 quiet; /* QUIET_* */
	__u64 pad[2];
	__u32 pad_end;
	/* client side: counts the connections that had this record. It goes on from one to the next,
	   so it comes last: it is not zeroed for reuse. */
	__u32 incarnation;
};

/* What the kernel program judged: the first flight. */
struct flow_verdict {
	/* Bytes of the first flight that are judged: FLOW_LOOK and not 0 is the program's "allowed";
	   0 is "user space judges from the first byte". */
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
#define ENDPOINT_SIDE(endpoint) ((endpoint) & 1)

/* A worker's ring: 4,096 events, of which there is one for a denial and one when passing up begins. */
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

/* ---- policy ---- */

enum {
	VERDICT_NONE = 0,
	VERDICT_ALLOW = 1,
	VERDICT_DENY = 2,
	/* A rule with enforce = no would deny. It is judged as if that rule were not there; if it is
	   allowed then, user space lets it through and tells. */
	VERDICT_REPORT = 3, /* this set allows */
	VERDICT_TRIAL = 4,  /* this set says nothing else, less specific names decide; in rows only */
};
enum { MISSING_DENY = 0, MISSING_LOOK = 1 };

#define POLICY_GENERATIONS 2
#define GROUP_ALL 0 /* the group every client without a better one is in */
#define RULE_RUNTIME 0x3fffffffu /* in place of a rule's number: an entry made at run time */

/* The scalars of one generation of the policy. */
struct policy_head {
	__u64 key[2];	      /* SipHash key of the names */
	__u32 default_allow;  /* 1: names that no rule covers are allowed */
	__u32 no_sni;	      /* MISSING_* */
	__u32 enforce;	      /* 0: the kernel denies nothing, user space reports */
	__u32 min_version;    /* highest version a client must offer, 0x0303 */
	__u32 ready;	      /* 1: the generation is complete */
	__u32 serial;	      /* counts the loads */
	__u32 name_buckets;   /* of the table of names */
	__u32 rule_buckets;   /* of the table of decisions */
	__u32 filter_blocks;  /* of the filter of the names */
	__u32 pad32;
};

/*
 * A slot of a table (bpf/table.h). Three tables:
 *   names    key: hash of the name           value: the sets of rules that speak of it
 *   rules    key: rule_key, stirred          value: which rule decides, and how
 *   changes  key: hash of the name           value: what was said of it at run time
 */
struct slot_value {
	__u32 a; /* names: set for the name itself; rules: rule; changes: VERDICT_* for itself */
	__u32 b; /* names: set for what is below;  rules: VERDICT_*; changes: VERDICT_* below */
};

struct slot {
	__u64 key; /* 0: free */
	struct slot_value value;
};

#define BUCKET_SLOTS 4
/* In b of a bucket's first slot, used or free: a key that belongs here first is in its second bucket.
   Without it nobody need look there. Not part of the value. */
#define BUCKET_MORE 0x80000000u

struct bucket {
	struct slot at[BUCKET_SLOTS];
};

/*
 * A filter of the names' hashes, in blocks of one cache line: a name that is in the table has all its
 * bits, one that is not has them one time in forty. In a policy of millions of names the filter is in the
 * cache where the table is not. Nothing else follows from it: without it the answers are the same.
 */
struct filter_block {
	__u64 word[8];
};

/* Entries made at run time: one table of this size, however many there are. */
#define CHANGES_MAX 2048
#define CHANGES_BUCKETS (CHANGES_MAX / 2)

/* (set, group, port class) -> decision. Port class 0 is every port not named in the set. */
struct rule_key {
	__u32 set;
	__u16 group;
	__u16 port_class;
};

struct rule_decision {
	__u32 rule;
	__u32 verdict; /* VERDICT_NONE: this set says nothing here, less specific names decide */
};

/* What the check of a load asks the program: the head of a packet that is never sent. The
   normalised name follows, NAME_BUF bytes. The answer is rule << 2 | VERDICT_*. */
struct policy_question {
	__u8 ether[16]; /* of a packet; not looked at */
	__u32 generation;
	__u32 group;
	__u32 port;
	__u32 len; /* of the name */
};

/* One word user space flips to put a generation in force. */
struct policy_active {
	__u32 generation; /* 0 or 1; anything else: everything is looked at */
	__u32 pad;
};

_Static_assert(sizeof(struct flow_kern) == 64, "flow_kern");
_Static_assert(sizeof(struct flow_user) == 64, "flow_user");
_Static_assert(sizeof(struct flow_verdict) == 320, "flow_verdict");
_Static_assert(sizeof(struct flow) == 576, "flow");
_Static_assert(sizeof(struct flow_event) == 8, "flow_event");
_Static_assert(sizeof(struct policy_head) == 56, "policy_head");
_Static_assert(sizeof(struct slot) == 16, "slot");
_Static_assert(sizeof(struct bucket) == 64, "bucket");
_Static_assert(sizeof(struct filter_block) == 64, "filter_block");
_Static_assert(sizeof(struct policy_question) == 32, "policy_question");
_Static_assert(sizeof(struct rule_key) == 8, "rule_key");
_Static_assert(sizeof(struct rule_decision) == 8, "rule_decision");

#endif
