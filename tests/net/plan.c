// SPDX-License-Identifier: GPL-2.0-or-later
// Everything is drawn from the seed and the number by a hash, so nothing has to be remembered.
#include "tests/net/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KILO 1024u
#define MEGA (1024u * 1024u)
#define CHUNK_LINE 8 /* "%06x\r\n" */
#define CHUNK_END 2
#define LAST_CHUNK "0\r\n\r\n"
#define RECORD_PAYLOAD 32 /* seed, number, scenario, padding */
#define RECORD_MAX 16384
#define RESTS 150u   /* most rests of one end */
#define CHUNKS 1000u /* about so many chunks at most */
#define GOLDEN 0x9e3779b97f4a7c15u

static const char *const names[SCENARIOS] = {
	[BOTH_AT_ONCE] = "both-at-once",
	[SLOW_READERS] = "slow-readers",
	[BURSTY_READERS] = "bursty-readers",
	[BULK] = "bulk",
	[CLIENT_FIRST] = "client-first",
	[DURING] = "during",
	[AFTER] = "after",
	[SERVER_FIRST] = "server-first",
	[FIN_WITH_DATA] = "fin-with-data",
	[FIRST_FLIGHT] = "first-flight",
	[ONE_BYTE] = "one-byte",
	[TURNS] = "turns",
	[HELLO_PIECES] = "hello-pieces",
	[CLIENT_RESETS] = "client-resets",
	[SERVER_RESETS] = "server-resets",
	[HTTP_LENGTH] = "http-length",
	[HTTP_CHUNKED] = "http-chunked",
	[HTTP_TURNS] = "http-turns",
	[HTTP_PIPELINED] = "http-pipelined",
};

const char *scenario_name(enum scenario scenario)
{
	return names[scenario];
}

enum scenario scenario_find(const char *name)
{
	enum scenario s = 0;

	while (s < SCENARIOS && strcmp(name, names[s]))
		s++;
	return s;
}

/* ---- drawing ---- */

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* What is drawn, so that no two draws are the same. Those of messages need their index. */
enum draw {
	DRAW_KEY,
	DRAW_MESSAGES,
	DRAW_PROLOGUE,
	DRAW_BULK_WAY,
	DRAW_PIECE,
	DRAW_NODELAY,
	DRAW_REST,
	DRAW_WHO,
	DRAW_BUFFER,
	DRAW_ALONE,
	DRAW_RESET,
	DRAW_RESET_SENT,
	DRAW_RESET_RECEIVED,
	DRAW_SHAPE,
	DRAW_PADDING,
	DRAW_MESSAGE, /* and after it, two for each */
};

static uint64_t draw(const struct plan *p, int end, unsigned what)
{
	uint64_t x = mix(p->seed + GOLDEN) + p->number;

	return mix(mix(x + GOLDEN * 2) + what * 2 + (unsigned)end);
}

/* 0 to below - 1 */
static uint64_t draw_below(const struct plan *p, int end, unsigned what, uint64_t below)
{
	return draw(p, end, what) % below;
}

/* Every order of magnitude is equally likely; 1 to 2^bits - 1. */
static uint64_t spread(uint64_t drawn, unsigned bits)
{
	unsigned bit = (unsigned)(drawn % bits);

	return (1u << bit) + (drawn >> 8) % (1u << bit);
}

/* ---- sizes ---- */

static uint64_t any_size(uint64_t drawn)
{
	switch (drawn % 64) {
	case 0:
		return MEGA + (drawn >> 8) % (4 * MEGA);
	case 1 ... 4:
		return 0;
	case 5 ... 8:
		return 1;
	default:
		return spread(mix(drawn), 20);
	}
}

static uint64_t turn_size(uint64_t drawn)
{
	return drawn % 8 ? spread(mix(drawn), 11) : spread(mix(drawn), 17);
}

