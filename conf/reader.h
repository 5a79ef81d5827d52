/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of conf/ share while a configuration is being read: the struct conf in the
 * making and the place in the files, for the one line of error.
 */
#ifndef SLUICE_CONF_READER_H
#define SLUICE_CONF_READER_H

#include <stddef.h>
#include <stdint.h>

#include "common/log.h"
#include "conf/conf.h"

/* Said before it can be checked: groups may be defined after the rules that name them. */
struct conf_ref {
	size_t rule;
	char *group;
	uint32_t line;
};

/* A network of a group and where it was given. */
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
	uint64_t names;			      /* of all rules so far */
	const struct conf_progress *progress; /* NULL: nobody is told */
	size_t entries; /* of `allow` and `deny` in the rule at hand; a list is one */
	struct conf_ref *refs;
	size_t n_refs;
	struct conf_member *members;
	size_t n_members;
};

/* Writes `file:line: ...` to err; control and non-ASCII characters become `?`. -EINVAL. */
int conf_fail(struct conf_reader *r, const char *fmt, ...) PRINTF(2, 3);
int conf_no_memory(struct conf_reader *r); /* the same for that; -ENOMEM */
/* The same for what lines_next() returned: of r->line if it is about a line, else of the file. */
int conf_fail_lines(struct conf_reader *r, int err);
/* Goes on with the error that was written last. */
void conf_fail_more(struct conf_reader *r, const char *fmt, ...) PRINTF(2, 3);
/* Adds to conf->warnings in the same form. 0, or -ENOMEM after conf_no_memory(). */
int conf_warn(struct conf_reader *r, const char *fmt, ...) PRINTF(2, 3);

/*
 * Room for one more element behind the n of `array`, which must have grown by this alone:
 * NULL without memory, `array` still the caller's then.
 */
void *conf_grow(void *array, size_t n, size_t size);

/* `path` as seen from the INI file's folder, malloc'ed; NULL without memory. */
char *conf_path(const struct conf_reader *r, const char *path);

/*
 * Calls fn for each entry of a comma separated list, trimmed; an empty list and a comma at the
 * end are fine, nothing between two commas is not. fn returns 0 to go on.
 */
int conf_each(struct conf_reader *r, const char *list,
	      int (*fn)(struct conf_reader *r, void *arg, char *item), void *arg);

#endif
