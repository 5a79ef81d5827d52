/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One form for a host name: lower case, one trailing dot removed. Anything but letters, digits,
 * hyphens and underscores in labels of 1 to 63 bytes, 253 in all, is not a name (RFC 1035 2.3.4,
 * RFC 952; `_` because it is in use). A NUL is not LDH, so a name has one length.
 */
#ifndef SLUICE_BPF_WIRE_NAME_H
#define SLUICE_BPF_WIRE_NAME_H

#include "bpf/abi/name.h"
#include "bpf/wire/rd.h"

#define LABEL_MAX_LEN 63

struct name_walk {
	struct rd in;
	__u8 *out;    /* NAME_BUF bytes */
	__u32 len;    /* bytes written */
	__u32 label;  /* bytes of the label so far */
	__u32 digits; /* 1: the label so far is a number */
	__u32 bad;
};

PURE int name_is_digit(__u32 c)
{
	return c - '0' < 10;
}

PURE int name_is_ldh(__u32 c)
{
	return c - 'a' < 26 || name_is_digit(c) || c == '-' || c == '_';
}

static long name_byte(__u32 i, void *ctx)
{
	struct name_walk *w = ctx;
	__u32 c;

	if (w->in.off >= w->in.end)
		return LOOP_END;
	c = rd_at(&w->in, w->in.off);
	w->in.off++;
	if (c - 'A' < 26)
		c += 'a' - 'A';
	if (c == '.') {
		if (w->label == 0)
			goto bad;
		w->label = 0;
		w->digits = 1;
	} else {
		if (!name_is_ldh(c) || w->label == LABEL_MAX_LEN)
			goto bad;
		if (!name_is_digit(c))
			w->digits = 0;
		w->label++;
	}
	w->out[i & (NAME_BUF - 1)] = c;
	w->len = i + 1;
	return LOOP_NEXT;
bad:
	w->bad = 1;
	return LOOP_END;
}

/*
 * Normalises the bytes of `in` into out[NAME_BUF] and stores the length of the result in *len.
 * *numeric is 1 if the last label is a number: an address literal or an imitation of one, not a
 * name to ask a resolver for. PARSE_BAD: *len and *numeric untouched, out undefined.
 */
PURE int name_normalise(struct rd in, __u8 *out, __u32 *len, __u32 *numeric)
{
	struct name_walk w = {
		.in = in,
		.out = out,
		.len = LOOP_ZERO,
		.label = LOOP_ZERO,
		.digits = LOOP_ZERO + 1,
		.bad = LOOP_ZERO,
	};
	__u32 last;

	if (in.bad || rd_left(&in) == 0)
		return PARSE_BAD;
	last = rd_at(&in, in.end - 1);
	if (last == '.')
		w.in.end--;
	if (rd_left(&w.in) == 0 || rd_left(&w.in) > NAME_MAX_LEN)
		return PARSE_BAD;
	loop(NAME_MAX_LEN, name_byte, &w);
	if (w.bad || w.label == 0 || w.len == 0 || w.len > NAME_MAX_LEN)
		return PARSE_BAD;
	*len = w.len;
	*numeric = w.digits;
	return PARSE_OK;
}

#endif
