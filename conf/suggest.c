// SPDX-License-Identifier: GPL-2.0-or-later
// Edit distance (Wagner, Fischer 1974), for words short enough to have been mistyped.
#include "conf/suggest.h"

#include <stddef.h>
#include <string.h>

#define WORD_MAX 64
#define FAR_AWAY 3 /* edits that make another word of it */

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	a = a < b ? a : b;
	return a < c ? a : c;
}

static unsigned distance(const char *a, const char *b)
{
	size_t a_len = strlen(a), b_len = strlen(b);
	unsigned row[WORD_MAX + 1], diagonal, above;

	if (a_len > WORD_MAX || b_len > WORD_MAX)
		return FAR_AWAY;
	for (size_t j = 0; j <= b_len; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		diagonal = row[0];
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			above = row[j];
			row[j] =
				least(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[b_len];
}

void suggest_offer(struct suggest *s, const char *word)
{
	unsigned d = distance(s->wrong, word);

	/* a word of three letters of which two are wrong cannot be recognised */
	if (d >= FAR_AWAY || d * 2 >= strlen(word) || (s->best && d >= s->distance))
		return;
	s->best = word;
	s->distance = d;
}
