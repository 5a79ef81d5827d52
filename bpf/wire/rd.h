/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bounded reader: reads big-endian numbers and length-prefixed vectors from a buffer, and no
 * caller has to check a length. A short read sets `bad` for good and empties the reader, so loops
 * end by themselves and one check of rd_done() at the end is enough.
 *
 * It holds offsets, not pointers, so that the BPF verifier can follow: in the kernel the buffer is
 * a scratch of SCRATCH_LEN bytes and every index is masked to that size. A number that grows from
 * one run of a loop's body to the next and is used as an index must not begin at a multiple of 8 on
 * the stack: at such a place the verifier would track its value and walk the body once for each
 * value.
 */
#ifndef SLUICE_BPF_WIRE_RD_H
#define SLUICE_BPF_WIRE_RD_H

#include "bpf/wire/loop.h"

struct rd {
	const __u8 *buf; /* borrowed; in the kernel SCRATCH_LEN + BLIND_LEN bytes */
	__u32 end;	 /* one past the last */
	__u32 off;	 /* next byte; off <= end */
	__u32 bad;	 /* 1: something was short */
};

#ifdef __bpf__
/*
 * Hides a number from the verifier. It tracks every index that it can exactly, and then a loop
 * never looks the same to it twice: it has used up its million instructions before the tenth byte.
 * So an index takes a detour through memory, for which there are BLIND_LEN bytes after the scratch.
 */
PURE __u32 rd_blind(const __u8 *buf, __u32 i)
{
	volatile __u32 *way = (volatile __u32 *)(buf + SCRATCH_LEN);

	*way = i;
	return *way;
}
#define rd_at(r, i) ((r)->buf[rd_blind((r)->buf, (i)) & (SCRATCH_LEN - 1)])
#else
#define rd_blind(buf, i) (i)
#define rd_at(r, i) ((r)->buf[(i)])
#endif

PURE void rd_init(struct rd *r, const __u8 *buf, __u32 len)
{
	r->buf = buf;
	r->off = LOOP_ZERO;
	r->end = len;
	r->bad = 0;
}

PURE __u32 rd_left(const struct rd *r)
{
	return r->end - r->off;
}

PURE void rd_fail(struct rd *r)
{
	r->bad = 1;
	r->off = r->end;
}

PURE __u32 rd_u8(struct rd *r)
{
	if (r->off >= r->end) {
		rd_fail(r);
		return 0;
	}
	return rd_at(r, r->off++);
}

PURE __u32 rd_u16(struct rd *r)
{
	__u32 hi = rd_u8(r);

	return hi << 8 | rd_u8(r);
}

PURE __u32 rd_u24(struct rd *r)
{
	__u32 hi = rd_u16(r);

	return hi << 8 | rd_u8(r);
}

PURE void rd_skip(struct rd *r, __u32 n)
{
	if (n > rd_left(r))
		rd_fail(r);
	else
		r->off += n;
}

/* The next n bytes as a reader of their own; short: an empty, bad child and a bad parent. */
PURE struct rd rd_take(struct rd *r, __u32 n)
{
	struct rd child = *r;

	if (r->bad || n > rd_left(r)) {
		rd_fail(r);
		child.off = child.end;
		child.bad = 1;
		return child;
	}
	child.end = child.off + n;
	r->off += n;
	return child;
}

/* A vector that follows a length of 1, 2 or 3 bytes. */
PURE struct rd rd_vec(struct rd *r, int width)
{
	__u32 n = width == 1 ? rd_u8(r) : width == 2 ? rd_u16(r) : rd_u24(r);

	return rd_take(r, n);
}

/* No read was short and nothing is left over. */
PURE int rd_done(const struct rd *r)
{
	return !r->bad && r->off == r->end;
}

#endif
