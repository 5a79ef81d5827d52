// SPDX-License-Identifier: GPL-2.0-or-later
// A byte at a time. What is not exactly an answer of HTTP/1.1 changes no protocol.
#include "slowpath/answer.h"

#include <string.h>

static const char version[] = "HTTP/1.1 ";

enum {
	AT_STATUS = sizeof(version) - 1, /* before: so many bytes of the version */
	AT_REASON = AT_STATUS + 3,
	AT_IN_LINE,
	AT_LINE, /* first byte of a line */
};

static enum answer_word status_end(struct answer *a, uint8_t b)
{
	if ((b != ' ' && b != '\r') || a->status / 100 != 1)
		return ANSWER_STAYS;
	a->at = AT_IN_LINE;
	return a->status == 101 ? ANSWER_SWITCHES : ANSWER_MORE;
}

static enum answer_word step(struct answer *a, uint8_t b)
{
	if (a->at < AT_STATUS)
		return (uint8_t)version[a->at++] == b ? ANSWER_MORE : ANSWER_STAYS;
	if (a->at < AT_REASON) {
		a->at++;
		a->status = a->status * 10 + (b - '0');
		return b >= '0' && b <= '9' ? ANSWER_MORE : ANSWER_STAYS;
	}
	if (a->at == AT_REASON)
		return status_end(a, b);
	if (b == '\n' && a->at == AT_LINE) /* the empty line: the next answer */
		memset(a, 0, sizeof(*a));
	else if (b != '\r')
		a->at = b == '\n' ? AT_LINE : AT_IN_LINE;
	return ANSWER_MORE;
}

enum answer_word answer_feed(struct answer *a, const uint8_t *data, size_t len)
{
	enum answer_word word = ANSWER_MORE;

	for (size_t i = 0; i < len && word == ANSWER_MORE; i++)
		word = step(a, data[i]);
	return word;
}
