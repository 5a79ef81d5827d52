/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A mutator for bytes that begin with a ClientHello: what libFuzzer made of them, with the
 * lengths made right again most of the time. Without it nearly every mutation ends at the first
 * length that does not add up.
 */
#ifndef SLUICE_TESTS_FUZZ_TLS_REPAIR_H
#define SLUICE_TESTS_FUZZ_TLS_REPAIR_H

#include <stddef.h>
#include <stdint.h>

#define REPAIR_BODY (5 + 4) /* record and handshake header */
#define REPAIR_SESSION (REPAIR_BODY + 2 + 32)

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

static inline size_t repair_get16(const uint8_t *p)
{
	return (size_t)p[0] << 8 | p[1];
}

static inline void repair_put16(uint8_t *p, size_t n)
{
	p[0] = (uint8_t)(n >> 8);
	p[1] = (uint8_t)n;
}

/* List, type, name: all of the extension's body. */
static inline void repair_name(uint8_t *body, size_t len)
{
	if (len < 6)
		return;
	repair_put16(body, len - 2);
	body[2] = 0;
	repair_put16(body + 3, len - 5);
}

/* Extensions from `at` to `end`; the last takes what is left. */
static inline void repair_extensions(uint8_t *data, size_t at, size_t end)
{
	size_t len;

	for (; at + 4 <= end; at += 4 + len) {
		len = repair_get16(data + at + 2);
		if (len > end - at - 4 || end - at - 4 - len < 4)
			len = end - at - 4;
		repair_put16(data + at + 2, len);
		if (data[at] == 0 && data[at + 1] == 0)
			repair_name(data + at + 4, len);
		else if (data[at] == 0 && data[at + 1] == 43 && len > 1)
			data[at + 4] = (uint8_t)(len - 1);
	}
}

/* A vector of at most `most` bytes behind a length of 1 byte, or of 2; returns where it ends. */
static inline size_t repair_vector(uint8_t *data, size_t at, size_t end, int width, size_t most)
{
	size_t len;

	if (at + (size_t)width >= end)
		return end;
	len = width == 1 ? data[at] : repair_get16(data + at);
	if (len > most || len > end - at - (size_t)width)
		len = width == 1 ? 1 : 2;
	if (width == 2)
		len &= ~(size_t)1;
	if (len == 0 && width == 2)
		len = 2;
	if (width == 1)
		data[at] = (uint8_t)len;
	else
		repair_put16(data + at, len);
	return at + (size_t)width + len;
}

/* The first record takes `end` bytes of the input and holds the hello exactly. */
static inline void repair_hello(uint8_t *data, size_t end)
{
	size_t at;

	data[1] = 3;
	repair_put16(data + 3, end - 5);
	data[5] = 1;
	data[6] = 0;
	repair_put16(data + 7, end - REPAIR_BODY);
	data[REPAIR_BODY] = 3;
	at = repair_vector(data, REPAIR_SESSION, end, 1, 32);
	at = repair_vector(data, at, end, 2, 256);
	if (at < end && data[at] == 0)
		data[at] = 1;
	at = repair_vector(data, at, end, 1, 255);
	if (at + 2 > end)
		return;
	repair_put16(data + at, end - at - 2);
	repair_extensions(data, at + 2, end);
}

/* The record made two, cut `at` bytes behind its header. */
static inline size_t repair_split(uint8_t *data, size_t size, size_t max, size_t at)
{
	size_t len = repair_get16(data + 3);

	if (size + 5 > max || len < 2 || 5 + len > size)
		return size;
	at = 1 + at % (len - 1);
	for (size_t i = size; i > 5 + at; i--)
		data[i + 4] = data[i - 1];
	for (size_t i = 0; i < 3; i++)
		data[5 + at + i] = data[i];
	repair_put16(data + 3, at);
	repair_put16(data + 5 + at + 3, len - at);
	return size + 5;
}

static inline size_t repair_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	size_t end;

	size = LLVMFuzzerMutate(data, size, max);
	if (size < REPAIR_SESSION + 8 || data[0] != 0x16 || seed % 8 == 0)
		return size;
	end = 5 + repair_get16(data + 3);
	/* mostly the hello is all there is; else what follows it stays where it was */
	if (end > size || end < REPAIR_SESSION + 8 || seed % 4 == 1)
		end = size;
	if (end > 5 + 16384)
		return size;
	repair_hello(data, end);
	return seed % 16 == 2 ? repair_split(data, size, max, seed >> 4) : size;
}

#endif
