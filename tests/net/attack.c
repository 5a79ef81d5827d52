// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/net/attack.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/hello.h"

enum {
	LINGER_US = 60000,
	ANSWER_US = 150000,
	PATIENCE_US = 300000, /* where without the answer nothing is tried */
	SMALL_PIECES = 60,    /* then come big ones */
	BIG_PIECE = 8192,
	SEGMENT = 1400,
	EARLY_DATA = 42,
	UNKNOWN = 0xfafa, /* no extension that anybody knows */
};

uint32_t attack_pick(struct attack *a, uint32_t n)
{
	uint64_t x = a->random += 0x9e3779b97f4a7c15; /* splitmix64 */

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return (uint32_t)((x ^ x >> 31) >> 32) % n;
}

static bool chance(struct attack *a, unsigned percent)
{
	return attack_pick(a, 100) < percent;
}

static const char *one_of(struct attack *a, const char *const *words, unsigned n)
{
	return words[attack_pick(a, n)];
}

/* ---- steps ---- */

/* The last place is kept for the end. */
static void step(struct attack *a, enum attack_act act, uint32_t size)
{
	if (a->n_steps < ATTACK_STEPS - 1)
		a->steps[a->n_steps++] = (struct attack_step){ .act = act, .size = size };
}

static void piece(struct attack *a, size_t at, size_t size, int flags)
{
	a->steps[a->n_steps++] = (struct attack_step){
		.act = ACT_SEND, .flags = flags, .at = (uint32_t)at, .size = (uint32_t)size
	};
}

static void rest(struct attack *a)
{
	if (chance(a, a->pause))
		step(a, ACT_PAUSE, attack_pick(a, a->pause_us) + 1);
}

/* Mostly none; else often one behind the first bytes, where user space and the kernel meet. */
static int flags_of(struct attack *a, bool first)
{
	if (a->urgent && (first || chance(a, a->urgent)))
		return MSG_OOB;
	return chance(a, a->more) ? MSG_MORE : 0;
}

/* Pieces up to this size, so that they are not too many. */
static uint32_t piece_size(struct attack *a, uint32_t most, unsigned pieces)
{
	if (pieces > SMALL_PIECES)
		return BIG_PIECE;
	return 1 + attack_pick(a, most);
}

/* Sends the bytes from `at` up to `end`. */
static void cut(struct attack *a, size_t at, size_t end)
{
	static const uint32_t sizes[] = { ATTACK_BYTES, ATTACK_BYTES, SEGMENT, 3000, 200, 40, 10 };
	uint32_t most = sizes[attack_pick(a, sizeof(sizes) / sizeof(*sizes))];
	bool cork = chance(a, 5);

	if (cork)
		step(a, ACT_CORK, 0);
	for (unsigned i = 0; at < end && a->n_steps < ATTACK_STEPS - 8; i++) {
		size_t size = piece_size(a, most, i);

		if (size > end - at || i > ATTACK_STEPS / 3)
			size = end - at;
		piece(a, at, size, flags_of(a, a->n_steps == 0));
		at += size;
		rest(a);
	}
	if (cork)
		step(a, ACT_UNCORK, 0);
}

static void cut_all(struct attack *a)
{
	cut(a, 0, a->len);
}

/* In some, the end comes somewhere in the middle. */
static void finish(struct attack *a)
{
	static const enum attack_act ends[] = { ACT_CLOSE, ACT_CLOSE, ACT_CLOSE, ACT_RESET };

	if (chance(a, 10) && a->n_steps > 1)
		a->n_steps = 1 + attack_pick(a, a->n_steps);
	if (chance(a, 20))
		step(a, ACT_SHUT, 0);
	if (chance(a, 20))
		step(a, ACT_PAUSE, attack_pick(a, 2000));
	else if (chance(a, 90))
		step(a, ACT_LINGER, LINGER_US);
	a->steps[a->n_steps++] =
		(struct attack_step){ .act = ends[attack_pick(a, sizeof(ends) / sizeof(*ends))] };
}

/* ---- HTTP ---- */

static __attribute__((format(printf, 2, 3))) void put_text(struct writer *w, const char *format,
							   ...)
{
	char text[512];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	put(w, text, (size_t)n);
}

static void put_fill(struct writer *w, size_t size)
{
	memset(w->at, 'p', size);
	w->at += size;
}

