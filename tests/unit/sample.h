/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inputs for parser tests: files of tests/corpus, hellos and request heads that are made up, and
 * mutations of all of them. The same numbers in every run.
 */
#ifndef SLUICE_TESTS_UNIT_SAMPLE_H
#define SLUICE_TESTS_UNIT_SAMPLE_H

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE_MAX 4096

struct sample {
	size_t len;
	uint8_t bytes[SAMPLE_MAX];
};

static uint64_t sample_state = 0x9e3779b97f4a7c15ULL;

static inline uint32_t sample_random(uint32_t below)
{
	sample_state ^= sample_state << 13;
	sample_state ^= sample_state >> 7;
	sample_state ^= sample_state << 17;
	return (uint32_t)(sample_state >> 32) % below;
}

static inline void sample_u8(struct sample *s, uint32_t v)
{
	if (s->len < SAMPLE_MAX)
		s->bytes[s->len++] = (uint8_t)v;
}

static inline void sample_u16(struct sample *s, uint32_t v)
{
	sample_u8(s, v >> 8);
	sample_u8(s, v);
}

static inline void sample_text(struct sample *s, const char *text)
{
	while (*text)
		sample_u8(s, (uint8_t)*text++);
}

static inline void sample_noise(struct sample *s, uint32_t n)
{
	while (n--)
		sample_u8(s, sample_random(256));
}

/* Sets the `width` bytes before `from` to the length of what follows them. */
static inline void sample_length(struct sample *s, size_t from, int width)
{
	size_t n = s->len - from;

	for (int i = 1; i <= width; i++, n >>= 8)
		s->bytes[from - (size_t)i] = (uint8_t)n;
}

static inline size_t sample_vec(struct sample *s, int width)
{
	for (int i = 0; i < width; i++)
		sample_u8(s, 0);
	return s->len;
}

/* The body of an extension, mostly as it should be. */
static inline void sample_ext_body(struct sample *s, uint32_t type)
{
	static const uint16_t versions[] = { 0x0300, 0x0301, 0x0302, 0x0303, 0x0304,
					     0x0305, 0x7f1c, 0x0a0a, 0xfafa, 0x0200 };
	size_t list, name;

	if (type == 0 && sample_random(16)) {
		list = sample_vec(s, 2);
		sample_u8(s, sample_random(32) == 0);
		name = sample_vec(s, 2);
		for (uint32_t n = sample_random(24); n--;)
			sample_u8(s, "abcXYZ.-_09"[sample_random(11)]);
		sample_length(s, name, 2);
		sample_length(s, list, 2);
	} else if (type == 43 && sample_random(16)) {
		list = sample_vec(s, 1);
		for (uint32_t n = sample_random(5); n--;)
			sample_u16(s, versions[sample_random(10)]);
		sample_length(s, list, 1);
	} else {
		sample_noise(s, sample_random(20));
	}
}

static inline void sample_exts(struct sample *s)
{
	static const uint16_t types[] = { 0,  0,  43, 43, 10,	  11,	  13,	  16,	  23, 35,
					  41, 45, 51, 5,  0x0a0a, 0xff01, 0xfe0d, 0x1234, 18, 21 };
	size_t all = sample_vec(s, 2), body;
	uint64_t used = 0;
	uint32_t type, n = sample_random(9);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t pick = sample_random(20);

		if (used >> pick & 1 && sample_random(20))
			continue; /* seldom twice */
		used |= 1ULL << pick;
		type = types[pick];
		if (pick == 0 || pick == 2)
			used |= 2ULL << pick;
		sample_u16(s, type);
		body = sample_vec(s, 2);
		sample_ext_body(s, type);
		sample_length(s, body, 2);
	}
	sample_length(s, all, 2);
}

/* A ClientHello in one record that is well formed more often than not. */
static inline void sample_hello(struct sample *s)
{
	static const uint16_t versions[] = {
		0x0303, 0x0303, 0x0303, 0x0301, 0x0300, 0x0304, 0x0403
	};
	size_t record, message, vec;

	s->len = 0;
	sample_u8(s, 22);
	sample_u16(s, 0x0300 + sample_random(4));
	record = sample_vec(s, 2);
	sample_u8(s, 1);
	message = sample_vec(s, 3);
	sample_u16(s, versions[sample_random(7)]);
	sample_noise(s, 32);
	vec = sample_vec(s, 1);
	sample_noise(s, sample_random(4) ? 32 : sample_random(34));
	sample_length(s, vec, 1);
	vec = sample_vec(s, 2);
	for (uint32_t n = sample_random(12) + (sample_random(30) != 0); n--;)
		sample_u16(s, 0x1301 + sample_random(3));
	sample_length(s, vec, 2);
	sample_u8(s, 1);
	sample_u8(s, 0);
	if (sample_random(16))
		sample_exts(s);
	sample_length(s, message, 3);
	sample_length(s, record, 2);
}

