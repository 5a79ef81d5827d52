/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A text file line by line, in bounded memory. Ends of line may be CRLF; a UTF-8 BOM at the
 * start is skipped.
 */
#ifndef SLUICE_CONF_LINES_H
#define SLUICE_CONF_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define LINES_MAX 65535 /* bytes of a line */

struct lines {
	FILE *f;
	char *text;	 /* the line, NUL-terminated, without its end; may be written to */
	size_t len;
	uint32_t number; /* of the line, from 1 */
};

/* regular: nothing but a regular file will do, so that no FIFO can hold us up. 0 or -errno. */
int lines_open(struct lines *l, const char *path, bool regular);
/* 1: a line; 0: the end; else -errno, -E2BIG for a long line, -EILSEQ for one with a NUL. */
int lines_next(struct lines *l);
const char *lines_error(int err); /* for people; -errno of the two above */
void lines_close(struct lines *l); /* also of a zeroed struct */

#endif
