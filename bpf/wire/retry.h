/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a TLS client may send a second hello, and where it begins (RFC 8446 4.1.4). Only the
 * server knows: either its first handshake message is a HelloRetryRequest, which entitles the
 * client to exactly one more hello, or it is not, and then nothing that the client sends is read as
 * a hello any more. What the client sends proves nothing: early data may come before a second
 * hello, and a record after ChangeCipherSpec may be a hello or only look like one.
 *
 * Two readers, one for each direction. Pure code for both sides. Bytes come in any pieces.
 */
#ifndef SLUICE_BPF_WIRE_RETRY_H
#define SLUICE_BPF_WIRE_RETRY_H

#include "bpf/wire/hello.h"

/*
 * Bytes of the client's records between its two hellos, headers included; more than this is not
 * early data. By default servers accept 16 KiB, and they skip no more than they would accept.
 */
#define TLS_EARLY_MAX (1024 * 1024)

#define SERVER_HELLO_TYPE 2
#define HELLO_REQUEST_TYPE 0
#define SERVER_RANDOM_OFF 6 /* in the message: type, length, legacy_version */

#define TLS_ANSWER_LOST                                                                            \
	0xffffffffu /* bytes left: after a retry request came something that is not a record       \
		     */

/* What a server's first handshake message is; see struct tls_answer. */
enum {
	TLS_ANSWER_UNKNOWN = 0, /* it has not come, or not enough of it */
	TLS_ANSWER_RETRY,	/* a HelloRetryRequest */
	TLS_ANSWER_FINAL,	/* anything else, including what is not TLS */
};

/* The server's stream so far. All zero at first. */
struct tls_answer {
	__u32 word;    /* TLS_ANSWER_*; once it is not UNKNOWN it does not change */
	__u32 left;    /* bytes of the record's payload that are still to come */
	__u32 header;  /* bytes of the record's header so far; 0 with left 0: between two records */
	__u32 type;    /* of the record */
	__u32 message; /* bytes of the handshake message so far */
	__u32 hello;   /* 1: that is a ServerHello */
};

/*
 * RFC 8446 4.1.3: SHA-256 of "HelloRetryRequest", first byte on top. The array is one word longer
 * than the hash: clang puts an array of exactly 32 bytes into a section of its own, for which
 * Debian 12's libbpf makes BTF that no kernel accepts.
 */
static const __u64 tls_retry_random[HELLO_RANDOM_LEN / 8 + 1] = {
	0xcf21ad74e59a6111ULL,
	0xbe1d8c021e65b891ULL,
	0xc2a211167abb8c5eULL,
	0x079e09e2c8a8339cULL,
};

PURE __u32 tls_retry_byte(__u32 at)
{
	return tls_retry_random[(at >> 3) & 3] >> (56 - (at & 7) * 8) & 0xff;
}

/* A byte of a record's header. A server that speaks TLS may send alerts before its hello. */
PURE __u32 tls_answer_header(struct tls_answer *a, __u32 c)
{
	__u32 at = a->header++;

	if (at == 0) {
		a->type = c;
		return c == TLS_HANDSHAKE || c == TLS_ALERT || c == TLS_CHANGE_CIPHER_SPEC ?
			       TLS_ANSWER_UNKNOWN :
			       TLS_ANSWER_FINAL;
	}
	if (at == 1)
		return c == TLS_MAJOR ? TLS_ANSWER_UNKNOWN : TLS_ANSWER_FINAL;
	if (at == 3)
		a->left = c << 8;
	if (at < TLS_HEADER_LEN - 1)
		return TLS_ANSWER_UNKNOWN;
	a->left |= c;
	a->header = 0;
	return a->left > TLS_SEALED_MAX ? TLS_ANSWER_FINAL : TLS_ANSWER_UNKNOWN;
}

/* A byte of a handshake message: of a HelloRequest, which decides nothing, or of the one that
   decides. */
PURE __u32 tls_answer_message(struct tls_answer *a, __u32 c)
{
	__u32 at = a->message++;

	if (at == 0) {
		a->hello = c == SERVER_HELLO_TYPE;
		return a->hello || c == HELLO_REQUEST_TYPE ? TLS_ANSWER_UNKNOWN : TLS_ANSWER_FINAL;
	}
	if (!a->hello) {
		if (at == HELLO_HEADER_LEN - 1)
			a->message = 0;
		return c == 0 ? TLS_ANSWER_UNKNOWN : TLS_ANSWER_FINAL;
	}
	at -= SERVER_RANDOM_OFF;
	if (at >= HELLO_RANDOM_LEN) /* or before the random, as `at` is unsigned */
		return TLS_ANSWER_UNKNOWN;
	if (c != tls_retry_byte(at))
		return TLS_ANSWER_FINAL;
	return at == HELLO_RANDOM_LEN - 1 ? TLS_ANSWER_RETRY : TLS_ANSWER_UNKNOWN;
}

