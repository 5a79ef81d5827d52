/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Just enough of a JSON writer: objects, arrays, strings, numbers, into a buffer of fixed
 * size. What does not fit sets `bad` and sticks, so one look at json_done() is enough. Bytes
 * that are not printable ASCII are escaped: a string can neither end a line nor an object.
 */
#ifndef SLUICE_SLOWPATH_REPORT_JSON_H
#define SLUICE_SLOWPATH_REPORT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json {
	char *buf; /* borrowed */
	size_t len, size;
	bool comma; /* a value stands before the next one */
	bool bad;
};

void json_init(struct json *j, char *buf, size_t size);

/* key: NULL for an element of an array and for the outermost value. */
void json_open(struct json *j, const char *key, char bracket); /* '{' or '[' */
void json_close(struct json *j, char bracket);		       /* '}' or ']' */
void json_string(struct json *j, const char *key, const char *value);
void json_number(struct json *j, const char *key, uint64_t value);
void json_bool(struct json *j, const char *key, bool value);

/* The length, of text that is NUL-terminated; 0 if it did not fit. */
size_t json_done(struct json *j);

#endif
