/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sections and keys of sluice.ini, as data.
 */
#ifndef SLUICE_CONF_KEYS_H
#define SLUICE_CONF_KEYS_H

#include <stdbool.h>
#include <stddef.h>

struct conf;
struct conf_reader;
struct word;

enum section_id {
	SECTION_SLUICE,
	SECTION_LISTENER,
	SECTION_TIMEOUTS,
	SECTION_POLICY,
	SECTION_TLS,
	SECTION_HTTP,
	SECTION_RESOLVER,
	SECTION_METRICS,
	SECTION_CLIENTS,
	SECTION_RULE,
	SECTION_COUNT
};

struct section {
	const char *name;
	bool named; /* [name NAME]; its keys are offsets in a struct of its own */
};

extern const struct section conf_sections[SECTION_COUNT];

struct key {
	unsigned section;
	const char *name;
	int (*set)(struct conf_reader *r, const struct key *k, void *field, const char *value);
	size_t field;	    /* offset */
	const char *preset; /* the default, as it would stand in the file; NULL: there is none */
	const struct word *words; /* the words that it may be set to */
	unsigned min, max;
	bool list;  /* may be repeated, to add to it */
	bool empty; /* may be empty */
	bool late;  /* the preset waits for the end of the section or file: it may not be needed */
};

#define KEY_COUNT 40
extern const struct key conf_keys[KEY_COUNT];

/* Sets the presets of a section, but for late ones. 0, or an error after conf_fail(). */
int keys_defaults(struct conf_reader *r, unsigned section, void *base);
/* At the end of a [metrics] section: sets where it listens, if no key does. 0, or an error
   likewise. */
int keys_default_metrics(struct conf_reader *r);
/* Sets the deny page if no key named one. 0, or an error after conf_fail(). */
int keys_default_page(struct conf_reader *r);

#endif