struct tls_answer_walk {
	struct rd in;
	struct tls_answer a;
};

/* Takes a byte, or as much of a record as decides nothing. */
static long tls_answer_step(__u32 i, void *ctx)
{
	struct tls_answer_walk *w = ctx;
	struct tls_answer *a = &w->a;
	__u32 n, word;

	(void)i;
	if (rd_left(&w->in) == 0 || a->word == TLS_ANSWER_FINAL)
		return LOOP_END;
	if (a->left && (a->type != TLS_HANDSHAKE || a->word != TLS_ANSWER_UNKNOWN)) {
		n = a->left < rd_left(&w->in) ? a->left : rd_left(&w->in);
		rd_skip(&w->in, n);
		a->left -= n;
		return LOOP_NEXT;
	}
	if (a->left == 0) {
		word = tls_answer_header(a, rd_u8(&w->in));
		if (word == TLS_ANSWER_FINAL && a->word == TLS_ANSWER_RETRY)
			a->left = TLS_ANSWER_LOST;
	} else {
		word = tls_answer_message(a, rd_u8(&w->in));
		a->left--;
	}
	if (a->word == TLS_ANSWER_UNKNOWN)
		a->word = word;
	return LOOP_NEXT;
}

/* Takes the next bytes from the server. */
PURE void tls_answer_feed(struct tls_answer *a, struct rd in)
{
	struct tls_answer_walk w = { .in = in, .a = *a };

	loop(LOOP_INPUT, tls_answer_step, &w);
	*a = w.a;
}

/* No record of the server's is unfinished: an alert may be put after what it has sent. */
PURE int tls_answer_between(const struct tls_answer *a)
{
	return a->word != TLS_ANSWER_FINAL && a->left == 0 && a->header == 0;
}

/* What tls_follow() returns for the client's next bytes. */
enum {
	TLS_FOLLOW_MORE = 0, /* the record's header is not all here */
	TLS_FOLLOW_PASS,     /* *n of them may travel on */
	TLS_FOLLOW_WAIT,     /* it depends on the server, which has not answered the first hello */
	TLS_FOLLOW_HELLO,    /* here the second hello begins: to be judged like the first */
	TLS_FOLLOW_OPAQUE,   /* nothing more is to be judged */
	TLS_FOLLOW_BAD,
};

/* The client's stream after its first hello. All zero at first. */
struct tls_follow {
	__u32 left;  /* bytes of the record that may still travel on */
	__u32 early; /* bytes of records so far */
	__u32 data;  /* 1: application data was among them */
};

/*
 * Bytes that are not a record are bad. After application data they wait as a handshake record does:
 * a client that only began like TLS (a disguise, a test) is left to the server, which does not
 * speak TLS either.
 */
PURE int tls_follow_junk(const struct tls_follow *f, __u32 answer)
{
	return f->data && answer == TLS_ANSWER_UNKNOWN ? TLS_FOLLOW_WAIT : TLS_FOLLOW_BAD;
}

/* A record's header is at the beginning of `in`. */
PURE int tls_follow_header(struct tls_follow *f, struct rd in, __u32 answer, __u32 *n)
{
	__u32 have = rd_left(&in), type = rd_u8(&in), len;

	if (type < TLS_CHANGE_CIPHER_SPEC || type > TLS_APPLICATION_DATA ||
	    (have > 1 && rd_u8(&in) != TLS_MAJOR))
		return tls_follow_junk(f, answer);
	if (type == TLS_HANDSHAKE)
		return answer == TLS_ANSWER_RETRY ? TLS_FOLLOW_HELLO : TLS_FOLLOW_WAIT;
	if (have < TLS_HEADER_LEN)
		return TLS_FOLLOW_MORE;
	rd_skip(&in, 1);
	len = rd_u16(&in);
	if (len > TLS_SEALED_MAX) /* servers accept empty records */
		return tls_follow_junk(f, answer);
	f->early += TLS_HEADER_LEN + len;
	if (f->early > TLS_EARLY_MAX)
		return TLS_FOLLOW_BAD;
	f->data |= type == TLS_APPLICATION_DATA;
	f->left = len;
	*n = TLS_HEADER_LEN;
	return TLS_FOLLOW_PASS;
}

/*
 * Judges the client's next bytes, at least one, after those that have passed; answer is what is
 * known of the server's first message (TLS_ANSWER_*). *n is set only with TLS_FOLLOW_PASS, to 1 or
 * more.
 */
PURE int tls_follow(struct tls_follow *f, struct rd in, __u32 answer, __u32 *n)
{
	__u32 have = rd_left(&in);

	if (answer == TLS_ANSWER_FINAL)
		return TLS_FOLLOW_OPAQUE;
	if (f->left) {
		*n = f->left < have ? f->left : have;
		f->left -= *n;
		return TLS_FOLLOW_PASS;
	}
	return tls_follow_header(f, in, answer, n);
}

#endif