static struct writer begin(struct attack *a)
{
	return (struct writer){ a->bytes };
}

static void end(struct attack *a, const struct writer *w)
{
	a->len = (size_t)(w->at - a->bytes);
}

static void put_get(struct writer *w, const char *host, const char *fields)
{
	/* 'h': it is a hidden one */
	put_text(w, "GET /%s HTTP/1.1\r\nHost: %s\r\n%s\r\n", host[0] == 'h' ? "secret" : "", host,
		 fields);
}

/* Of a POST whose head has `size` bytes or a few more. */
static void put_post(struct writer *w, const char *host, size_t size, const char *framing)
{
	uint8_t *start = w->at;
	size_t have;

	put_text(w, "POST / HTTP/1.1\r\nHost: %s\r\n%s\r\nX-Fill: ", host, framing);
	have = (size_t)(w->at - start) + 4;
	if (size > have)
		put_fill(w, size - have);
	put_text(w, "\r\n\r\n");
}

/* Half of them are made of hidden requests, which a server reads as such if bytes are lost or come
   twice. */
static void put_body(struct attack *a, struct writer *w, size_t size)
{
	uint8_t *stop = w->at + size;
	char bait[256];
	int n = snprintf(bait, sizeof(bait), "GET /bait HTTP/1.1\r\nHost: %s\r\n\r\n", a->hidden);

	if (chance(a, 50))
		while (stop - w->at > n)
			put(w, bait, (size_t)n);
	put_fill(w, (size_t)(stop - w->at));
}

static void make_honest(struct attack *a)
{
	struct writer w = begin(a);
	unsigned requests = 1 + attack_pick(a, 5);

	while (requests--)
		put_get(&w, a->name, "");
	end(a, &w);
	cut_all(a);
}

/*
 * The first segment ends in an urgent byte, so user space is woken before the kernel has judged it.
 * What follows: small pieces of body, until the kernel carries; big ones, which user space does not
 * see; and a request in two segments, which the kernel passes up.
 */
static void make_mixed_judges(struct attack *a, bool paced)
{
	static const char line[] = "GET /secret HTTP/1.1\r\n";
	unsigned small = 3 + attack_pick(a, 8), big = 1 + attack_pick(a, 6);
	size_t body = 2 + 10 * small + BIG_PIECE * big, at;
	struct writer w = begin(a);
	char framing[64];

	snprintf(framing, sizeof(framing), "Content-Length: %zu", body);
	put_post(&w, a->name, SEGMENT - 40 + attack_pick(a, 40), framing);
	at = (size_t)(w.at - a->bytes) + 2;
	put_body(a, &w, body);
	put_get(&w, a->hidden, "");
	end(a, &w);
	piece(a, 0, at, MSG_OOB);
	for (size_t size = 10; small + big; at += size) {
		step(a, paced ? ACT_ANSWER : ACT_PAUSE,
		     paced ? PATIENCE_US : 1 + attack_pick(a, a->pause_us));
		size = small ? 10 : BIG_PIECE;
		*(small ? &small : &big) -= 1;
		piece(a, at, size, 0);
	}
	step(a, ACT_PAUSE, attack_pick(a, 2000) + 1);
	piece(a, at, sizeof(line) - 1, 0);
	step(a, ACT_PAUSE, attack_pick(a, 2000) + 1);
	at += sizeof(line) - 1;
	piece(a, at, a->len - at, 0);
}

static void make_urgent(struct attack *a)
{
	make_mixed_judges(a, false);
}

/* Each piece when the server has answered to the one before, so that a slow machine makes no
   difference. */
static void make_paced(struct attack *a)
{
	make_mixed_judges(a, true);
}

static size_t body_size(struct attack *a)
{
	static const uint32_t most[] = { 3, 20, 200, 3000, 20000, 60000 };

	return attack_pick(a, most[attack_pick(a, sizeof(most) / sizeof(*most))]);
}

static void make_length(struct attack *a)
{
	struct writer w = begin(a);
	size_t body = body_size(a);
	char framing[64];

	snprintf(framing, sizeof(framing), "Content-Length: %zu", body);
	put_post(&w, a->name, chance(a, 50) ? attack_pick(a, SEGMENT) : 0, framing);
	put_body(a, &w, body);
	put_get(&w, a->hidden, "");
	end(a, &w);
	cut_all(a);
}

