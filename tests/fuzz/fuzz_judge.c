// SPDX-License-Identifier: GPL-2.0-or-later
// Any bytes of a client, judged at once and in pieces: the same words, the same names, the same
// end. The last bytes of the input say where it is cut.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/wire/hello.h"
#include "slowpath/judge/stream.h"
#include "tests/fuzz/tls_repair.h"

#define NAMES_MAX 8
#define SERVER_HELLO_LEN 43

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	char names[NAMES_MAX][NAME_BUF];
	bool missing[NAMES_MAX], numeric[NAMES_MAX];
	unsigned n;
	size_t cleared;
	enum judge_word last;
	struct judge end;
};

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	return repair_mutate(data, size, max, seed);
}

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* Takes a name, and lets it pass. */
static void allow(struct outcome *o)
{
	struct judge *j = &o->end;

	if (j->name_len >= NAME_BUF || strlen(j->name) != j->name_len ||
	    (o->n && j->name_len && !j->missing && strcmp(j->name, o->names[0]) != 0))
		abort();
	if (o->n < NAMES_MAX) {
		strcpy(o->names[o->n], j->name);
		o->missing[o->n] = j->missing;
		o->numeric[o->n] = j->numeric;
	}
	o->n++;
	o->cleared += judge_go_on(j);
}

/* Yes to an Upgrade and a HelloRetryRequest, or no to both. */
static void hear(struct judge *j, bool yes)
{
	static const char *const upgrade[2] = { "HTTP/1.1 200 OK\r\n\r\n",
						"HTTP/1.1 101 x\r\n\r\n" };
	uint8_t hello[SERVER_HELLO_LEN] = { TLS_HANDSHAKE, 3, 3, 0, 38, 2, 0, 0, 34, 3, 3 };

	for (uint32_t i = 0; yes && i < HELLO_RANDOM_LEN; i++)
		hello[11 + i] = (uint8_t)tls_retry_byte(i);
	if (j->proto == PROTO_TLS)
		judge_answered(j, hello, sizeof(hello));
	else
		judge_answered(j, (const uint8_t *)upgrade[yes], strlen(upgrade[yes]));
}

/* cuts: 0 for none; upgraded: what the server says, see hear(). */
static void converse(const uint8_t *data, size_t size, uint32_t cuts, bool upgraded,
		     struct outcome *o)
{
	size_t have = cuts ? 1 : size, n;

	memset(o, 0, sizeof(*o));
	judge_init(&o->end);
	for (;;) {
		o->last = judge_feed(&o->end, data + o->cleared, have - o->cleared, &n);
		if (n > have - o->cleared)
			abort();
		o->cleared += n;
		if (o->last == JUDGE_BAD)
			return;
		if (o->last == JUDGE_NAMED) {
			allow(o);
			if (o->end.proto == PROTO_TLS) /* now, wherever the flight is cut */
				hear(&o->end, upgraded);
		} else if (o->end.state == JUDGE_UPGRADE)
			hear(&o->end, upgraded);
		else if (have == size)
			return;
		else
			have += 1 + next_random(&cuts) % (size - have < 32 ? size - have : 32);
		if (o->cleared > have)
			abort();
	}
}

static void compare(const struct outcome *a, const struct outcome *b)
{
	unsigned n = a->n < NAMES_MAX ? a->n : NAMES_MAX;

	if (a->n != b->n || a->cleared != b->cleared || a->last != b->last ||
	    a->end.state != b->end.state || a->end.reason != b->end.reason ||
	    memcmp(&a->end.follow, &b->end.follow, sizeof(a->end.follow)) != 0 ||
	    a->end.left != b->end.left || a->end.version != b->end.version ||
	    a->end.proto != b->end.proto)
		abort();
	for (unsigned i = 0; i < n; i++)
		if (strcmp(a->names[i], b->names[i]) != 0 || a->missing[i] != b->missing[i] ||
		    a->numeric[i] != b->numeric[i])
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct outcome whole, parts;
	static bool ready;
	uint32_t cuts = 0;

	if (!ready && judge_setup() != 0)
		abort();
	ready = true;
	for (size_t i = size < 4 ? 0 : size - 4; i < size; i++)
		cuts = cuts << 8 | data[i];
	if (size == 0)
		return 0;
	converse(data, size, 0, cuts & 1, &whole);
	converse(data, size, cuts ? cuts : 1, cuts & 1, &parts);
	compare(&whole, &parts);
	return 0;
}
