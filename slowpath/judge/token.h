/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compares a name that comes in pieces with the words of bpf/wire/http.h. It has only the members
 * of struct http_walk that this takes, because every connection without a verdict has some of
 * these.
 */
#ifndef SLUICE_SLOWPATH_JUDGE_TOKEN_H
#define SLUICE_SLOWPATH_JUDGE_TOKEN_H

#include <stdint.h>

#include "bpf/wire/http.h"

struct token {
	uint64_t alive; /* words that the name may still be; after its end: the word it is */
	uint32_t row;
	uint32_t underscore; /* 1: the name has an underscore where the word has a hyphen */
};

static inline void token_begin(struct token *t)
{
	struct http_walk w;

	http_token_begin(&w);
	*t = (struct token){ w.alive, w.row, w.underscore };
}

/* b is 0 at the name's end. */
static inline void token_byte(struct token *t, uint8_t b)
{
	struct http_walk w;

	if (!t->alive)
		return;
	w.alive = t->alive;
	w.row = t->row;
	w.underscore = t->underscore;
	http_token_byte(&w, b);
	*t = (struct token){ w.alive, w.row, w.underscore };
}

#endif