/* A request head out of good and bad parts. */
static inline void sample_head(struct sample *s)
{
	static const char *const lines[] = {
		"GET / HTTP/1.1\r\n",
		"POST /a?b=c HTTP/1.1\r\n",
		"GET /x HTTP/1.0\r\n",
		"GET http://a.example/x HTTP/1.1\r\n",
		"OPTIONS * HTTP/1.1\r\n",
		"GET http://a.example:8080 HTTP/1.1\r\n",
		"CONNECT a.example:443 HTTP/1.1\r\n",
		"GET  / HTTP/1.1\r\n",
		"GET /\r\n",
		"GET / HTTP/2.0\r\n",
		"GET / HTTP/1.1\n",
	};
	static const char *const headers[] = {
		"Host: a.example\r\n",
		"Host: a.example\r\n",
		"Host: a.example\r\n",
		"Host: b.example:8080\r\n",
		"hOST:\t a.example \r\n",
		"Host: [2001:db8::1]:80\r\n",
		"Host: a@b\r\n",
		"Host:\r\n",
		"Host: a:0\r\n",
		"Host : a\r\n",
		"Host: a b\r\n",
		"Content-Length: 12\r\n",
		"content-length: 0\r\n",
		"Content_Length: 1\r\n",
		"Content-Length: +1\r\n",
		"Content-Length: 1,1\r\n",
		"Transfer-Encoding: chunked\r\n",
		"Transfer-Encoding: ChunkeD \r\n",
		"Transfer-Encoding: gzip, chunked\r\n",
		"Transfer-Encoding: x\r\n",
		"Connection: close\r\n",
		"Connection: keep-alive, Upgrade\r\n",
		"Connection: host\r\n",
		"Upgrade: websocket\r\n",
		"Expect: 100-continue\r\n",
		"Accept: */*\r\n",
		"User-Agent: a (b; c)\r\n",
		"X: \x80\xff\r\n",
		"X: a\r\n b\r\n",
		"X:\r\n",
		": x\r\n",
		"Cookie: a=b; c=d\r\n",
		"X-Host: b\r\n",
		"Hos: x\r\n",
		"Hostx: y\r\n",
	};

	s->len = 0;
	sample_text(s, lines[sample_random(3) ? sample_random(5) : sample_random(11)]);
	for (uint32_t n = sample_random(5); n--;)
		sample_text(s, headers[sample_random(3) ? sample_random(4) : sample_random(35)]);
	if (sample_random(16))
		sample_text(s, "\r\n");
	if (sample_random(4) == 0)
		sample_noise(s, sample_random(20));
}

static inline void sample_mutate(struct sample *s)
{
	uint32_t n = 1 + sample_random(3), at;

	while (n-- && s->len > 1) {
		at = sample_random((uint32_t)s->len);
		switch (sample_random(6)) {
		case 0:
			s->bytes[at] = (uint8_t)sample_random(256);
			break;
		case 1:
			s->bytes[at] ^= (uint8_t)(1u << sample_random(8));
			break;
		case 2:
			s->bytes[at]++;
			break;
		case 3: /* cut */
			s->len = at + 1;
			break;
		case 4: /* take out */
			memmove(s->bytes + at, s->bytes + at + 1, s->len - at - 1);
			s->len--;
			break;
		default: /* put in */
			if (s->len == SAMPLE_MAX)
				break;
			memmove(s->bytes + at + 1, s->bytes + at, s->len - at);
			s->bytes[at] = "\r\n :\t,@0\0\xff"[sample_random(10)];
			s->len++;
		}
	}
}

struct samples {
	struct sample *at;
	size_t n;
};

/* Every file of $srcdir/tests/corpus/FOLDER, in the order of their names; there must be some. */
static inline struct samples sample_folder(const char *folder)
{
	const char *root = getenv("srcdir");
	struct samples all = { NULL, 0 };
	struct dirent **names;
	char path[4096];
	int n;

	snprintf(path, sizeof(path), "%s/tests/corpus/%s", root ? root : ".", folder);
	n = scandir(path, &names, NULL, alphasort);
	if (n > 0)
		all.at = calloc((size_t)n, sizeof(*all.at));
	for (int i = 0; i < n; i++) {
		struct sample *s = &all.at[all.n];
		FILE *f;

		snprintf(path, sizeof(path), "%s/tests/corpus/%s/%s", root ? root : ".", folder,
			 names[i]->d_name);
		free(names[i]);
		f = strstr(path, ".bin") ? fopen(path, "r") : NULL;
		if (!f)
			continue;
		s->len = fread(s->bytes, 1, SAMPLE_MAX, f);
		fclose(f);
		if (s->len)
			all.n++;
	}
	if (n >= 0)
		free(names);
	if (all.n == 0) {
		fprintf(stderr, "no corpus in tests/corpus/%s: set srcdir\n", folder);
		exit(1);
	}
	return all;
}

/* Number i of a test: corpus first, then made up, and mutated more often than not. */
static inline void sample_any(struct sample *s, const struct samples *corpus, uint32_t i,
			      void (*make)(struct sample *))
{
	if (i < corpus->n) {
		*s = corpus->at[i];
		return;
	}
	if (sample_random(3) == 0)
		*s = corpus->at[sample_random((uint32_t)corpus->n)];
	else
		make(s);
	if (sample_random(5) > 1)
		sample_mutate(s);
}

#endif
