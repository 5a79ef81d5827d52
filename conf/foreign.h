/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Recognises lists in formats that we do not read, by one of their lines. */
#ifndef SLUICE_CONF_FOREIGN_H
#define SLUICE_CONF_FOREIGN_H

/* Given the first word and the rest of a line that could not be read: what the file seems to be, as
   in "an AdBlock filter list"; NULL if that is not clear. */
const char *foreign_format(const char *first, const char *rest);
/* `hash` is a # in `line`. NULL if it begins a comment, else what the file seems to be. */
const char *foreign_hash(const char *line, const char *hash);

#endif
