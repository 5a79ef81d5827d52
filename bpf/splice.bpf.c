// SPDX-License-Identifier: GPL-2.0-or-later
// The verdict program: runs on every skb that arrives at a socket of the map. On a client's
// first flight it gives the verdict; what follows is user space's to judge until nothing is left
// to judge, and from there on the program decides whether the kernel carries the bytes to the
// peer or user space does. ARCHITECTURE.md, "Who owns a verdict" and "The hand-over", says why each
// condition stands where it stands.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/abi/flow.h"
#include "bpf/ask.h"
#include "bpf/kernel.h"
#include "bpf/wire/hello.h"
#include "bpf/wire/http.h"

#define CUT_MAX 4095 /* what bpf_skb_adjust_room() takes in one go */
#define CUTS_MAX 160 /* longer than any skb */

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 2);
	__type(key, __u32); /* ENDPOINT() */
	__type(value, __u64);
} socks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow);
} flows SEC(".maps");

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BYTES);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32); /* worker */
	__array(values, struct ring);
} rings SEC(".maps");

/* Events that found the ring full, by worker; mapped, so that looking costs no system call. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32); /* worker */
	__type(value, __u64);
} lost SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, STAT_COUNT);
	__type(key, __u32); /* REASON_*, STAT_* */
	__type(value, __u64);
} stats SEC(".maps");

static void count(__u32 what)
{
	__u64 *n = bpf_map_lookup_elem(&stats, &what);

	if (n)
		__sync_fetch_and_add(n, 1);
}

/*
 * ---- the parsers ----
 * Global functions: the verifier walks each once and by itself, not once for every way its
 * callers may have come. So they take and return nothing but the scratch and numbers.
 */

__noinline int parse_hello(struct scratch *s)
{
	struct hello h = {};
	struct rd in;

	if (!s)
		return PARSE_BAD;
	rd_init(&in, s->bytes, s->len);
	if (hello_parse(in, &h) != PARSE_OK)
		return PARSE_BAD;
	s->used = h.used;
	s->max_version = h.max_version;
	s->name_off = h.has_name ? h.name.off : 0;
	s->name_end = h.has_name ? h.name.end : 0;
	return PARSE_OK;
}

__noinline int parse_head(struct scratch *s)
{
	struct http h = {};
	struct rd in;

	if (!s)
		return PARSE_BAD;
	rd_init(&in, s->bytes, s->len);
	if (http_parse(in, &h) != PARSE_OK)
		return PARSE_BAD;
	s->used = h.used;
	s->name_off = h.has_host ? h.host.off : 0;
	s->name_end = h.has_host ? h.host.end : 0;
	s->port = h.port;
	s->upgrade = h.upgrade;
	s->head = h.head;
	s->chunked = h.body == HTTP_BODY_CHUNKED;
	s->body_len = h.body_len;
	return PARSE_OK;
}

/* ---- judging a client's bytes ---- */

enum act {
	ACT_CARRY, /* judged: redirect if the hand-over allows it, else pass up */
	ACT_UP,	   /* pass up, user space judges */
	ACT_DROP,  /* denied */
};

/*
 * The one place where the program hands the verdict on. The verdict is the program's only in
 * FLOW_NEW; user space may have taken it over meanwhile, and then what was found here is void.
 */
static int become(struct flow *f, __u32 state)
{
	return __sync_val_compare_and_swap(&f->v.state, FLOW_NEW, state) == FLOW_NEW;
}

static int look(struct flow *f)
{
	if (become(f, FLOW_LOOK))
		count(STAT_LOOKED);
	return ACT_UP;
}

static int allow(struct flow *f, const struct scratch *s)
{
	f->v.rule = s->rule;
	f->v.look_at = s->used;
	if (!become(f, FLOW_LOOK))
		return ACT_UP;
	count(STAT_ALLOWED);
	return ACT_CARRY;
}

static int deny(struct flow *f, const struct policy_head *head, __u32 reason, __u32 rule)
{
	if (!head->enforce)
		return look(f);
	f->v.reason = reason;
	f->v.rule = rule;
	if (!become(f, FLOW_DENY))
		return ACT_UP;
	count(STAT_DENIED);
	count(reason);
	return ACT_DROP;
}

static void take_name(struct flow *f, const struct scratch *s, __u32 proto)
{
	f->v.proto = proto;
	__builtin_memcpy(f->v.name, s->name, NAME_BUF);
	f->v.name_len = s->name_len;
}

