/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SipHash-2-4 (Aumasson, Bernstein 2012) fed a byte at a time, so that one pass over a name yields
 * the hash of every suffix on the way: copy the state and finish the copy. The key is drawn at
 * start, so neither a list nor a client can aim at a collision.
 */
#ifndef SLUICE_BPF_WIRE_HASH_H
#define SLUICE_BPF_WIRE_HASH_H

#include "bpf/wire/loop.h"

struct sip {
	__u64 v0, v1, v2, v3;
	__u64 word; /* bytes not yet mixed in, little endian */
	__u32 len;  /* bytes fed */
	__u32 pad;
};

#define sip_rotl(x, b) ((x) << (b) | (x) >> (64 - (b)))

PURE void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = sip_rotl(s->v1, 13) ^ s->v0;
	s->v0 = sip_rotl(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = sip_rotl(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = sip_rotl(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = sip_rotl(s->v1, 17) ^ s->v2;
	s->v2 = sip_rotl(s->v2, 32);
}

PURE void sip_init(struct sip *s, __u64 k0, __u64 k1)
{
	s->v0 = k0 ^ 0x736f6d6570736575ULL;
	s->v1 = k1 ^ 0x646f72616e646f6dULL;
	s->v2 = k0 ^ 0x6c7967656e657261ULL;
	s->v3 = k1 ^ 0x7465646279746573ULL;
	s->word = LOOP_ZERO;
	s->len = LOOP_ZERO;
	s->pad = 0;
}

PURE void sip_mix(struct sip *s, __u64 word)
{
	s->v3 ^= word;
	sip_round(s);
	sip_round(s);
	s->v0 ^= word;
}

PURE void sip_byte(struct sip *s, __u8 byte)
{
	s->word |= (__u64)byte << ((s->len & 7) * 8);
	s->len++;
	if ((s->len & 7) == 0) {
		sip_mix(s, s->word);
		s->word = 0;
	}
}

/* The hash of the bytes fed so far; the state can be fed more. */
PURE __u64 sip_value(const struct sip *state)
{
	struct sip s = *state;

	sip_mix(&s, s.word | (__u64)(s.len & 0xff) << 56);
	s.v2 ^= 0xff;
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

#endif
