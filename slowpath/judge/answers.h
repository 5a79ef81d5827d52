/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a server's HTTP/1 answers end (RFC 9112 6.3), so that nothing of ours is ever inserted into
 * one. It follows the server's stream from the first byte, alongside the requests that were passed
 * to the server. It handles bytes only: no sockets, and no memory of its own but the struct.
 *
 * If the stream is not exactly HTTP/1, or an answer could end in different places for two clients,
 * the reader is lost, and stays lost: it never again reports that an answer has ended. It gets lost
 * at a bare CR or LF, folded lines, a length beside a coding, two lengths that differ, a coding
 * other than `chunked` or in HTTP/1.0, a length after a status that has no body, an answer without
 * a request, a 101 that nobody asked for, a head of more than HTTP_HEAD_MAX bytes, and anything
 * that slowpath/judge/chunks.h refuses.
 *
 * A 101 to a request for something that is never granted (h2c, TLS) is that request's answer and
 * nothing more: what the client sends after it is judged as requests, and a server that has really
 * switched accepts none.
 */
#ifndef SLUICE_SLOWPATH_JUDGE_ANSWERS_H
#define SLUICE_SLOWPATH_JUDGE_ANSWERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/wire/http.h"
#include "slowpath/judge/chunks.h"
#include "slowpath/judge/token.h"

#define ANSWERS_WAITING_MAX 64 /* requests without an answer; with one more the reader is lost */
#define ANSWERS_VALUE_MAX 18   /* bytes of a length or a coding: see http_short() */
#define ANSWERS_SKIP_ALL UINT64_MAX

enum answers_word {
	ANSWERS_GO_ON,	  /* all of the bytes were looked at */
	ANSWERS_SWITCHED, /* what follows, in both directions, is another protocol */
};

struct answers_head {
	unsigned len; /* bytes so far; 0: not begun */
	uint16_t status;
	uint8_t minor;
	bool has_length, chunked;
};

/* A field that determines how long the body is. */
struct answers_field {
	struct token name;
	uint64_t what; /* HTTP_CONTENT_LENGTH or HTTP_TRANSFER_ENCODING; 0: another field */
	bool over;     /* there is a space after the value */
	uint8_t len;
	uint8_t value[ANSWERS_VALUE_MAX];
};

/* All zero at first. */
struct answers {
	/* A bit for each request without an answer; the lowest is for the next to be answered. */
	uint64_t heads;	 /* asked with HEAD */
	uint64_t grants; /* may be answered with 101, and nothing else has been said yet */
	uint64_t nevers; /* a 101 to them switches nothing */
	uint64_t left;	 /* bytes of a body with a length; while in the head: the length */
	uint8_t waiting; /* requests without an answer */
	uint8_t state;	 /* what comes next */
	struct answers_head head;
	union {
		struct answers_field field;
		struct http_chunks chunks;
	};
};

/* One more request is passed to the server; call this before its first byte is written. upgrade:
   HTTP_UPGRADE_*. */
void answers_expect(struct answers *a, bool head, unsigned upgrade);
/*
 * Takes the server's next bytes, before they are carried.
 * ANSWERS_GO_ON:    *used is len.
 * ANSWERS_SWITCHED: *used is where the other protocol begins. Nothing is followed from there.
 */
enum answers_word answers_feed(struct answers *a, const uint8_t *data, size_t len, size_t *used);
/* Every request has been answered completely, and nothing follows. */
bool answers_between(const struct answers *a);
/* An answer has begun and is not complete, or that is not known. */
bool answers_open(const struct answers *a);
unsigned answers_missing(const struct answers *a); /* requests without a complete answer */
/* A request that may be answered with 101 was passed to the server, and its answer is not known
   yet. */
bool answers_undecided(const struct answers *a);
/*
 * How many of the next bytes may be skipped instead of fed: those of a body with a length, or
 * ANSWERS_SKIP_ALL where nothing more is followed. If other bytes are skipped the reader is lost.
 */
uint64_t answers_skippable(const struct answers *a);
void answers_skip(struct answers *a, uint64_t n);
/* To be called when bytes were carried that the reader has not seen. */
void answers_lose(struct answers *a);

#endif
