/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `flows`, `tail` and `top` are asked for: the words after the verb, in any order, each at
 * most once.
 *     denied                  only what is denied, or would be
 *     client ADDRESS|NETWORK
 *     name NAME|.NAME|*.NAME  as in sluice.ini; also an address that the client gave as a name
 *     sort WORD, limit N
 * Pure.
 */
#ifndef SLUICE_SLOWPATH_REPORT_SELECTION_H
#define SLUICE_SLOWPATH_REPORT_SELECTION_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/abi/name.h"
#include "conf/conf.h"

enum selection_sort {
	SORT_NONE,
	SORT_UP, /* bytes of the client; most first, as the next three */
	SORT_DOWN,
	SORT_BYTES,
	SORT_AGE,
	SORT_CLIENT,
	SORT_NAME,
};

enum { /* words that a verb knows */
       SELECT_DENIED = 1 << 0,
       SELECT_CLIENT = 1 << 1,
       SELECT_NAME = 1 << 2,
       SELECT_SORT = 1 << 3,
       SELECT_LIMIT = 1 << 4,
};

#define SELECT_TAIL (SELECT_DENIED | SELECT_CLIENT | SELECT_NAME)
#define SELECT_FLOWS (SELECT_CLIENT | SELECT_NAME | SELECT_SORT | SELECT_LIMIT)

#define TOP_DEFAULT 10
#define TOP_MOST 1000

struct selection {
	unsigned has; /* SELECT_*: the words that were there */
	struct cidr client;
	uint8_t kind;	     /* enum name_kind */
	char name[NAME_BUF]; /* normalised */
	uint32_t len;
	enum selection_sort sort;
	uint32_t limit;
};

struct top_question {
	bool names, clients;
	uint32_t limit;
};

/* argv without the verb; may: the SELECT_* words that are allowed. 0, or -EINVAL and a line in err,
   with *out untouched. */
int selection_parse(int argc, char **argv, unsigned may, struct selection *out, char *err,
		    size_t err_len);
/* [names|clients] [N]; without arguments both, and TOP_DEFAULT of each. */
int selection_parse_top(int argc, char **argv, struct top_question *out, char *err, size_t err_len);

bool selection_has_client(const struct selection *f, const struct in6_addr *client);
bool selection_has_name(const struct selection *f, const char *name, size_t len);

#endif
