/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Just enough of a JSON writer: objects, arrays, strings and numbers, written into a buffer of
 * fixed size. Output that does not fit sets `bad` for good, so one check of json_done() is enough.
 * Bytes that are not printable ASCII are escaped, so a string can end neither a line nor an object.
 */
#ifndef SLUICE_SLOWPATH_REPORT_JSON_H
#define SLUICE_SLOWPATH_REPORT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json {
	char *buf; /* borrowed */
	size_t len, size;
	bool comma; /* the next value needs a comma before it */
	bool bad;
};

void json_init(struct json *j, char *buf, size_t size);

/* key: NULL for an element of an array and for the outermost value. */
void json_open(struct json *j, const char *key, char bracket); /* '{' or '[' */
void json_close(struct json *j, char bracket);		       /* '}' or ']' */
void json_string(struct json *j, const char *key, const char *value);
void json_number(struct json *j, const char *key, uint64_t value);
void json_bool(struct json *j, const char *key, bool value);

/* Returns the length of the text, which is NUL-terminated; 0 if it did not fit. */
size_t json_done(struct json *j);

#endif