static void make_chunked(struct attack *a)
{
	struct writer w = begin(a);
	unsigned chunks = attack_pick(a, 12);

	put_post(&w, a->name, chance(a, 50) ? attack_pick(a, SEGMENT) : 0,
		 "Transfer-Encoding: chunked");
	while (chunks--) {
		size_t size = 1 + attack_pick(a, 4000);

		put_text(&w, "%zx\r\n", size);
		put_body(a, &w, size);
		put_text(&w, "\r\n");
	}
	put_text(&w, "0\r\n\r\n");
	put_get(&w, a->hidden, "");
	end(a, &w);
	cut_all(a);
}

/* The hidden one anywhere between others; sometimes the answer to the first is awaited. */
static void make_pipelined(struct attack *a)
{
	struct writer w = begin(a);
	unsigned before = 1 + attack_pick(a, 6), behind = attack_pick(a, 3);
	size_t first;

	put_get(&w, a->name, "");
	first = (size_t)(w.at - a->bytes);
	while (--before)
		put_get(&w, a->name, "");
	put_get(&w, a->hidden, "");
	while (behind--)
		put_get(&w, a->name, "");
	end(a, &w);
	if (chance(a, 60)) {
		cut_all(a);
		return;
	}
	cut(a, 0, first);
	step(a, ACT_ANSWER, ANSWER_US);
	cut(a, first, a->len);
}

/* ---- HTTP/2 ---- */

static void put_frame_head(struct writer *w, size_t size, int type, int flags, int stream)
{
	put_number(w, size, 3);
	put_number(w, (uint64_t)type, 1);
	put_number(w, (uint64_t)flags, 1);
	put_number(w, (uint64_t)stream, 4);
}