/* The verdict on a parsed hello or head. ACT_CARRY: allowed. */
static int verdict(struct flow *f, struct scratch *s, __u32 proto)
{
	const struct policy_head *head;
	__u32 generation = 0, group = READ_ONCE(f->u[SIDE_CLIENT].group);
	int word;

	head = policy_in_force(&generation);
	if (!head || group >> 16 != (head->serial & 0xffff))
		return look(f);
	if (s->name_off == s->name_end) {
		if (proto != PROTO_TLS || head->no_sni != MISSING_DENY || !head->enforce)
			return look(f);
		f->v.proto = proto;
		return deny(f, head, REASON_NO_SNI, 0);
	}
	if (parse_name(s) != PARSE_OK)
		return look(f);
	take_name(f, s, proto);
	if (proto == PROTO_TLS && s->max_version < head->min_version)
		return deny(f, head, REASON_TLS_VERSION, 0);
	word = ask_rules(s, generation, group & 0xffff, f->u[SIDE_CLIENT].port);
	if (word == VERDICT_REPORT) /* user space lets it through, and reports it */
		return look(f);
	return word == VERDICT_ALLOW ? allow(f, s) : deny(f, head, REASON_POLICY, s->rule);
}

/* A whole hello in one record. What follows it is user space's to judge. */
static int first_hello(struct flow *f, struct scratch *s)
{
	return parse_hello(s) == PARSE_OK ? verdict(f, s, PROTO_TLS) : look(f);
}

/*
 * A whole request head. Its body, and what follows that, is user space's to judge. A body in
 * chunks, another protocol and HEAD, whose answer has no body, are recognised there from the head.
 */
static int first_request(struct flow *f, struct scratch *s)
{
	if (parse_head(s) != PARSE_OK || s->chunked || s->upgrade || s->head ||
	    (s->port && s->port != f->u[SIDE_CLIENT].port)) /* not the port that it goes to */
		return look(f);
	f->v.body_len = s->body_len;
	return verdict(f, s, PROTO_HTTP);
}

static int judge_bytes(struct __sk_buff *skb, struct flow *f, struct scratch *s)
{
	__u32 len = skb->len, n = len;

	if (n > SCRATCH_LEN)
		n = SCRATCH_LEN;
	/* 1 to SCRATCH_LEN, in a form that the verifier of 6.1 can follow too. */
	n--;
	asm volatile("%0 &= %1" : "+r"(n) : "i"(SCRATCH_LEN - 1));
	n++;
	if (bpf_skb_load_bytes(skb, 0, s->bytes, n) != 0)
		return look(f);
	s->len = n;
	switch (flight_proto(s->bytes[0])) {
	case PROTO_TLS:
		return first_hello(f, s);
	case PROTO_HTTP:
		return first_request(f, s);
	}
	return look(f);
}

static int judge(struct __sk_buff *skb, struct flow *f)
{
	struct scratch *s;
	int act;

	switch (READ_ONCE(f->v.state)) {
	case FLOW_NEW:
		break;
	case FLOW_OPAQUE:
		return ACT_CARRY;
	case FLOW_DENY:
		return ACT_DROP;
	default:
		return ACT_UP;
	}
	s = scratch_take();
	if (!s) {
		count(STAT_NO_SCRATCH);
		return look(f);
	}
	act = judge_bytes(skb, f, s);
	scratch_release(s);
	return act;
}

/* ---- carrying ---- */

/* Room in the peer's send buffer for len more, counting what was redirected but not yet
   written. */
static int has_room(struct flow_kern *k, __u64 forwarded, struct tcp_sock *tp, __u32 len)
{
	__u32 write_seq, pending;

	if (!k->based)
		__sync_fetch_and_add(&k->based, 0); /* a barrier: read forwarded, then write_seq */
	write_seq = tp->write_seq;
	if (!k->based) {
		k->base = write_seq - (__u32)forwarded;
		k->based = 1;
	}
	pending = (__u32)(k->redirected + forwarded) - (write_seq - k->base);
	return (__s64)tp->inet_conn.icsk_inet.sk.sk_wmem_queued + pending + len <
	       tp->inet_conn.icsk_inet.sk.sk_sndbuf;
}

/* The four conditions of the hand-over: paired, nothing owed, the peer there, and room. */
static int may_redirect(struct flow_kern *k, struct flow_user *u, __u32 peer, __u32 len)
{
	__u64 forwarded = READ_ONCE(u->forwarded);
	struct bpf_sock *sk;
	struct tcp_sock *tp;
	int yes = 0;

	if (!READ_ONCE(u->paired) || forwarded != k->passed)
		return 0;
	sk = bpf_map_lookup_elem(&socks, &peer);
	if (!sk)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp)
		yes = has_room(k, forwarded, tp, len);
	bpf_sk_release(sk);
	return yes;
}

