/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `flows`, `tail` and `top` are asked for: the words behind the verb, in any order, each at
 * most once.
 *     denied                  only what is denied, or would be
 *     client ADDRESS|NETWORK
 *     name NAME|.NAME|*.NAME  as in sluice.ini; an address that was asked for by name is one, too
 *     sort WORD, limit N
 * Pure.
 */
#ifndef SLUICE_SLOWPATH_FILTER_H
#define SLUICE_SLOWPATH_FILTER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/abi.h"
#include "conf/conf.h"

enum filter_sort {
	SORT_NONE,
	SORT_UP, /* bytes of the client; most first, as the next three */
	SORT_DOWN,
	SORT_BYTES,
	SORT_AGE,
	SORT_CLIENT,
	SORT_NAME,
};

enum { /* words that a verb knows */
	FILTER_DENIED = 1 << 0,
	FILTER_CLIENT = 1 << 1,
	FILTER_NAME = 1 << 2,
	FILTER_SORT = 1 << 3,
	FILTER_LIMIT = 1 << 4,
};

#define FILTER_TAIL (FILTER_DENIED | FILTER_CLIENT | FILTER_NAME)
#define FILTER_FLOWS (FILTER_CLIENT | FILTER_NAME | FILTER_SORT | FILTER_LIMIT)

#define TOP_DEFAULT 10
#define TOP_MOST 1000

struct filter {
	unsigned has; /* FILTER_*: the words that were there */
	struct cidr client;
	uint8_t kind; /* enum name_kind */
	char name[NAME_BUF]; /* normalised */
	uint32_t len;
	enum filter_sort sort;
	uint32_t limit;
};

struct top_question {
	bool names, clients;
	uint32_t limit;
};

/* argv without the verb; may: the FILTER_* words there can be. 0, or -EINVAL and a line in err;
   *out is untouched then. */
int filter_parse(int argc, char **argv, unsigned may, struct filter *out, char *err,
		 size_t err_len);
/* [names|clients] [N]; both and TOP_DEFAULT of each if nothing is said. */
int filter_parse_top(int argc, char **argv, struct top_question *out, char *err, size_t err_len);

bool filter_has_client(const struct filter *f, const struct in6_addr *client);
bool filter_has_name(const struct filter *f, const char *name, size_t len);

#endif
