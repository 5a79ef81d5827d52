/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes of TLS made by hand, without cryptography: a ClientHello as clients send it, and the
 * heads of records. For unit tests and for programs of tests/net and tests/bench that only want to
 * look like TLS. Hellos for other purposes come from two other places: tests/unit/sample.h draws
 * each length and each byte at random, to be wrong now and then, and OpenSSL's own library makes
 * real ones. tests/net/attack.c shapes its hellos with the writer below.
 */
#ifndef SLUICE_TESTS_HELLO_H
#define SLUICE_TESTS_HELLO_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
	RECORD_CHANGE_CIPHER = 20,
	RECORD_HANDSHAKE = 22,
	RECORD_APPLICATION = 23,
	TLS_HEAD = 5,
	HELLO_NAME_MAX = 253,
	HELLO_MAX = 600,
	HELLO_RANDOM = 11, /* where the client's random begins */
};

/* Writes one thing after the other; the caller makes sure that there is room. */
struct writer {
	uint8_t *at;
};

static inline void put(struct writer *w, const void *data, size_t size)
{
	memcpy(w->at, data, size);
	w->at += size;
}

static inline void put_number(struct writer *w, uint64_t value, int bytes)
{
	while (bytes--)
		*w->at++ = (uint8_t)(value >> (8 * bytes));
}

/* A vector whose length, in so many bytes, is written when it is closed. */
static inline uint8_t *open_vector(struct writer *w, int bytes)
{
	w->at += bytes;
	return w->at;
}

static inline void close_vector(struct writer *w, uint8_t *start, int bytes)
{
	struct writer length = { start - bytes };

	put_number(&length, (size_t)(w->at - start), bytes);
}

static inline void put_extension(struct writer *w, int kind, const void *data, size_t size)
{
	put_number(w, kind, 2);
	put_number(w, size, 2);
	put(w, data, size);
}

static inline void put_server_name(struct writer *w, const char *name)
{
	size_t length = strlen(name);
	uint8_t *vector;

	put_number(w, 0, 2);
	vector = open_vector(w, 2);
	put_number(w, length + 3, 2);
	put_number(w, 0, 1);
	put_number(w, length, 2);
	put(w, name, length);
	close_vector(w, vector, 2);
}

static inline void put_key_share(struct writer *w, const uint8_t key[32])
{
	uint8_t *share, *shares;

	put_number(w, 51, 2);
	share = open_vector(w, 2);
	shares = open_vector(w, 2);
	put_number(w, 0x1d, 2);
	put_number(w, 32, 2);
	put(w, key, 32);
	close_vector(w, shares, 2);
	close_vector(w, share, 2);
}

static inline void put_extensions(struct writer *w, const char *name, const uint8_t key[32])
{
	static const uint8_t groups[] = { 0, 4, 0, 0x1d, 0, 0x17 };
	static const uint8_t points[] = { 1, 0 };
	static const uint8_t signatures[] = { 0, 8, 4, 3, 8, 4, 4, 1, 8, 5 };
	static const uint8_t alpn[] = { 0, 9, 8, 'h', 't', 't', 'p', '/', '1', '.', '1' };
	static const uint8_t versions[] = { 4, 3, 4, 3, 3 };
	static const uint8_t psk_modes[] = { 1, 1 };
	uint8_t *extensions = open_vector(w, 2);

	put_server_name(w, name);
	put_extension(w, 23, "", 0); /* extended_master_secret */
	put_extension(w, 10, groups, sizeof(groups));
	put_extension(w, 11, points, sizeof(points));
	put_extension(w, 13, signatures, sizeof(signatures));
	put_extension(w, 16, alpn, sizeof(alpn));
	put_extension(w, 43, versions, sizeof(versions));
	put_extension(w, 45, psk_modes, sizeof(psk_modes));
	put_key_share(w, key);
	close_vector(w, extensions, 2);
}

/* A ClientHello for TLS 1.3 and 1.2, in one record of about 250 bytes. name has 1 to
   HELLO_NAME_MAX bytes, out HELLO_MAX; mark is the first byte of the client's random. */
static inline size_t hello_make(uint8_t *out, const char *name, uint8_t mark)
{
	static const uint8_t ciphers[] = { 0x13, 0x01, 0x13, 0x02, 0x13, 0x03, 0xc0,
					   0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30 };
	struct writer w = { out };
	uint8_t random[32], *record, *body;

	for (int i = 0; i < 32; i++)
		random[i] = (uint8_t)(i + 1);
	random[0] = mark;
	put_number(&w, RECORD_HANDSHAKE, 1);
	put_number(&w, 0x0301, 2);
	record = open_vector(&w, 2);
	put_number(&w, 1, 1); /* client_hello */
	body = open_vector(&w, 3);
	put_number(&w, 0x0303, 2);
	put(&w, random, 32);
	put_number(&w, 32, 1);
	put(&w, random, 32); /* session id */
	put_number(&w, sizeof(ciphers), 2);
	put(&w, ciphers, sizeof(ciphers));
	put_number(&w, 0x0100, 2); /* no compression */
	put_extensions(&w, name, random);
	close_vector(&w, body, 3);
	close_vector(&w, record, 2);
	return (size_t)(w.at - out);
}

static inline void put_record_head(struct writer *w, int kind, size_t payload)
{
	put_number(w, kind, 1);
	put_number(w, 0x0303, 2);
	put_number(w, payload, 2);
}

#endif