static uint64_t body_size(const struct plan *p, int end, unsigned index)
{
	uint64_t drawn = draw(p, end, DRAW_MESSAGE + 2 * index);

	if (index < p->prologue)
		return spread(mix(drawn), 9);
	switch (p->scenario) {
	case BULK:
		if (draw_below(p, 0, DRAW_BULK_WAY, 2) != (unsigned)end)
			return 1;
		return MEGA + drawn % (3 * MEGA);
	case SLOW_READERS:
		return spread(mix(drawn), 19);
	case BURSTY_READERS:
		return spread(mix(drawn), 21);
	case FIRST_FLIGHT:
		return end == CLIENT ? spread(mix(drawn), 13) : any_size(drawn);
	case ONE_BYTE:
		return 1 + mix(drawn) % 300;
	case TURNS:
	case HTTP_TURNS:
	case HTTP_PIPELINED:
		return turn_size(drawn);
	case CLIENT_RESETS:
	case SERVER_RESETS:
		return spread(mix(drawn), 18) + 1;
	default:
		return any_size(drawn);
	}
}

/* Most connections talk for a while before they do what they are for. */
static unsigned prologue(const struct plan *p)
{
	uint64_t drawn = draw(p, 0, DRAW_PROLOGUE);

	if (p->scenario == FIRST_FLIGHT || p->scenario == HTTP_PIPELINED)
		return 0;
	if (drawn % 8 == 0)
		return p->frame ==
		       FRAME_TLS; /* what is no record waits for the server's first word */
	return 4 + (unsigned)(drawn >> 8) % 8;
}

/* After the prologue. */
static unsigned message_count(const struct plan *p)
{
	switch (p->scenario) {
	case TURNS:
		return 2 + (unsigned)draw_below(p, 0, DRAW_MESSAGES, 40);
	case HTTP_TURNS:
		return 2 + (unsigned)draw_below(p, 0, DRAW_MESSAGES, 8);
	case HTTP_PIPELINED:
		return 2 + (unsigned)draw_below(p, 0, DRAW_MESSAGES, 4);
	default:
		return 1;
	}
}

/* ---- heads ---- */

/* The same hello in two records: the slow path puts it together. */
static size_t in_two_records(uint8_t *hello, size_t size, size_t first)
{
	struct writer w = { hello };

	memmove(hello + first + 2 * TLS_HEAD, hello + first + TLS_HEAD, size - first - TLS_HEAD);
	put_record_head(&w, RECORD_HANDSHAKE, first);
	w.at += first;
	put_record_head(&w, RECORD_HANDSHAKE, size - first - TLS_HEAD);
	return size + TLS_HEAD;
}

/* A hello, and a record of application data with the number and the body in it. */
static size_t tls_head(const struct plan *p, uint64_t body, uint8_t *out)
{
	uint64_t shape = draw(p, CLIENT, DRAW_SHAPE);
	struct writer w = { out };
	size_t hello = hello_make(out, p->name, (uint8_t)shape);

	if (p->scenario == HELLO_PIECES && shape & 0x100)
		hello = in_two_records(out, hello, 1 + (shape >> 16) % 200);
	w.at += hello;
	if (shape & 0x200) {
		put_record_head(&w, RECORD_CHANGE_CIPHER, 1);
		put_number(&w, 1, 1);
	}
	put_record_head(&w, RECORD_APPLICATION, (size_t)(RECORD_PAYLOAD + body));
	put_number(&w, p->seed, 8);
	put_number(&w, p->number, 8);
	put_number(&w, p->scenario, 8);
	put_number(&w, draw(p, CLIENT, DRAW_PADDING), 8);
	return (size_t)(w.at - out);
}

/* The head of a record; what is behind it are not records any more. */
static size_t tls_answer(uint64_t body, uint8_t *out)
{
	struct writer w = { out };

	put_record_head(&w, RECORD_APPLICATION, 1 + (size_t)(body % RECORD_MAX));
	return TLS_HEAD;
}

