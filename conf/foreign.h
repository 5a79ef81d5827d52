/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists in forms that are not read, known by a line of theirs. */
#ifndef SLUICE_CONF_FOREIGN_H
#define SLUICE_CONF_FOREIGN_H

/* A line that could not be read, its first word and the rest: what the file seems to be, as in
   "an AdBlock filter list"; NULL if that cannot be said. */
const char *foreign_format(const char *first, const char *rest);
/* `hash` is a # in `line`: NULL, or what the file seems to be if that begins no comment. */
const char *foreign_hash(const char *line, const char *hash);

#endif