/* The preface, empty settings, and a request for the hidden name. */
static void put_http2(struct attack *a, struct writer *w, int stream)
{
	size_t length = strlen(a->hidden);

	put_text(w, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	put_frame_head(w, 0, 4, 0, 0);
	put_frame_head(w, 3 + 2 + length, 1, 5, stream); /* end of the headers, and of the stream */
	put_number(w, 0x828684, 3);			 /* GET, http, / */
	put_number(w, 0x01, 1);				 /* :authority */
	put_number(w, length, 1);
	put(w, a->hidden, length);
}

static void make_upgrade(struct attack *a)
{
	static const char *const ways[] = {
		"Connection: Upgrade\r\nUpgrade: h2c\r\n",
		("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
		 "HTTP2-Settings: AAMAAABkAAQAAP__\r\n"),
		"Connection: Upgrade\r\nUpgrade: H2C\r\n",
		"Upgrade: h2c\r\n",
		"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
		"",
	};
	struct writer w = begin(a);
	size_t first;

	put_get(&w, a->name, one_of(a, ways, sizeof(ways) / sizeof(*ways)));
	first = (size_t)(w.at - a->bytes);
	put_http2(a, &w, 3);
	end(a, &w);
	cut(a, 0, first);
	if (chance(a, 80))
		step(a, ACT_ANSWER, PATIENCE_US);
	cut(a, first, a->len);
	step(a, ACT_ANSWER, PATIENCE_US);
}

static void make_preface(struct attack *a)
{
	struct writer w = begin(a);

	put_http2(a, &w, 1);
	end(a, &w);
	cut_all(a);
	step(a, ACT_ANSWER, PATIENCE_US);
}

/* ---- TLS ---- */

struct hello_shape {
	const char *name;
	bool share;		/* without, the server asks for another hello */
	bool early_data;	/* is announced */
	int version;		/* legacy_version */
	const uint8_t *unknown; /* the last extension, which nobody knows */
	size_t unknown_len;
};

static void put_share(struct writer *w, bool there)
{
	static const uint8_t key[32] = { 9 };

	if (there)
		put_key_share(w, key);
	else
		put_extension(w, 51, "\0", 2); /* an empty list */
}

static void put_hello_extensions(struct writer *w, const struct hello_shape *s)
{
	static const uint8_t groups[] = { 0, 2, 0, 0x1d };
	static const uint8_t signatures[] = { 0, 4, 4, 3, 8, 4 };
	static const uint8_t versions[] = { 2, 3, 4 };
	uint8_t *extensions = open_vector(w, 2);

	put_server_name(w, s->name);
	put_extension(w, 10, groups, sizeof(groups));
	put_extension(w, 13, signatures, sizeof(signatures));
	put_extension(w, 43, versions, sizeof(versions));
	put_extension(w, 45, "\1\1", 2);
	put_share(w, s->share);
	if (s->early_data)
		put_extension(w, EARLY_DATA, "", 0);
	if (s->unknown_len)
		put_extension(w, UNKNOWN, s->unknown, s->unknown_len);
	close_vector(w, extensions, 2);
}

/* The message, without a record. */
static void put_hello(struct writer *w, const struct hello_shape *s)
{
	static const uint8_t random[32] = { 7 };
	uint8_t *body;

	put_number(w, 1, 1); /* client_hello */
	body = open_vector(w, 3);
	put_number(w, (uint64_t)s->version, 2);
	put(w, random, 32);
	put_number(w, 32, 1);
	put(w, random, 32); /* session id */
	put_number(w, 2, 2);
	put_number(w, 0x1301, 2);
	put_number(w, 0x0100, 2); /* no compression */
	put_hello_extensions(w, s);
	close_vector(w, body, 3);
}

static void put_record(struct writer *w, int kind, const void *data, size_t size)
{
	put_record_head(w, kind, size);
	put(w, data, size);
}

/* A message in one record or, at times, in some, cut at any place. */
static void put_in_records(struct attack *a, struct writer *w, const uint8_t *data, size_t size)
{
	static const uint32_t most[] = { 2000, 2000, 2000, 300, 60, 7 };
	uint32_t limit = most[attack_pick(a, sizeof(most) / sizeof(*most))];

	while (size) {
		size_t n = limit == 2000 ? size : 1 + attack_pick(a, limit);

		n = n < size ? n : size;
		put_record(w, RECORD_HANDSHAKE, data, n);
		data += n;
		size -= n;
	}
}

static void put_whole_hello(struct attack *a, struct writer *w, const struct hello_shape *s)
{
	uint8_t message[HELLO_MAX];
	struct writer m = { message };

	put_hello(&m, s);
	put_in_records(a, w, message, (size_t)(m.at - message));
}

static void put_change_cipher(struct attack *a, struct writer *w, unsigned percent)
{
	if (chance(a, percent))
		put_record(w, RECORD_CHANGE_CIPHER, "\1", 1);
}

static void put_early_data(struct attack *a, struct writer *w)
{
	uint8_t data[300] = { 1 };

	for (unsigned n = attack_pick(a, 3); n; n--)
		put_record(w, RECORD_APPLICATION, data, 17 + attack_pick(a, sizeof(data) - 17));
}

/* A name that is allowed, or one that is not; nothing behind it. */
static void make_hello(struct attack *a)
{
	struct hello_shape s = { .name = chance(a, 70) ? a->name : a->hidden, .version = 0x0303 };
	struct writer w = begin(a);

	s.share = chance(a, 80);
	s.early_data = chance(a, 20);
	put_whole_hello(a, &w, &s);
	put_early_data(a, &w);
	end(a, &w);
	cut_all(a);
}

/* What follows the first hello is sent with it, or when the server has answered. */
static void cut_hellos(struct attack *a, size_t first)
{
	cut(a, 0, first);
	if (chance(a, 60))
		step(a, ACT_ANSWER, ANSWER_US);
	cut(a, first, a->len);
}

static void make_second(struct attack *a)
{
	struct hello_shape s = { .name = a->name, .version = 0x0303 };
	struct writer w = begin(a);
	size_t first;

	s.share = chance(a, 20);
	s.early_data = chance(a, 60);
	put_whole_hello(a, &w, &s);
	if (s.early_data)
		put_early_data(a, &w);
	first = (size_t)(w.at - a->bytes);
	put_change_cipher(a, &w, 60);
	s = (struct hello_shape){ .name = a->hidden, .share = true, .version = 0x0303 };
	put_whole_hello(a, &w, &s);
	end(a, &w);
	cut_hellos(a, first);
}

/* Cut so that its second record is a hello with the allowed name, for whoever reads it alone. */
static void put_two_faced(struct attack *a, struct writer *w)
{
	uint8_t inner[HELLO_MAX], message[2 * HELLO_MAX];
	struct writer in = { inner }, m = { message };
	struct hello_shape s = { .name = a->name, .share = true, .version = 0x0303 };
	size_t inner_len, all;

	put_hello(&in, &s);
	inner_len = (size_t)(in.at - inner);
	s = (struct hello_shape){ .name = a->hidden, .share = true, .unknown = inner };
	s.version = chance(a, 70) ? 0x0403 : 0x0303;
	s.unknown_len = inner_len;
	put_hello(&m, &s);
	all = (size_t)(m.at - message);
	put_record(w, RECORD_HANDSHAKE, message, all - inner_len);
	put_record(w, RECORD_HANDSHAKE, message + all - inner_len, inner_len);
}

static void make_two_faced(struct attack *a)
{
	struct hello_shape s = { .name = a->name, .version = 0x0303 };
	struct writer w = begin(a);
	size_t first;

	put_whole_hello(a, &w, &s);
	first = (size_t)(w.at - a->bytes);
	put_change_cipher(a, &w, 90);
	put_two_faced(a, &w);
	end(a, &w);
	cut_hellos(a, first);
}

/* ---- kinds ---- */

static const struct kind {
	const char *name;
	enum attack_server server;
	unsigned weight;
	void (*make)(struct attack *a);
} kinds[] = {
	{ "honest", AT_HTTP, 10, make_honest },	    { "urgent", AT_HTTP, 20, make_urgent },
	{ "paced", AT_LIVE, 10, make_paced },	    { "length", AT_HTTP, 15, make_length },
	{ "chunked", AT_HTTP, 10, make_chunked },   { "pipelined", AT_HTTP, 15, make_pipelined },
	{ "upgrade", AT_H2C, 5, make_upgrade },	    { "preface", AT_H2C, 2, make_preface },
	{ "hello", AT_TLS, 15, make_hello },	    { "second", AT_TLS, 10, make_second },
	{ "two-faced", AT_TLS, 5, make_two_faced },
};

const char *attack_name(unsigned kind)
{
	return kind < sizeof(kinds) / sizeof(*kinds) ? kinds[kind].name : NULL;
}

enum attack_server attack_server(unsigned kind)
{
	return kinds[kind].server;
}

static unsigned pick_kind(struct attack *a, unsigned only)
{
	unsigned all = 0, at, i;

	for (i = 0; attack_name(i); i++)
		all += only & 1u << i ? kinds[i].weight : 0;
	at = attack_pick(a, all);
	for (i = 0;; i++) {
		unsigned weight = only & 1u << i ? kinds[i].weight : 0;

		if (at < weight)
			return i;
		at -= weight;
	}
}

/* The hidden name is one that is denied, or allowed but not on this connection. */
static void name_it(struct attack *a, uint64_t number, const struct attack_domains *d)
{
	const char *kind = kinds[a->kind].name;

	snprintf(a->name, sizeof(a->name), "n%llu-%s.%s", (unsigned long long)number, kind,
		 d->allowed);
	snprintf(a->hidden, sizeof(a->hidden), "h%llu-%s.%s", (unsigned long long)number, kind,
		 chance(a, 75) ? d->denied : d->allowed);
}

void attack_make(struct attack *a, uint64_t seed, uint64_t number, unsigned only,
		 const struct attack_domains *domains)
{
	static const unsigned urgent[] = { 0, 0, 1, 1, 10, 50 }, pause[] = { 0, 0, 3, 20, 60 };
	static const uint32_t pause_us[] = { 20, 100, 500, 2000 };

	a->random = seed * 0xd1342543de82ef95 ^ number * 0x2545f4914f6cdd1d;
	a->n_steps = 0;
	a->kind = pick_kind(a, only);
	name_it(a, number, domains);
	a->urgent = urgent[attack_pick(a, sizeof(urgent) / sizeof(*urgent))];
	a->pause = pause[attack_pick(a, sizeof(pause) / sizeof(*pause))];
	a->pause_us = pause_us[attack_pick(a, sizeof(pause_us) / sizeof(*pause_us))];
	a->more = chance(a, 10) ? 30 : 0;
	a->shared = chance(a, 8);
	kinds[a->kind].make(a);
	finish(a);
}
