/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a server's HTTP/1 answers end (RFC 9112 6.3), so that nothing of ours is ever put into
 * one. Follows its stream from the first byte, against the requests that were let go up to it.
 * Bytes only: no sockets, no memory of its own but the struct.
 *
 * What is not exactly HTTP/1, or could end in two places for two clients, makes it lost, and so
 * it stays: it never says again that an answer has ended. Lost are bare CR or LF, folded lines, a
 * length beside a coding, two lengths that differ, a coding other than `chunked` or in HTTP/1.0, a
 * length behind a status that has no body, an answer without a request, a 101 that nobody asked
 * for, a head of more than HTTP_HEAD_MAX bytes, and what slowpath/judge/chunks.h refuses.
 *
 * A 101 to a request for what is never granted (h2c, TLS) is that request's answer and no more:
 * what the client says behind it is judged as requests, and a server that has changed takes none.
 */
#ifndef SLUICE_SLOWPATH_JUDGE_ANSWERS_H
#define SLUICE_SLOWPATH_JUDGE_ANSWERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/wire/http.h"
#include "slowpath/judge/chunks.h"
#include "slowpath/judge/token.h"

#define ANSWERS_WAITING_MAX 64 /* requests without an answer; one more and it is lost */
#define ANSWERS_VALUE_MAX 18   /* bytes of a length or a coding: see http_short() */
#define ANSWERS_SKIP_ALL UINT64_MAX

enum answers_word {
	ANSWERS_GO_ON,	  /* all of it was looked at */
	ANSWERS_SWITCHED, /* what follows, both ways, is another protocol */
};

struct answers_head {
	unsigned len; /* bytes so far; 0: not begun */
	uint16_t status;
	uint8_t minor;
	bool has_length, chunked;
};

/* A field that says how long the body is. */
struct answers_field {
	struct token name;
	uint64_t what; /* HTTP_CONTENT_LENGTH or HTTP_TRANSFER_ENCODING; 0: another field */
	bool over;     /* a space behind the value */
	uint8_t len;
	uint8_t value[ANSWERS_VALUE_MAX];
};

/* All zero at first. */
struct answers {
	/* A bit for each request without an answer, the next one lowest. */
	uint64_t heads;	 /* asked with HEAD */
	uint64_t grants; /* may be answered with 101, and nothing else was said yet */
	uint64_t nevers; /* 101 is said to them in vain */
	uint64_t left;	 /* of a body with a length; in its head: the length */
	uint8_t waiting; /* requests without an answer */
	uint8_t state;	 /* what comes next */
	struct answers_head head;
	union {
		struct answers_field field;
		struct http_chunks chunks;
	};
};

/* One more request is let go up, before its first byte is written. upgrade: HTTP_UPGRADE_*. */
void answers_expect(struct answers *a, bool head, unsigned upgrade);
/*
 * The server's next bytes, before they are carried.
 * ANSWERS_GO_ON:    *used is len.
 * ANSWERS_SWITCHED: *used is where the other protocol begins. Nothing is followed from there.
 */
enum answers_word answers_feed(struct answers *a, const uint8_t *data, size_t len, size_t *used);
/* Every request was answered whole, and nothing follows. */
bool answers_between(const struct answers *a);
/* An answer has begun and is not whole, or it is not known. */
bool answers_open(const struct answers *a);
unsigned answers_missing(const struct answers *a); /* requests without a whole answer */
/* A request that may be answered with 101 was let go, and it is not known how it is. */
bool answers_undecided(const struct answers *a);
/*
 * How many of the next bytes need not be fed but may be skipped: those of a body with a length;
 * ANSWERS_SKIP_ALL where nothing more is followed. Skipping others loses it.
 */
uint64_t answers_skippable(const struct answers *a);
void answers_skip(struct answers *a, uint64_t n);
/* Bytes were carried that it has not seen. */
void answers_lose(struct answers *a);

#endif
