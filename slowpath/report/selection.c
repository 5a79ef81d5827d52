// SPDX-License-Identifier: GPL-2.0-or-later
// The words are a table: each has the reader of its value.
#include "slowpath/report/selection.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bpf/wire/name.h"
#include "conf/value.h"

static const struct word sorts[] = {
	{ "up", SORT_UP },   { "down", SORT_DOWN },	{ "bytes", SORT_BYTES },
	{ "age", SORT_AGE }, { "client", SORT_CLIENT }, { "name", SORT_NAME },
	{ NULL, 0 },
};

static int read_client(struct selection *f, const char *value)
{
	return cidr_parse(value, &f->client);
}

static int read_name(struct selection *f, const char *value)
{
	uint32_t numeric; /* an address may take the place of a name here */

	return value_entry(value, f->name, &f->len, &f->kind, &numeric);
}

static int read_sort(struct selection *f, const char *value)
{
	int sort;

	if (value_word(value, sorts, &sort) != 0)
		return -EINVAL;
	f->sort = (enum selection_sort)sort;
	return 0;
}

static int read_limit(struct selection *f, const char *value)
{
	uint32_t n;

	if (value_number(value, false, &n) != 0 || n == 0)
		return -EINVAL;
	f->limit = n;
	return 0;
}

static const struct {
	const char *text;
	unsigned bit;
	int (*read)(struct selection *f, const char *value); /* NULL: it has no value */
	const char *wants;
} words[] = {
	{ "denied", SELECT_DENIED, NULL, NULL },
	{ "client", SELECT_CLIENT, read_client, "an address, or a network without host bits" },
	{ "name", SELECT_NAME, read_name, "NAME, .NAME or *.NAME" },
	{ "sort", SELECT_SORT, read_sort, "up, down, bytes, age, client or name" },
	{ "limit", SELECT_LIMIT, read_limit, "a number from 1" },
};

#define WORDS (sizeof(words) / sizeof(words[0]))

static size_t find_word(const char *text, unsigned may)
{
	size_t i = 0;

	while (i < WORDS && (!(words[i].bit & may) || strcmp(words[i].text, text) != 0))
		i++;
	return i;
}

static int unknown(const char *text, unsigned may, char *err, size_t err_len)
{
	size_t len = (size_t)snprintf(err, err_len, "unknown word '%.64s'; there are", text);

	for (size_t i = 0; i < WORDS && len < err_len; i++)
		if (words[i].bit & may)
			len += (size_t)snprintf(err + len, err_len - len, " %s", words[i].text);
	return -EINVAL;
}

int selection_parse(int argc, char **argv, unsigned may, struct selection *out, char *err,
		    size_t err_len)
{
	struct selection f = { .has = 0 };

	for (int i = 0; i < argc; i++) {
		size_t w = find_word(argv[i], may);

		if (w == WORDS)
			return unknown(argv[i], may, err, err_len);
		if (f.has & words[w].bit) {
			snprintf(err, err_len, "'%s' is given twice", words[w].text);
			return -EINVAL;
		}
		f.has |= words[w].bit;
		if (!words[w].read)
			continue;
		if (++i == argc) {
			snprintf(err, err_len, "%s: %s is missing", words[w].text, words[w].wants);
			return -EINVAL;
		}
		if (words[w].read(&f, argv[i]) != 0) {
			snprintf(err, err_len, "%s: '%.64s' is not %s", words[w].text, argv[i],
				 words[w].wants);
			return -EINVAL;
		}
	}
	*out = f;
	return 0;
}

int selection_parse_top(int argc, char **argv, struct top_question *out, char *err, size_t err_len)
{
	struct top_question q = { .names = true, .clients = true, .limit = TOP_DEFAULT };
	int i = 0;

	if (i < argc && strcmp(argv[i], "names") == 0) {
		q.clients = false;
		i++;
	} else if (i < argc && strcmp(argv[i], "clients") == 0) {
		q.names = false;
		i++;
	}
	if (i < argc &&
	    (value_number(argv[i], false, &q.limit) != 0 || q.limit < 1 || q.limit > TOP_MOST)) {
		snprintf(err, err_len, "'%.64s' is not names, clients or a number from 1 to %d",
			 argv[i], TOP_MOST);
		return -EINVAL;
	}
	if (argc > i + 1) {
		snprintf(err, err_len, "'%.64s' is one word too many", argv[i + 1]);
		return -EINVAL;
	}
	*out = q;
	return 0;
}

bool selection_has_client(const struct selection *f, const struct in6_addr *client)
{
	return !(f->has & SELECT_CLIENT) || cidr_has(&f->client, client->s6_addr);
}

bool selection_has_name(const struct selection *f, const char *name, size_t len)
{
	if (!(f->has & SELECT_NAME))
		return true;
	if (len < f->len || memcmp(name + len - f->len, f->name, f->len) != 0)
		return false;
	if (len == f->len)
		return f->kind != NAME_BELOW;
	return f->kind != NAME_HOST && name[len - f->len - 1] == '.';
}
