// SPDX-License-Identifier: GPL-2.0-or-later
// Any bytes as a server's answers. Where ours says that one has ended it has ended for http-parser
// too, and cuts change nothing. In front: how the requests are asked (a bit each: with HEAD; may be
// answered with 101), how many are sent at once, where it is cut.
#include <http_parser.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "slowpath/judge/answers.h"

#define FRONT 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct asked {
	uint8_t heads, grants, requests, cut;
};

static void expect(struct answers *a, const struct asked *q, unsigned i)
{
	answers_expect(a, q->heads >> (i & 7) & 1, q->grants >> (i & 7) & 1);
}

/* ---- http-parser ---- */

/* Of one message. */
struct theirs {
	bool head, complete;
	unsigned lengths; /* fields of that name */
	bool mistaken;	  /* for Transfer-Encoding they take every name that begins so */
};

static int on_field(http_parser *p, const char *at, size_t len)
{
	struct theirs *t = p->data;

	t->lengths += len == 14 && strncasecmp(at, "content-length", len) == 0;
	t->mistaken |= len > 17 && strncasecmp(at, "transfer-encoding", 17) == 0;
	return 0;
}

static int on_headers(http_parser *p)
{
	struct theirs *t = p->data;

	return t->head; /* 1: no body */
}

static int on_end(http_parser *p)
{
	struct theirs *t = p->data;

	t->complete = true;
	http_parser_pause(p, 1);
	return 0;
}

/* The answers to one request, that end with the input: one that counts, others before it. */
static void compare(const uint8_t *data, size_t size, bool head)
{
	http_parser_settings settings;
	struct theirs t;
	http_parser p;
	size_t n;

	http_parser_settings_init(&settings);
	settings.on_header_field = on_field;
	settings.on_headers_complete = on_headers;
	settings.on_message_complete = on_end;
	do {
		t = (struct theirs){ .head = head };
		http_parser_init(&p, HTTP_RESPONSE);
		p.data = &t;
		n = http_parser_execute(&p, &settings, (const char *)data, size);
		if (t.mistaken || t.lengths > 1) /* which they refuse, though they are the same */
			return;
		if (HTTP_PARSER_ERRNO(&p) != HPE_PAUSED || !t.complete || n > size)
			abort();
		data += n;
		size -= n;
	} while (p.status_code / 100 == 1);
	if (size)
		abort();
}

/* A request at a time, and each answer must end where theirs does. */
static void converse(const struct asked *q, const uint8_t *data, size_t size)
{
	struct answers a = { .state = 0 };
	size_t used, begin = 0;
	unsigned i = 0;

	expect(&a, q, i);
	for (size_t off = 0; off < size; off++) {
		if (answers_feed(&a, data + off, 1, &used) != ANSWERS_GO_ON)
			return;
		if (!answers_between(&a))
			continue;
		compare(data + begin, off + 1 - begin, q->heads >> (i & 7) & 1);
		begin = off + 1;
		expect(&a, q, ++i);
	}
}

/* ---- cuts ---- */

struct end {
	struct answers a;
	enum answers_word word;
	size_t used;
};

/* All requests are sent before the first answer; skip: bodies are not fed. */
static void follow(struct end *e, const struct asked *q, const uint8_t *data, size_t size,
		   size_t first, size_t step, bool skip)
{
	size_t n = first;

	memset(e, 0, sizeof(*e));
	for (unsigned i = 0; i < q->requests % 10; i++)
		expect(&e->a, q, i);
	for (size_t off = 0; off < size && e->word == ANSWERS_GO_ON; off += n, n = step) {
		if (n > size - off)
			n = size - off;
		e->used = n;
		if (skip && answers_skippable(&e->a)) {
			if (n > answers_skippable(&e->a))
				n = e->used = (size_t)answers_skippable(&e->a);
			answers_skip(&e->a, n);
		} else {
			e->word = answers_feed(&e->a, data + off, n, &e->used);
		}
		if (e->used > n || (e->word == ANSWERS_GO_ON && e->used != n))
			abort();
		e->used += off;
	}
}

static void same(const struct end *whole, const struct end *parts)
{
	if (whole->word != parts->word || whole->a.state != parts->a.state ||
	    whole->a.waiting != parts->a.waiting || whole->a.left != parts->a.left ||
	    answers_between(&whole->a) != answers_between(&parts->a) ||
	    answers_undecided(&whole->a) != answers_undecided(&parts->a))
		abort();
	if (whole->used != parts->used)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct end whole, parts;
	struct asked q;

	if (size < FRONT)
		return 0;
	q = (struct asked){ data[0], data[1], data[2], data[3] };
	data += FRONT;
	size -= FRONT;
	converse(&q, data, size);
	follow(&whole, &q, data, size, size, size, false);
	follow(&parts, &q, data, size, q.cut, size, false);
	same(&whole, &parts);
	follow(&parts, &q, data, size, 1, 1, false);
	same(&whole, &parts);
	follow(&parts, &q, data, size, q.cut, q.cut % 16 + 1, true);
	same(&whole, &parts);
	return 0;
}
