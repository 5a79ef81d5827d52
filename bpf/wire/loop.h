/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The few words that differ between the two compilers, so that a parser is written once.
 * A body is `static long fn(__u32 i, void *ctx)`; it returns LOOP_NEXT or LOOP_END. In the kernel
 * the verifier walks a body once, however often it runs (bpf_loop, Linux 5.17).
 *
 * Linux 6.1 means "once" literally: it cuts code that the first run cannot reach out of the
 * program, although a second run would have needed it. So whatever a body reads and changes must
 * not start as a number that the verifier knows, but as LOOP_ZERO.
 */
#ifndef SLUICE_BPF_WIRE_LOOP_H
#define SLUICE_BPF_WIRE_LOOP_H

#include <linux/types.h>

#ifdef __bpf__
#include <bpf/bpf_helpers.h>
#define PURE static __always_inline
#define PART static __attribute__((noinline)) /* a frame of its own: the stack is 512 bytes */
#define ALONE                                                                                      \
	__attribute__((noinline)) /* not static: verified once, by itself, for any arguments */
#define loop(n, fn, ctx) bpf_loop((n), (fn), (ctx), 0)
static volatile __u32 loop_zero; /* in a map, where the verifier does not see its value */
#define LOOP_ZERO loop_zero
#else
#define PURE static inline __attribute__((unused))
#define PART PURE
#define ALONE PURE
#define LOOP_ZERO 0
PURE void loop(__u32 n, long (*fn)(__u32, void *), void *ctx)
{
	for (__u32 i = 0; i < n; i++)
		if (fn(i, ctx))
			break;
}
#endif

enum { LOOP_NEXT = 0, LOOP_END = 1 };

/* What every parser returns. Only the outermost length can lead to MORE. */
enum { PARSE_OK = 0, PARSE_MORE = 1, PARSE_BAD = 2 };

/* Bytes of one skb that the kernel program copies and judges; longer ones are left to user
   space. */
#define SCRATCH_LEN 4096
#define BLIND_LEN 8 /* behind it, see bpf/wire/rd.h */

/* How often to run a body that takes at least one byte of input each time: enough for any input. */
#ifdef __bpf__
#define LOOP_INPUT SCRATCH_LEN
#else
#define LOOP_INPUT (1 << 17)
#endif

#endif
