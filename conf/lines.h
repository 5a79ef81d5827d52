/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A text file line by line, in bounded memory. Ends of line may be CRLF; a UTF-8 BOM at the
 * start is skipped. A regular file must stay the same from the first byte to the last.
 */
#ifndef SLUICE_CONF_LINES_H
#define SLUICE_CONF_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/stamp.h"

#define LINES_MAX 65535 /* bytes of a line */

struct lines {
	int fd;
	const char *path; /* the caller's */
	char *room;	  /* what was read; the bytes from at to end are still to be returned */
	size_t at, end;
	bool over;	    /* nothing comes after those */
	uint64_t bytes;	    /* read so far */
	struct stamp stamp; /* of the file as it was opened */
	char *text;	    /* the line, NUL-terminated, without its line end; may be written to */
	size_t len;
	uint32_t number; /* of the line, from 1 */
};

/* regular: accept only a regular file, so that no FIFO can hold us up. path must stay valid until
   lines_close(). 0 or -errno. */
int lines_open(struct lines *l, const char *path, bool regular);
/* 1: a line, valid until the next call; 0: the end; else -errno, which lines_error() explains. */
int lines_next(struct lines *l);
/* The whole rest as it stands, NUL-terminated, at most `most` bytes. 0 and its length, or -errno;
   -EFBIG: there is more. */
int lines_rest(struct lines *l, char *out, size_t most, size_t *len);
const char *lines_error(int err);   /* for people; err is an -errno from the calls above */
bool lines_error_has_line(int err); /* err is about a line, not about the file */
unsigned lines_percent(const struct lines *l); /* how much of the file has been returned */
void lines_close(struct lines *l); /* also for a zeroed struct, or one that failed to open */

#endif
