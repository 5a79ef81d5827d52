/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The entries made at run time as text: one line each, both in the file that keeps them ([policy]
 * changes) and in the output of `sluicectl changes`:
 *     deny .example.com made 2026-01-31T12:00:00Z until 2026-01-31T12:10:00Z uid 0
 *     allow api.example.com made 2026-01-31T12:00:00Z until never uid 0
 */
#ifndef SLUICE_SLOWPATH_DAEMON_CHANGE_FILE_H
#define SLUICE_SLOWPATH_DAEMON_CHANGE_FILE_H

#include <stddef.h>

#include "fastpath/policy/policy.h"

#define CHANGE_TEXT (NAME_BUF + 96) /* room for a line, its newline and a NUL */

/* "example.com", ".example.com", "*.example.com": fills name and kind. 0 or -EINVAL. */
int change_parse_name(const char *text, struct policy_change *out);
void change_time(int64_t at, char out[32]); /* "never" for 0 */

void change_print(const struct policy_change *c, char out[CHANGE_TEXT]); /* with its newline */
/* 0 or -EINVAL; cuts the line into words. */
int change_parse(char *line, struct policy_change *out);

/*
 * Reads all entries of a file; a missing file has none. *at is malloc'ed. 0, or -errno and
 * `file:line: what is wrong`. At most CHANGES_MAX entries.
 */
int change_file_read(const char *path, struct policy_change **at, size_t *n, char *err,
		     size_t err_len);
/* Replaces the file in one step: it has either its old or its new content. 0, or -errno and a
   line. */
int change_file_write(const char *path, const struct policy_change *at, size_t n, char *err,
		      size_t err_len);

#endif
