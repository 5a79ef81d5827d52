/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A TLS ClientHello in one TLS record (RFC 8446 5.1 and 4.1.2, RFC 5246 7.4.1.2), and its
 * server_name (RFC 6066 3). Strict: a length that does not add up is PARSE_BAD. Pure code for both
 * sides; the kernel treats anything but PARSE_OK as "leave it to user space". bpf/wire/retry.h
 * describes what may follow the hello.
 */
#ifndef SLUICE_BPF_WIRE_HELLO_H
#define SLUICE_BPF_WIRE_HELLO_H

#include "bpf/wire/name.h"

#define TLS_CHANGE_CIPHER_SPEC 20
#define TLS_ALERT 21
#define TLS_HANDSHAKE 22
#define TLS_APPLICATION_DATA 23

#define TLS_MAJOR 3
#define TLS_HEADER_LEN 5
#define TLS_RECORD_MAX 16384
#define TLS_SEALED_MAX (TLS_RECORD_MAX + 256) /* RFC 8446 5.2 */

#define HELLO_TYPE 1
#define HELLO_HEADER_LEN 4
#define HELLO_MAX_LEN 65536 /* body; no client sends more */
#define HELLO_RANDOM_LEN 32
#define HELLO_SESSION_ID_MAX 32

#define TLS_V1_2 0x0303
#define TLS_V1_3 0x0304
#define SSL_V3 0x0300

#define EXT_SERVER_NAME 0
#define EXT_USE_SRTP 14
#define EXT_PRE_SHARED_KEY 41
#define EXT_SUPPORTED_VERSIONS 43
#define EXT_NEXT_PROTO 0x3374
#define EXT_CRYPTOPRO_BUG 0xfde8
#define EXT_ECH 0xfe0d
#define EXT_RENEGOTIATION 0xff01

struct hello {
	__u32 used;	   /* bytes of the input that the hello's record took */
	__u32 max_version; /* highest version offered that we know: 0x0300 ... 0x0304; 0: none */
	__u32 has_name;	   /* 1: server_name is there */
	struct rd name;	   /* its bytes, raw; not normalised */
};

struct hello_walk {
	struct rd exts;
	__u64 seen; /* extension types below 64 */
	__u32 seen_high;
	__u32 bad;
	__u32 name_off, name_end; /* body of server_name; end 0: not there */
	__u32 versions_off, versions_end;
};

/* A bit for each type above 63 that is in use; repetitions of other types there go unnoticed. */
PURE __u32 hello_high_bit(__u32 type)
{
	return type == EXT_RENEGOTIATION ? 1 : type == EXT_ECH ? 2 : type == EXT_NEXT_PROTO ? 4 : 0;
}

/* Extensions of DTLS, or that only servers send: OpenSSL refuses a hello that has one, so we must
   not let it pass. */
PURE int hello_misplaced(__u32 type)
{
	return type == EXT_USE_SRTP || type == EXT_CRYPTOPRO_BUG;
}

static long hello_ext(__u32 i, void *ctx)
{
	struct hello_walk *w = ctx;
	__u64 low = 0;
	__u32 high, type;
	struct rd body;

	(void)i;
	if (rd_left(&w->exts) == 0)
		return LOOP_END;
	type = rd_u16(&w->exts);
	body = rd_vec(&w->exts, 2);
	if (type < 64)
		low = 1ULL << (type & 63);
	high = hello_high_bit(type);
	if (body.bad || w->seen & low || w->seen_high & high || hello_misplaced(type) ||
	    (type == EXT_PRE_SHARED_KEY && rd_left(&w->exts))) { /* RFC 8446 4.2.11: last */
		w->bad = 1;
		return LOOP_END;
	}
	w->seen |= low;
	w->seen_high |= high;
	if (type == EXT_SERVER_NAME) {
		w->name_off = body.off;
		w->name_end = body.end;
	} else if (type == EXT_SUPPORTED_VERSIONS) {
		w->versions_off = body.off;
		w->versions_end = body.end;
	}
	return LOOP_NEXT;
}

/* One host_name and nothing else; other name types were never defined. */
PURE int hello_server_name(struct rd ext, struct rd *name)
{
	struct rd list = rd_vec(&ext, 2);
	__u32 type = rd_u8(&list);

	*name = rd_vec(&list, 2);
	return rd_done(&ext) && rd_done(&list) && type == 0 && rd_left(name) ? PARSE_OK : PARSE_BAD;
}

struct hello_versions {
	struct rd list;
	__u32 max;
};

/* How we count a version on the wire: RFC 8701 values and unknown ones as 0. */
PURE __u32 hello_known_version(__u32 v)
{
	if (v >> 8 == 0x7f)
		return TLS_V1_3;
	return v >= SSL_V3 && v <= TLS_V1_3 ? v : 0;
}

static long hello_version(__u32 i, void *ctx)
{
	struct hello_versions *w = ctx;
	__u32 v;

	(void)i;
	if (rd_left(&w->list) == 0)
		return LOOP_END;
	v = hello_known_version(rd_u16(&w->list));
	if (v > w->max)
		w->max = v;
	return LOOP_NEXT;
}

