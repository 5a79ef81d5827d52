// SPDX-License-Identifier: GPL-2.0-or-later
// The bytes that go over the wire: hellos, records of 200 bytes, bulk.
#include "tests/bench/load/load.h"

#include <errno.h>
#include <string.h>

enum {
	HELLO_RANDOM = 11, // where the client's random begins
	ANSWER_WANTED = 0xa5, // its first byte
	ORDER_MARK = -1, // in place of a connection's number
	BULK_PAYLOAD = 16384,
	BULK_RECORD = HEAD + BULK_PAYLOAD,
	BULK_SEND = 16 * BULK_RECORD,
	BULK_TAKE = 1 << 20,
};

struct writer {
	uint8_t *at;
};

static void put(struct writer *w, const void *data, size_t size)
{
	memcpy(w->at, data, size);
	w->at += size;
}

static void put_number(struct writer *w, uint64_t value, int bytes)
{
	while (bytes--)
		*w->at++ = (uint8_t)(value >> (8 * bytes));
}

static uint64_t get_number(const uint8_t *at, int bytes)
{
	uint64_t value = 0;
	while (bytes--)
		value = value << 8 | *at++;
	return value;
}

static uint8_t *open_vector(struct writer *w, int bytes)
{
	w->at += bytes;
	return w->at;
}

static void close_vector(struct writer *w, uint8_t *start, int bytes)
{
	struct writer length = {start - bytes};
	put_number(&length, (size_t)(w->at - start), bytes);
}

static void put_extension(struct writer *w, int kind, const void *data, size_t size)
{
	put_number(w, kind, 2);
	put_number(w, size, 2);
	put(w, data, size);
}

static void put_server_name(struct writer *w, const char *name)
{
	size_t length = strlen(name);
	put_number(w, 0, 2);
	uint8_t *sni = open_vector(w, 2);
	put_number(w, length + 3, 2);
	put_number(w, 0, 1);
	put_number(w, length, 2);
	put(w, name, length);
	close_vector(w, sni, 2);
}

static void put_key_share(struct writer *w, const uint8_t *key)
{
	put_number(w, 51, 2);
	uint8_t *share = open_vector(w, 2);
	uint8_t *shares = open_vector(w, 2);
	put_number(w, 0x1d, 2);
	put_number(w, 32, 2);
	put(w, key, 32);
	close_vector(w, shares, 2);
	close_vector(w, share, 2);
}

static void put_extensions(struct writer *w, const char *name, const uint8_t *key)
{
	static const uint8_t groups[] = {0, 4, 0, 0x1d, 0, 0x17};
	static const uint8_t points[] = {1, 0};
	static const uint8_t signatures[] = {0, 8, 4, 3, 8, 4, 4, 1, 8, 5};
	static const uint8_t alpn[] = {0, 9, 8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
	static const uint8_t versions[] = {4, 3, 4, 3, 3};
	static const uint8_t psk_modes[] = {1, 1};
	uint8_t *extensions = open_vector(w, 2);
	put_server_name(w, name);
	put_extension(w, 23, "", 0); // extended_master_secret
	put_extension(w, 10, groups, sizeof groups);
	put_extension(w, 11, points, sizeof points);
	put_extension(w, 13, signatures, sizeof signatures);
	put_extension(w, 16, alpn, sizeof alpn);
	put_extension(w, 43, versions, sizeof versions);
	put_extension(w, 45, psk_modes, sizeof psk_modes);
	put_key_share(w, key);
	close_vector(w, extensions, 2);
}

size_t make_hello(uint8_t *out, const char *name, bool want_answer)
{
	static const uint8_t ciphers[] = {0x13, 0x01, 0x13, 0x02, 0x13, 0x03, 0xc0, 0x2b,
					  0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30};
	uint8_t bytes[32];
	for (int i = 0; i < 32; i++)
		bytes[i] = (uint8_t)(i + 1);
	bytes[0] = want_answer ? ANSWER_WANTED : 0;
	if (!*name || strlen(name) > 253) {
		errno = EINVAL;
		die("name");
	}
	struct writer w = {out};
	put_number(&w, HANDSHAKE, 1);
	put_number(&w, 0x0301, 2);
	uint8_t *record = open_vector(&w, 2);
	put_number(&w, 1, 1); // client_hello
	uint8_t *body = open_vector(&w, 3);
	put_number(&w, 0x0303, 2);
	put(&w, bytes, 32); // random
	put_number(&w, 32, 1);
	put(&w, bytes, 32); // session id
	put_number(&w, sizeof ciphers, 2);
	put(&w, ciphers, sizeof ciphers);
	put_number(&w, 0x0100, 2); // no compression
	put_extensions(&w, name, bytes);
	close_vector(&w, body, 3);
	close_vector(&w, record, 2);
	return (size_t)(w.at - out);
}

bool hello_wants_answer(const uint8_t *record, size_t size)
{
	return size > HELLO_RANDOM && record[0] == HANDSHAKE && record[HELLO_RANDOM] == ANSWER_WANTED;
}

static struct writer open_record(uint8_t *out, int kind, size_t payload)
{
	struct writer w = {out};
	put_number(&w, kind, 1);
	put_number(&w, 0x0303, 2);
	put_number(&w, payload, 2);
	return w;
}

void make_record(uint8_t *out, int kind, uint32_t connection, uint32_t round)
{
	struct writer w = open_record(out, kind, PAYLOAD);
	put_number(&w, connection, 4);
	put_number(&w, round, 4);
	memset(w.at, (int)(connection + round), PAYLOAD - 8);
}

void make_order(uint8_t *out, enum order order, uint64_t rate)
{
	make_record(out, APPLICATION, (uint32_t)ORDER_MARK, order);
	struct writer w = {out + HEAD + 8};
	put_number(&w, rate, 8);
}

enum order read_order(const uint8_t *record, size_t size, uint64_t *rate)
{
	if (size != RECORD || get_number(record + HEAD, 4) != (uint32_t)ORDER_MARK)
		return NO_ORDER;
	*rate = get_number(record + HEAD + 8, 8);
	return (enum order)get_number(record + HEAD + 4, 4);
}

static const uint8_t *bulk_bytes(void)
{
	static uint8_t bytes[BULK_SEND];
	if (!bytes[0])
		for (uint8_t *at = bytes; at < bytes + sizeof bytes; at += BULK_RECORD)
			open_record(at, APPLICATION, BULK_PAYLOAD);
	return bytes;
}

/* Paced, only whole records are due, as a TLS server would send them. */
static uint64_t bulk_due(const struct bulk *b, uint64_t now)
{
	if (!b->rate)
		return BULK_SEND;
	double due = (double)b->rate * (double)(now - b->began) / 1e9;
	uint64_t whole = (uint64_t)due / BULK_RECORD * BULK_RECORD;
	return whole > b->bytes ? whole - b->bytes : 0;
}

ssize_t bulk_send(struct bulk *b, int fd, uint64_t now)
{
	size_t at = b->bytes % BULK_SEND, size = BULK_SEND - at;
	uint64_t due = bulk_due(b, now);
	if (!due)
		return 0;
	ssize_t n = send(fd, bulk_bytes() + at, due < size ? due : size, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	b->bytes += (uint64_t)n;
	return n;
}

ssize_t bulk_take(struct bulk *b, int fd)
{
	static uint8_t nowhere[BULK_TAKE]; // TCP throws away what MSG_TRUNC asks for, uncopied
	ssize_t n = recv(fd, nowhere, sizeof nowhere, MSG_TRUNC);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -2 : -1;
	b->bytes += (uint64_t)n;
	return n;
}
