/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The open connections that `flows` shows, collected from worker after worker. What the filter does
 * not want is not copied, and with `limit` no more than that many are ever kept: for `sort` those
 * that come first in its order. Pure.
 */
#ifndef SLUICE_SLOWPATH_FLOWS_H
#define SLUICE_SLOWPATH_FLOWS_H

#include <stdbool.h>
#include <stddef.h>

#include "slowpath/filter.h"
#include "slowpath/report.h"

struct flow_list {
	const struct filter *filter; /* borrowed */
	struct flow_info *at;	     /* the caller's to free() */
	size_t n, room;
	bool failed; /* no memory: not all of them are there */
};

/* Whether one of this client and name is to be added. */
bool flows_wants(const struct flow_list *list, const struct in6_addr *client, const char *name,
		 size_t len);
/* false: no more are wanted. */
bool flows_add(struct flow_list *list, const struct flow_info *flow);
/* Into the order that the filter asks for, after the last was added. */
void flows_sort(struct flow_list *list);

#endif