PURE int hello_supported_versions(struct rd ext, __u32 *max)
{
	struct hello_versions w = { .max = LOOP_ZERO };

	w.list = rd_vec(&ext, 1);
	if (!rd_done(&ext) || rd_left(&w.list) == 0 || rd_left(&w.list) & 1)
		return PARSE_BAD;
	loop(127, hello_version, &w);
	*max = w.max;
	return PARSE_OK;
}

/* Reads all extensions and stores what is needed of them in *h. */
PURE int hello_extensions(struct rd exts, struct hello *h)
{
	struct hello_walk w = {
		.exts = exts,
		.seen = LOOP_ZERO,
		.seen_high = LOOP_ZERO,
		.bad = LOOP_ZERO,
		.name_end = LOOP_ZERO,
		.versions_end = LOOP_ZERO,
	};
	struct rd ext = exts;

	loop(LOOP_INPUT / 4, hello_ext, &w);
	if (w.bad || !rd_done(&w.exts))
		return PARSE_BAD;
	if (w.name_end) {
		ext.off = w.name_off;
		ext.end = w.name_end;
		if (hello_server_name(ext, &h->name) != PARSE_OK)
			return PARSE_BAD;
		h->has_name = 1;
	}
	if (w.versions_end) {
		ext.off = w.versions_off;
		ext.end = w.versions_end;
		return hello_supported_versions(ext, &h->max_version);
	}
	return PARSE_OK;
}

/* The body, after the handshake header. */
PURE int hello_body(struct rd in, struct hello *out)
{
	struct hello h = { .used = 0 };
	struct rd session, suites, methods, exts;
	__u32 version = rd_u16(&in);

	rd_skip(&in, HELLO_RANDOM_LEN);
	session = rd_vec(&in, 1);
	suites = rd_vec(&in, 2);
	methods = rd_vec(&in, 1);
	if (in.bad || version < SSL_V3 || rd_left(&session) > HELLO_SESSION_ID_MAX ||
	    rd_left(&suites) == 0 || rd_left(&suites) & 1 || rd_left(&methods) == 0)
		return PARSE_BAD;
	h.max_version = version > TLS_V1_2 ? TLS_V1_2 : version;
	if (rd_left(&in)) {
		exts = rd_vec(&in, 2);
		if (!rd_done(&in) || hello_extensions(exts, &h) != PARSE_OK)
			return PARSE_BAD;
	}
	*out = h;
	return PARSE_OK;
}

/*
 * A whole handshake message, as reassembled over records; h->used is its length. Anything
 * short is PARSE_BAD. *h untouched unless PARSE_OK.
 */
PURE int hello_message(struct rd in, struct hello *h)
{
	__u32 len = rd_left(&in);
	__u32 type = rd_u8(&in);
	struct rd body = rd_vec(&in, 3);

	if (!rd_done(&in) || type != HELLO_TYPE || rd_left(&body) > HELLO_MAX_LEN ||
	    hello_body(body, h) != PARSE_OK)
		return PARSE_BAD;
	h->used = len;
	return PARSE_OK;
}

/*
 * Do the bytes of `in` begin a record with a hello? PARSE_OK: the record is complete and holds
 * exactly the hello. `in` must not be empty. Each byte is judged as soon as it is there.
 */
PURE int hello_framing(struct rd in)
{
	__u32 left = rd_left(&in);
	__u32 len, body;

	if (rd_u8(&in) != TLS_HANDSHAKE || (left > 1 && rd_u8(&in) != TLS_MAJOR))
		return PARSE_BAD;
	if (left < TLS_HEADER_LEN)
		return PARSE_MORE;
	rd_skip(&in, 1);
	len = rd_u16(&in);
	if (len == 0 || len > TLS_RECORD_MAX)
		return PARSE_BAD;
	left = rd_left(&in);
	if (left && rd_u8(&in) != HELLO_TYPE)
		return PARSE_BAD;
	if (left < HELLO_HEADER_LEN)
		return PARSE_MORE;
	if (len < HELLO_HEADER_LEN) /* the header itself continues in the next record */
		return PARSE_MORE;
	body = rd_u24(&in);
	if (body > HELLO_MAX_LEN || body + HELLO_HEADER_LEN < len)
		return PARSE_BAD;
	return body + HELLO_HEADER_LEN > len || left < len ? PARSE_MORE : PARSE_OK;
}

/*
 * Input: bytes from the start of a connection (first byte a record's type).
 * PARSE_OK:   *h is filled; bytes after h->used are not looked at.
 * PARSE_MORE: the first record is cut short, or it holds only a part of the hello.
 *             *h untouched.
 * PARSE_BAD:  not a hello, or one whose lengths lie. *h untouched.
 */
PURE int hello_parse(struct rd in, struct hello *h)
{
	struct rd record;
	int rc;

	if (in.bad)
		return PARSE_BAD;
	if (rd_left(&in) == 0)
		return PARSE_MORE;
	rc = hello_framing(in);
	if (rc != PARSE_OK)
		return rc;
	rd_skip(&in, 3);
	record = rd_vec(&in, 2);
	rc = hello_message(record, h);
	if (rc == PARSE_OK)
		h->used += TLS_HEADER_LEN;
	return rc;
}

#endif