static int http_framing(const struct plan *p, uint64_t body, char *out, size_t size)
{
	if (p->frame == FRAME_CHUNKED)
		return snprintf(out, size, "Transfer-Encoding: chunked\r\n\r\n");
	return snprintf(out, size, "Content-Length: %llu\r\n\r\n", (unsigned long long)body);
}

static size_t http_head(const struct plan *p, int end, uint64_t body, char *out)
{
	int n;

	if (end == CLIENT)
		n = snprintf(out, PLAN_HEAD_MAX,
			     "POST /%016llx/%016llx/%u HTTP/1.1\r\nHost: %s\r\n",
			     (unsigned long long)p->seed, (unsigned long long)p->number,
			     p->scenario, p->name);
	else
		n = snprintf(out, PLAN_HEAD_MAX, "HTTP/1.1 200 OK\r\n");
	return (size_t)(n + http_framing(p, body, out + n, PLAN_HEAD_MAX - (size_t)n));
}

/* ---- messages ---- */

/* The data of a chunked body with their framing, without the last chunk. */
static uint64_t chunks_size(const struct message *m)
{
	return m->body + (m->body + m->chunk - 1) / m->chunk * (CHUNK_LINE + CHUNK_END);
}

static void message_make(struct message *m, const struct plan *p, int end, unsigned index,
			 uint64_t begin)
{
	m->begin = begin;
	m->body = body_size(p, end, index);
	m->chunk = spread(draw(p, end, DRAW_MESSAGE + 2 * index + 1), 15) + m->body / CHUNKS;
	m->head = 0;
	if (p->frame != FRAME_TLS)
		m->head = http_head(p, end, m->body, (char *)m->text);
	else if (index == 0)
		m->head = end == CLIENT ? tls_head(p, m->body, m->text) :
					  tls_answer(m->body, m->text);
	m->size = m->head +
		  (p->frame == FRAME_CHUNKED ? chunks_size(m) + strlen(LAST_CHUNK) : m->body);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Pseudo-random bytes; which ones, their place says. */
static void fill_random(uint64_t key, uint64_t at, uint8_t *out, size_t size)
{
	while (size) {
		uint64_t word = mix(key + (at >> 3) * GOLDEN);
		size_t skip = at & 7, n = least(8 - skip, size);

		memcpy(out, (uint8_t *)&word + skip, n);
		out += n;
		at += n;
		size -= n;
	}
}

static size_t fill_text(const char *text, size_t length, uint64_t at, uint8_t *out, size_t size)
{
	size_t n = least(length - at, size);

	memcpy(out, text + at, n);
	return n;
}

/* One stretch of a chunked body, from `at` in it: a line, data, or the end of a chunk. */
static size_t fill_chunked(const struct message *m, uint64_t key, uint64_t at, uint8_t *out,
			   size_t size)
{
	uint64_t wire = m->chunk + CHUNK_LINE + CHUNK_END, off = at % wire;
	uint64_t begin = at / wire * m->chunk, data, all = chunks_size(m);
	char line[CHUNK_LINE + 1];
	size_t n;

	if (at >= all)
		return fill_text(LAST_CHUNK, strlen(LAST_CHUNK), at - all, out, size);
	data = least(m->chunk, m->body - begin);
	if (off < CHUNK_LINE) {
		snprintf(line, sizeof(line), "%06x\r\n", (unsigned)data & 0xffffff);
		return fill_text(line, CHUNK_LINE, off, out, size);
	}
	off -= CHUNK_LINE;
	if (off >= data)
		return fill_text("\r\n", CHUNK_END, off - data, out, size);
	n = least(data - off, size);
	fill_random(key, begin + off, out, n);
	return n;
}

static size_t fill_body(const struct message *m, const struct plan *p, int end, uint64_t at,
			uint8_t *out, size_t size)
{
	uint64_t key = p->key[end] + m->begin;
	size_t done = 0;

	size = least(size, m->size - m->head - at);
	if (p->frame != FRAME_CHUNKED) {
		fill_random(key, at, out, size);
		return size;
	}
	while (done < size)
		done += fill_chunked(m, key, at + done, out + done, size - done);
	return done;
}

/* ---- cursors ---- */

/* Steps over what is complete, messages without a byte as well. */
static void cursor_settle(struct cursor *c, const struct plan *p, int end)
{
	while (c->index < p->messages && c->at == c->message.begin + c->message.size)
		if (++c->index < p->messages)
			message_make(&c->message, p, end, c->index, c->at);
}

void cursor_begin(struct cursor *c, const struct plan *p, int end)
{
	c->index = 0;
	c->at = 0;
	message_make(&c->message, p, end, 0, 0);
	cursor_settle(c, p, end);
}

size_t cursor_fill(const struct cursor *c, const struct plan *p, int end, uint8_t *out, size_t size)
{
	const struct message *m = &c->message;
	uint64_t at = c->at - m->begin;
	size_t head = 0;

	if (c->index == p->messages)
		return 0;
	if (at < m->head)
		head = fill_text((const char *)m->text, m->head, at, out, size);
	if (head == size)
		return head;
	return head + fill_body(m, p, end, at + head - m->head, out + head, size - head);
}

void cursor_advance(struct cursor *c, const struct plan *p, int end, size_t size)
{
	c->at += size;
	cursor_settle(c, p, end);
}

/* ---- manners ---- */

static void plan_sizes(struct plan *p)
{
	struct message m;

	for (int end = 0; end < ENDS; end++) {
		p->key[end] = draw(p, end, DRAW_KEY);
		p->size[end] = 0;
		for (unsigned i = 0; i < p->messages; i++) {
			message_make(&m, p, end, i, p->size[end]);
			if (i == p->prologue)
				p->main[end] = p->size[end];
			if (end == CLIENT && i == 0)
				p->preface = m.head;
			p->size[end] += m.size;
		}
	}
}

/* What is common to all scenarios: sizes of writes, with Nagle's rule or without, and rests. */
static void manner_any(struct plan *p, int end)
{
	static const uint32_t pieces[] = { 0, 0, 100, 1460, 16 * KILO, 64 * KILO };
	struct manner *m = &p->manner[end];
	uint64_t rest = draw(p, end, DRAW_REST);

	m->bite = 64 * KILO;
	m->piece = pieces[draw_below(p, end, DRAW_PIECE, sizeof(pieces) / sizeof(*pieces))];
	if (m->piece == 100 && p->size[end] > 256 * KILO)
		m->piece = 1460;
	m->nodelay = draw_below(p, end, DRAW_NODELAY, 2);
	switch (rest % 4) {
	case 0: /* so that queues run empty in the middle of it */
		m->send_burst = (uint32_t)(p->size[end] / (1 + rest / 4 % 8)) + 1;
		m->send_rest_us = 1000 + (uint32_t)(rest >> 32) % 8000;
		break;
	case 1: /* no faster than a network is */
	case 2:
		m->send_burst = 8 * KILO + (uint32_t)(rest >> 8) % (56 * KILO);
		m->send_rest_us = 200 + (uint32_t)(rest >> 32) % 800;
		break;
	}
}

static void manner_slow(struct plan *p, int end)
{
	struct manner *m = &p->manner[end];
	uint64_t drawn = draw(p, end, DRAW_BUFFER);

	m->bite = (uint32_t)spread(mix(drawn), 13);
	if (m->bite < p->size[!end] / RESTS)
		m->bite = (uint32_t)(p->size[!end] / RESTS);
	m->read_burst = m->bite;
	m->read_rest_us = 100 + (uint32_t)(drawn >> 40) % 2000;
	if (drawn & 0x80)
		m->receive_buffer = 4 * KILO;
}

/*
 * The other side goes on in small bursts: so it often happens that all of them are read, and
 * wait to be written, when the next one comes and a little room has become free.
 */
static void manner_bursty(struct plan *p, int end)
{
	struct manner *m = &p->manner[end], *other = &p->manner[!end];
	uint64_t drawn = draw(p, end, DRAW_BUFFER);

	m->receive_buffer = 1 << (12 + drawn % 5);
	m->read_burst = (uint32_t)(p->size[!end] / (1 + (drawn >> 8) % 8)) + 1;
	m->read_rest_us = 2000 + (uint32_t)(drawn >> 40) % 30000;
	if (drawn & 0x10000) {
		m->bite = 2 * KILO;
		other->send_burst = 1 + (uint32_t)(drawn >> 20) % (16 * KILO);
		other->send_rest_us = 50 + (uint32_t)(drawn >> 34) % 400;
	}
}

/* One reader, the other, or both. */
static void manner_readers(struct plan *p, void (*change)(struct plan *p, int end))
{
	unsigned who = (unsigned)draw_below(p, 0, DRAW_WHO, 4);

	for (int end = 0; end < ENDS; end++)
		if (who >= ENDS || who == (unsigned)end)
			change(p, end);
}

static void manner_one_byte(struct plan *p, int end)
{
	struct manner *m = &p->manner[end];

	m->piece = m->alone_piece = 1;
	m->nodelay = true;
	m->send_burst = 0;
	m->alone_from = p->main[end];
	if (end == CLIENT && m->alone_from < p->preface)
		m->alone_from = p->preface;
	m->alone_until = m->alone_from + draw_below(p, end, DRAW_ALONE, 100);
}

/* Resets come at any moment; before, one of the two may have ended. */
static void manner_reset(struct plan *p, int end)
{
	struct manner *m = &p->manner[end], *other = &p->manner[!end];
	uint64_t drawn = draw(p, 0, DRAW_RESET);

	m->resets = true;
	m->ending = other->ending = END_NEVER;
	m->reset_sent = 1 + draw_below(p, end, DRAW_RESET_SENT, p->size[end]);
	m->reset_received = draw_below(p, end, DRAW_RESET_RECEIVED, p->size[!end] + 1);
	switch (drawn % 6) {
	case 0: /* while the way is being made */
		m->reset_sent = end == CLIENT ? p->preface : 0;
		m->reset_received = 0;
		break;
	case 1:
		m->reset_received = 0;
		break;
	case 2:
		m->ending = END_AT_ONCE;
		m->reset_sent = p->size[end];
		break;
	case 3:
		other->ending = END_AT_ONCE;
		break;
	}
	if (drawn & 0x100)
		manner_readers(p, manner_bursty);
	/* A small buffer drops segments, and then TCP may not believe the reset behind them. */
	m->receive_buffer = other->receive_buffer = 0;
}

static void manner_pieces(struct plan *p)
{
	struct manner *m = &p->manner[CLIENT];
	uint64_t drawn = draw(p, CLIENT, DRAW_ALONE);

	m->alone_piece = 1 + (uint32_t)(drawn % 300);
	m->alone_until = 100 + (drawn >> 16) % 300;
	m->nodelay = true;
}

static void manner_of_scenario(struct plan *p)
{
	struct manner *client = &p->manner[CLIENT], *server = &p->manner[SERVER];

	switch (p->scenario) {
	case SLOW_READERS:
		manner_readers(p, manner_slow);
		break;
	case BURSTY_READERS:
		manner_readers(p, manner_bursty);
		break;
	case BULK:
		client->piece = server->piece = 64 * KILO;
		break;
	case CLIENT_FIRST:
		server->gate = SEND_AFTER_END;
		break;
	case DURING:
		client->ending = END_AT_MARK;
		client->end_mark = (p->main[SERVER] + p->size[SERVER]) / 2;
		break;
	case AFTER:
		client->ending = END_AT_MARK;
		client->end_mark = p->size[SERVER];
		server->gate = SEND_IN_TURN;
		server->ending = END_AFTER_END;
		break;
	case SERVER_FIRST:
		client->gate = SEND_AFTER_END;
		break;
	case FIN_WITH_DATA:
		client->fin_with_data = server->fin_with_data = true;
		break;
	case FIRST_FLIGHT:
		client->cork = client->fin_with_data = true;
		client->piece = 64 * KILO;
		client->send_burst = 0;
		break;
	case ONE_BYTE:
		manner_one_byte(p, CLIENT);
		manner_one_byte(p, SERVER);
		break;
	case TURNS:
	case HTTP_TURNS:
		client->gate = server->gate = SEND_IN_TURN;
		break;
	case HTTP_PIPELINED:
		server->gate = SEND_IN_TURN;
		break;
	case HELLO_PIECES:
		manner_pieces(p);
		break;
	case CLIENT_RESETS:
		manner_reset(p, CLIENT);
		break;
	case SERVER_RESETS:
		manner_reset(p, SERVER);
		break;
	default:
		break;
	}
}

/* ---- the plan ---- */

void plan_make(struct plan *p, uint64_t seed, uint64_t number, enum scenario scenario,
	       const char *domain)
{
	memset(p, 0, sizeof(*p));
	p->seed = seed;
	p->number = number;
	p->scenario = scenario;
	snprintf(p->name, sizeof(p->name), "%s.%s", scenario_name(scenario), domain);
	if (scenario >= HTTP_LENGTH)
		p->frame = scenario == HTTP_CHUNKED ? FRAME_CHUNKED : FRAME_LENGTH;
	p->prologue = prologue(p);
	p->messages = p->prologue + message_count(p);
	plan_sizes(p);
	manner_any(p, CLIENT);
	manner_any(p, SERVER);
	manner_of_scenario(p);
}

static uint64_t get_number(const uint8_t *at)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value = value << 8 | at[i];
	return value;
}

