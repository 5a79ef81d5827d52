/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Feeds the INI file to inih so that nothing is cut, skipped or joined silently.
 */
#ifndef SLUICE_CONF_FEED_H
#define SLUICE_CONF_FEED_H

struct conf_reader;

/* Each returns 0, or an error after conf_fail(). */
struct feed_calls {
	int (*section)(void *ctx, char *header); /* the text between the brackets */
	int (*key)(void *ctx, const char *key, const char *value); /* a list may come in parts */
};

/* Reads `path`; r->line is always the current line, and at the end the last. 0, or the first error,
   after conf_fail(). */
int feed_ini(struct conf_reader *r, const char *path, const struct feed_calls *calls, void *ctx);

#endif
