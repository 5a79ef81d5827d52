/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The word that someone may have meant who wrote another one. */
#ifndef SLUICE_CONF_SUGGEST_H
#define SLUICE_CONF_SUGGEST_H

struct suggest {
	const char *wrong;
	const char *best; /* the nearest so far; NULL: none is near */
	unsigned distance;
};

void suggest_offer(struct suggest *s, const char *word);

#endif
