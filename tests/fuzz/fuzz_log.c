// SPDX-License-Identifier: GPL-2.0-or-later
// Any bytes as the words of a client and of the configuration: the log has one line of them,
// which Squid's tools split into ten fields, or which another parser of JSON reads back.
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/abi/name.h"
#include "slowpath/report/log_line.h"

#define SQUID_FIELDS 10

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Cuts the next word off: to the next NUL, at most `most` bytes. */
static char *next_word(const uint8_t **p, size_t *left, size_t most)
{
	size_t len = strnlen((const char *)*p, *left), taken = len < *left ? len + 1 : len;
	char *word = strndup((const char *)*p, len < most ? len : most);

	if (!word)
		abort();
	*p += taken;
	*left -= taken;
	return word;
}

static void check_line(const char *line, size_t len)
{
	if (len == 0 || memchr(line, '\n', len) != line + len - 1)
		abort();
	for (size_t i = 0; i + 1 < len; i++)
		if (line[i] < ' ' || line[i] > '~')
			abort();
}

/* Ten fields, each between single spaces but for the padding of the numbers before the client, and
   none empty. */
static void split(char *line, char *field[SQUID_FIELDS])
{
	char *p = line;

	for (size_t n = 0; n < SQUID_FIELDS; n++) {
		field[n] = p + (n < 2 ? strspn(p, " ") : 0);
		p = strchrnul(field[n], ' ');
		if (p == field[n] || (*p == '\0') != (n == SQUID_FIELDS - 1))
			abort();
		*p++ = '\0';
	}
}

/* The escaped text stands for these bytes and no others. */
static void check_escaped(const char *text, const char *word)
{
	for (; *text; word++) {
		unsigned byte = (unsigned char)*text++;

		if (byte == '%') {
			if (sscanf(text, "%2X", &byte) != 1)
				abort();
			text += 2;
		}
		if ((unsigned char)*word != byte)
			abort();
	}
	if (*word)
		abort();
}

static void check_squid(const struct access_entry *e)
{
	char line[LOG_LINE_LEN], port[8], *field[SQUID_FIELDS], *colon;
	size_t len = log_line(LOG_SQUID, e, line, sizeof(line));

	check_line(line, len);
	line[len - 1] = '\0';
	split(line, field);
	snprintf(port, sizeof(port), ":%u", e->port);
	colon = strrchr(field[6], ':');
	if (strcmp(field[5], "CONNECT") != 0 || !colon || strcmp(colon, port) != 0)
		abort();
	*colon = '\0';
	if (*e->name)
		check_escaped(field[6], e->name);
	if (strcmp(field[7], "-") != 0 || strncmp(field[8], "HIER_", 5) != 0 ||
	    strcmp(field[9], "-") != 0)
		abort();
}

/* A byte of the word is a character of Latin-1 in JSON. */
static void check_word(json_t *object, const char *key, const char *word)
{
	const char *got = json_string_value(json_object_get(object, key));

	if (!got)
		abort();
	for (const unsigned char *w = (const unsigned char *)word; *w; w++) {
		if (*w < 0x80 ? (unsigned char)*got != *w :
				(unsigned char)*got != (0xc0 | *w >> 6) ||
					(unsigned char)*++got != (0x80 | (*w & 0x3f)))
			abort();
		got++;
	}
	if (*got)
		abort();
}

static void check_json(const struct access_entry *e)
{
	char line[LOG_LINE_LEN];
	size_t len = log_line(LOG_JSON, e, line, sizeof(line));
	json_t *object;

	check_line(line, len);
	object = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(object))
		abort();
	check_word(object, "name", e->name);
	check_word(object, "group", e->group);
	check_word(object, "rule", e->rule);
	if (json_integer_value(json_object_get(object, "port")) != e->port)
		abort();
	json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct access_entry e = { .path = "user" };
	char *name, *group, *rule;

	if (size < 8)
		return 0;
	e.allowed = data[0] & 1;
	e.enforced = data[0] & 2;
	e.connected = data[0] & 4;
	e.reason = data[1];
	e.proto = data[2] & 3;
	e.port = (uint16_t)(data[3] << 8 | data[4]);
	memset(&e.client.ip, data[5], sizeof(e.client.ip));
	memset(&e.dst.ip, data[6], sizeof(e.dst.ip));
	e.end.tv_sec = (time_t)data[7] << 24;
	data += 8;
	size -= 8;
	e.name = name = next_word(&data, &size, NAME_MAX_LEN);
	e.group = group = next_word(&data, &size, 128);
	e.rule = rule = next_word(&data, &size, 128);
	check_squid(&e);
	check_json(&e);
	free(name);
	free(group);
	free(rule);
	return 0;
}
