// SPDX-License-Identifier: GPL-2.0-or-later
// Lines are read a byte at a time, data a chunk at a time.
#include "slowpath/judge/chunks.h"

#include <string.h>

#define SIZE_DIGITS_MAX 15

enum {
	AT_SIZE,
	AT_EXTENSION,
	AT_SIZE_LF,
	AT_DATA,
	AT_DATA_CR,
	AT_DATA_LF,
	AT_TRAILER, /* first byte of a trailer line */
	AT_TRAILER_NAME,
	AT_TRAILER_LINE,
	AT_TRAILER_LF,
	AT_LAST_LF,
	AT_END,
	AT_BAD,
};

static int hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static unsigned after_size(const struct http_chunks *c)
{
	return c->left ? AT_DATA : AT_TRAILER;
}

static unsigned size_byte(struct http_chunks *c, uint8_t b)
{
	int n = hex(b);

	if (n >= 0) {
		if (++c->digits > SIZE_DIGITS_MAX)
			return AT_BAD;
		c->left = c->left << 4 | (uint64_t)n;
		return AT_SIZE;
	}
	if (c->digits == 0)
		return AT_BAD;
	return b == ';' ? AT_EXTENSION : b == '\r' ? AT_SIZE_LF : AT_BAD;
}

static unsigned text_byte(struct http_chunks *c, uint8_t b, unsigned here, unsigned line_end)
{
	if (b == '\r')
		return line_end;
	if ((b < ' ' && b != '\t') || b == 0x7f || ++c->trailer > CHUNKS_TRAILER_MAX)
		return AT_BAD;
	return here;
}

/*
 * A trailer must be a field like those of a head, or a server that does not know trailers would
 * find a request there. And it must not be a field by which a server that merges trailers into the
 * head would judge (RFC 9110 6.5.1).
 */
static unsigned name_byte(struct http_chunks *c, uint8_t b)
{
	if (c->state == AT_TRAILER)
		token_begin(&c->name);
	else if (b == ':') {
		token_byte(&c->name, 0);
		return c->name.alive & (HTTP_FRAMING | HTTP_CONNECTION | HTTP_UPGRADE) ?
			       AT_BAD :
			       AT_TRAILER_LINE;
	}
	if (!http_is_token(b))
		return AT_BAD;
	token_byte(&c->name, b);
	return text_byte(c, b, AT_TRAILER_NAME, AT_BAD);
}

static unsigned step(struct http_chunks *c, uint8_t b)
{
	switch (c->state) {
	case AT_SIZE:
		return size_byte(c, b);
	case AT_EXTENSION:
		return text_byte(c, b, AT_EXTENSION, AT_SIZE_LF);
	case AT_SIZE_LF:
		return b == '\n' ? after_size(c) : AT_BAD;
	case AT_DATA_CR:
		return b == '\r' ? AT_DATA_LF : AT_BAD;
	case AT_DATA_LF:
		c->digits = 0;
		c->left = 0;
		return b == '\n' ? AT_SIZE : AT_BAD;
	case AT_TRAILER:
		return b == '\r' ? AT_LAST_LF : name_byte(c, b);
	case AT_TRAILER_NAME:
		return name_byte(c, b);
	case AT_TRAILER_LINE:
		return text_byte(c, b, AT_TRAILER_LINE, AT_TRAILER_LF);
	case AT_TRAILER_LF:
		return b == '\n' ? AT_TRAILER : AT_BAD;
	case AT_LAST_LF:
		return b == '\n' ? AT_END : AT_BAD;
	}
	return AT_BAD;
}

void http_chunks_init(struct http_chunks *c)
{
	memset(c, 0, sizeof(*c));
}

int http_chunks_feed(struct http_chunks *c, const uint8_t *data, size_t len, size_t *used)
{
	size_t off = 0, n;

	while (off < len && c->state < AT_END) {
		if (c->state == AT_DATA) {
			n = len - off < c->left ? len - off : (size_t)c->left;
			off += n;
			c->left -= n;
			if (c->left == 0)
				c->state = AT_DATA_CR;
			continue;
		}
		c->state = step(c, data[off]);
		if (c->state != AT_BAD)
			off++;
	}
	*used = off;
	return c->state == AT_END ? PARSE_OK : c->state == AT_BAD ? PARSE_BAD : PARSE_MORE;
}
