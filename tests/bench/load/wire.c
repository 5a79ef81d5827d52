// SPDX-License-Identifier: GPL-2.0-or-later
// The bytes that go over the wire: hellos, records of 200 bytes, bulk.
#include "tests/bench/load/load.h"

#include <errno.h>
#include <string.h>

enum {
	ANSWER_WANTED = 0xa5, // first byte of a client's random
	ORDER_MARK = -1,      // in place of a connection's number
	BULK_PAYLOAD = 16384,
	BULK_RECORD = TLS_HEAD + BULK_PAYLOAD,
	BULK_SEND = 16 * BULK_RECORD,
	BULK_TAKE = 1 << 20,
};

static uint64_t get_number(const uint8_t *at, int bytes)
{
	uint64_t value = 0;
	while (bytes--)
		value = value << 8 | *at++;
	return value;
}

size_t make_hello(uint8_t *out, const char *name, bool want_answer)
{
	if (!*name || strlen(name) > HELLO_NAME_MAX) {
		errno = EINVAL;
		die("name");
	}
	return hello_make(out, name, want_answer ? ANSWER_WANTED : 0);
}

bool hello_wants_answer(const uint8_t *record, size_t size)
{
	return size > HELLO_RANDOM && record[0] == RECORD_HANDSHAKE &&
	       record[HELLO_RANDOM] == ANSWER_WANTED;
}

void make_record(uint8_t *out, int kind, uint32_t connection, uint32_t round)
{
	struct writer w = { out };
	put_record_head(&w, kind, PAYLOAD);
	put_number(&w, connection, 4);
	put_number(&w, round, 4);
	memset(w.at, (int)(connection + round), PAYLOAD - 8);
}

void make_order(uint8_t *out, enum order order, uint64_t rate)
{
	make_record(out, RECORD_APPLICATION, (uint32_t)ORDER_MARK, order);
	struct writer w = { out + TLS_HEAD + 8 };
	put_number(&w, rate, 8);
}

enum order read_order(const uint8_t *record, size_t size, uint64_t *rate)
{
	if (size != RECORD || get_number(record + TLS_HEAD, 4) != (uint32_t)ORDER_MARK)
		return NO_ORDER;
	*rate = get_number(record + TLS_HEAD + 8, 8);
	return (enum order)get_number(record + TLS_HEAD + 4, 4);
}

static const uint8_t *bulk_bytes(void)
{
	static uint8_t bytes[BULK_SEND];
	if (!bytes[0])
		for (struct writer w = { bytes }; w.at < bytes + sizeof bytes; w.at += BULK_PAYLOAD)
			put_record_head(&w, RECORD_APPLICATION, BULK_PAYLOAD);
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