static enum plan_found found(struct plan *p, uint64_t seed, uint64_t number, uint64_t scenario,
			     const char *domain)
{
	if (scenario >= SCENARIOS)
		return PLAN_BAD;
	plan_make(p, seed, number, (enum scenario)scenario, domain);
	return PLAN_FOUND;
}

static enum plan_found find_in_http(struct plan *p, const uint8_t *data, size_t size,
				    const char *domain)
{
	unsigned long long seed, number;
	const uint8_t *end = memchr(data, '\r', size);
	char line[128];
	unsigned scenario;

	if (!end)
		return size < sizeof(line) ? PLAN_MORE : PLAN_BAD;
	snprintf(line, sizeof(line), "%.*s", (int)(end - data), (const char *)data);
	if (sscanf(line, "POST /%llx/%llx/%u HTTP", &seed, &number, &scenario) != 3)
		return PLAN_BAD;
	return found(p, seed, number, scenario, domain);
}

enum plan_found plan_find(struct plan *p, const uint8_t *data, size_t size, const char *domain)
{
	size_t at = 0, length;

	if (size && data[0] == 'P')
		return find_in_http(p, data, size, domain);
	while (size - at >= TLS_HEAD) {
		length = (size_t)data[at + 3] << 8 | data[at + 4];
		if (data[at] == RECORD_APPLICATION) {
			if (size - at < TLS_HEAD + RECORD_PAYLOAD)
				break;
			data += at + TLS_HEAD;
			return found(p, get_number(data), get_number(data + 8),
				     get_number(data + 16), domain);
		}
		if (data[at] != RECORD_HANDSHAKE && data[at] != RECORD_CHANGE_CIPHER)
			return PLAN_BAD;
		if (size - at < TLS_HEAD + length)
			break;
		at += TLS_HEAD + length;
	}
	return size < PLAN_PREFACE_MAX ? PLAN_MORE : PLAN_BAD;
}
