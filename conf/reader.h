/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of conf/ share while a configuration is being read: the struct conf under
 * construction, and the current place in the files, for the one line of error.
 */
#ifndef SLUICE_CONF_READER_H
#define SLUICE_CONF_READER_H

#include <stddef.h>
#include <stdint.h>

#include "common/log.h"
#include "conf/conf.h"

/* A reference that cannot be checked yet: groups may be defined after the rules that name them. */
struct conf_ref {
	size_t rule;
	char *group;
	uint32_t line;
};

/* A network of a group, and where it was given. */
struct conf_member {
	struct cidr cidr;
	uint16_t group;
	uint32_t line;
};

struct conf_reader {
	struct conf *conf;
	char *err; /* the caller's */
	size_t err_len;
	char *folder;  /* of the INI file, with its slash; "" for the current one */
	uint32_t line; /* where we are, in conf->sources.at[source] */
	uint16_t source;
	size_t text_room;		      /* bytes allocated at conf->text */
	uint64_t names;			      /* in all rules so far */
	const struct conf_progress *progress; /* NULL: nobody wants to know */
	size_t entries; /* of `allow` and `deny` in the current rule; a list counts as one */
	struct conf_ref *refs;
	size_t n_refs;
	struct conf_member *members;
	size_t n_members;
};

/* Writes `file:line: ...` to err; control and non-ASCII characters become `?`. -EINVAL. */
int conf_fail(struct conf_reader *r, const char *fmt, ...) PRINTF(2, 3);
int conf_no_memory(struct conf_reader *r); /* the same for that; -ENOMEM */
/* The same for an error that lines_next() returned, with r->line if it is about a line, else
   without. */
int conf_fail_lines(struct conf_reader *r, int err);
/* Appends to the error that was written last. */
void conf_fail_more(struct conf_reader *r, const char *fmt, ...) PRINTF(2, 3);
/* Adds to conf->warnings in the same form. 0, or -ENOMEM after conf_no_memory(). */
int conf_warn(struct conf_reader *r, const char *fmt, ...) PRINTF(2, 3);

/*
 * Room for one more element after the n of `array`, which must have been grown by this function
 * only. NULL without memory; `array` then still belongs to the caller.
 */
void *conf_grow(void *array, size_t n, size_t size);

/* `path` as seen from the INI file's folder, malloc'ed; NULL without memory. */
char *conf_path(const struct conf_reader *r, const char *path);

/*
 * Calls fn for each entry of a comma separated list, trimmed; an empty list and a comma at the end
 * are accepted, two commas with nothing between them are not. fn returns 0 to go on.
 */
int conf_each(struct conf_reader *r, const char *list,
	      int (*fn)(struct conf_reader *r, void *arg, char *item), void *arg);

#endif
