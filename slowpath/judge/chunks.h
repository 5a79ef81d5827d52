/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a chunked body ends (RFC 9112 7.1). Strict: CRLF only, sizes of 1 to 15 hex digits,
 * extensions of visible characters, and trailers that are fields and say nothing about host or
 * length; extensions and trailers together at most CHUNKS_TRAILER_MAX bytes.
 */
#ifndef SLUICE_SLOWPATH_JUDGE_CHUNKS_H
#define SLUICE_SLOWPATH_JUDGE_CHUNKS_H

#include <stddef.h>
#include <stdint.h>

#include "bpf/wire/http.h"
#include "slowpath/judge/token.h"

#define CHUNKS_TRAILER_MAX 8192

struct http_chunks {
	uint64_t left;	   /* of the chunk's data */
	unsigned state;	   /* what comes next */
	unsigned digits;   /* of the size */
	unsigned trailer;  /* bytes of trailers and extensions read so far */
	struct token name; /* of a trailer */
};

void http_chunks_init(struct http_chunks *c);
/*
 * PARSE_OK: the body ended after *used bytes. PARSE_MORE: all len bytes were its own.
 * PARSE_BAD: it is not chunked; *used is what was good.
 */
int http_chunks_feed(struct http_chunks *c, const uint8_t *data, size_t len, size_t *used);

#endif
