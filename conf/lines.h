/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A text file line by line, in bounded memory. Ends of line may be CRLF; a UTF-8 BOM at the
 * start is skipped. A regular file must be one and the same from the first byte to the last.
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
	char *room;	  /* what was read; at to end is still to be given out */
	size_t at, end;
	bool over;	    /* nothing comes after that */
	uint64_t bytes;	    /* read so far */
	struct stamp stamp; /* of the file as it was opened */
	char *text;	    /* the line, NUL-terminated, without its end; may be written to */
	size_t len;
	uint32_t number; /* of the line, from 1 */
};

/* regular: nothing but a regular file will do, so that no FIFO can hold us up. path must stay
   until the end. 0 or -errno. */
int lines_open(struct lines *l, const char *path, bool regular);
/* 1: a line, until the next call; 0: the end; else -errno, as lines_error() explains. */
int lines_next(struct lines *l);
/* All that is left as it stands, NUL-terminated, `most` bytes of it: 0 and its length, else
   -errno, -EFBIG if there is more. */
int lines_rest(struct lines *l, char *out, size_t most, size_t *len);
const char *lines_error(int err);	       /* for people; -errno of these */
bool lines_error_has_line(int err);	       /* it is that of a line, and not of the file */
unsigned lines_percent(const struct lines *l); /* of the file that has been given out */
void lines_close(struct lines *l); /* also of a zeroed struct, or one that failed to open */

#endif
