// SPDX-License-Identifier: GPL-2.0-or-later
// The only place that knows how to write JSON.
#include "slowpath/report/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void put(struct json *j, const char *text, size_t len)
{
	if (j->bad || len >= j->size - j->len) {
		j->bad = true;
		return;
	}
	memcpy(j->buf + j->len, text, len);
	j->len += len;
}

static void put_char(struct json *j, unsigned char c)
{
	char text[8];

	if (c == '"' || c == '\\') {
		text[0] = '\\';
		text[1] = (char)c;
		put(j, text, 2);
	} else if (c < 0x20 || c >= 0x7f) {
		put(j, text, (size_t)snprintf(text, sizeof(text), "\\u%04x", c));
	} else {
		put(j, (const char *)&c, 1);
	}
}

static void put_string(struct json *j, const char *s)
{
	put(j, "\"", 1);
	for (; *s && !j->bad; s++)
		put_char(j, (unsigned char)*s);
	put(j, "\"", 1);
}

static void put_key(struct json *j, const char *key)
{
	if (j->comma)
		put(j, ",", 1);
	j->comma = true;
	if (key) {
		put_string(j, key);
		put(j, ":", 1);
	}
}

void json_init(struct json *j, char *buf, size_t size)
{
	*j = (struct json){ .buf = buf, .size = size, .bad = size == 0 };
}

void json_open(struct json *j, const char *key, char bracket)
{
	put_key(j, key);
	put(j, &bracket, 1);
	j->comma = false;
}

void json_close(struct json *j, char bracket)
{
	put(j, &bracket, 1);
	j->comma = true;
}

void json_string(struct json *j, const char *key, const char *value)
{
	put_key(j, key);
	put_string(j, value);
}

void json_number(struct json *j, const char *key, uint64_t value)
{
	char text[24];

	put_key(j, key);
	put(j, text, (size_t)snprintf(text, sizeof(text), "%" PRIu64, value));
}

void json_bool(struct json *j, const char *key, bool value)
{
	put_key(j, key);
	put(j, value ? "true" : "false", value ? 4 : 5);
}

size_t json_done(struct json *j)
{
	if (j->bad)
		return 0;
	j->buf[j->len] = '\0';
	return j->len;
}