static void tell(struct flow *f, __u32 flow, __u32 side)
{
	struct flow_event e = { .endpoint = ENDPOINT(flow, side),
				.incarnation = READ_ONCE(f->u[SIDE_CLIENT].incarnation) };
	__u32 worker = f->u[SIDE_CLIENT].worker;
	void *ring = bpf_map_lookup_elem(&rings, &worker);

	__u64 *n;

	if (ring && bpf_ringbuf_output(ring, &e, sizeof(e), 0) == 0)
		return;
	count(STAT_EVENTS_LOST);
	n = bpf_map_lookup_elem(&lost, &worker);
	if (n)
		__sync_fetch_and_add(n, 1);
}

/*
 * Sends an event when passing starts (user space owes nothing), and for everything user space must
 * judge, which it may hold back without forwarding. Both sides write their counter, then
 * read the other's, with a full barrier between; so one of the two sees that there is work.
 */
static int pass_up(struct flow *f, __u32 flow, __u32 side, __u32 len, int act)
{
	__u64 before = __sync_fetch_and_add(&f->k[side].passed, len);

	if ((act == ACT_UP || READ_ONCE(f->u[side].forwarded) == before) &&
	    READ_ONCE(f->u[side].quiet) == QUIET_NOTHING)
		tell(f, flow, side);
	return SK_PASS;
}

/* Always sends an event; user space sees `broken` before anything else of this flow. */
static int give_up(struct flow *f, __u32 flow, __u32 side)
{
	WRITE_ONCE(f->k[side].broken, 1);
	tell(f, flow, side);
	return SK_DROP;
}

static int drop(struct flow *f, __u32 flow, __u32 len)
{
	__u64 before = __sync_fetch_and_add(&f->k[SIDE_CLIENT].dropped, len);

	if (before == 0 && READ_ONCE(f->u[SIDE_CLIENT].quiet) != QUIET_ALL)
		tell(f, flow, SIDE_CLIENT);
	return SK_DROP;
}

/* ---- what TCP leaves to its reader ---- */

struct cut {
	struct __sk_buff *skb;
	__u32 len;
};

static long cut_some(__u32 i, void *ctx)
{
	struct cut *c = ctx;
	__u32 n = c->len > CUT_MAX ? CUT_MAX : c->len;

	(void)i;
	if (n == 0 || bpf_skb_adjust_room(c->skb, -(__s32)n, 0, 0) != 0)
		return LOOP_END;
	c->len -= n;
	return LOOP_NEXT;
}

/*
 * A retransmission may begin with bytes that came before. TCP queues it as it is, and recv()
 * skips those bytes; a verdict program is given them a second time. Cuts them off. 0, or -1: that
 * failed, and the connection cannot go on.
 */
static int cut_overlap(struct __sk_buff *skb, struct flow_kern *k, struct tcp_sock *tp)
{
	__u32 seq = skb->cb[0]; /* struct tcp_skb_cb begins with it */
	struct cut c = { .skb = skb };

	if (!k->begun) {
		k->next = tp->copied_seq;
		k->begun = 1;
	}
	c.len = k->next - seq;
	if (c.len) {
		count(STAT_OVERLAPS);
		if (c.len > skb->len)
			return -1;
		loop(CUTS_MAX, cut_some, &c);
	}
	k->next += skb->len;
	return c.len ? -1 : 0;
}

SEC("sk_skb")
int sluice_verdict(struct __sk_buff *skb)
{
	__u32 flow, side, peer, tag, len;
	struct flow *f = NULL;
	struct bpf_sock *sk;
	struct tcp_sock *tp;
	int act = ACT_CARRY;

	if (skb->len == 0) /* a bare FIN: TCP has noted it, the skb would break the peer */
		return SK_DROP;
	sk = skb->sk;
	tp = sk ? bpf_skc_to_tcp_sock(sk) : NULL;
	tag = tp ? tp->notsent_lowat : 0;
	flow = ENDPOINT_FLOW(tag & ~ENDPOINT_TAG);
	side = ENDPOINT_SIDE(tag);
	peer = ENDPOINT(flow, !side);
	if (tag & ENDPOINT_TAG)
		f = bpf_map_lookup_elem(&flows, &flow);
	if (!f || !tp) {
		count(STAT_NO_FLOW);
		return SK_PASS;
	}
	if (cut_overlap(skb, &f->k[side], tp) != 0)
		return give_up(f, flow, side);
	len = skb->len;
	if (len == 0) /* only its FIN was new: as above */
		return SK_DROP;
	if (side == SIDE_CLIENT)
		act = judge(skb, f);
	if (act == ACT_DROP)
		return drop(f, flow, len);
	if (act == ACT_UP || !may_redirect(&f->k[side], &f->u[side], peer, len))
		return pass_up(f, flow, side, len, act);
	f->k[side].redirected += len;
	return bpf_sk_redirect_map(skb, &socks, peer, 0);
}

char LICENSE[] SEC("license") = "GPL";
