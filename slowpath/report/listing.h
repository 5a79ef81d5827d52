/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The open connections that `flows` shows, collected from one worker after another. Connections
 * that the selection does not want are not copied, and with `limit` no more than that many are ever
 * kept: with `sort`, those that come first in its order. Pure.
 */
#ifndef SLUICE_SLOWPATH_REPORT_LISTING_H
#define SLUICE_SLOWPATH_REPORT_LISTING_H

#include <stdbool.h>
#include <stddef.h>

#include "slowpath/report/report.h"
#include "slowpath/report/selection.h"

struct listing {
	const struct selection *selection; /* borrowed */
	struct flow_info *at;		   /* the caller's to free() */
	size_t n, room;
	bool failed; /* no memory: the list is incomplete */
};

/* Whether a connection of this client and name is to be added. */
bool listing_wants(const struct listing *list, const struct in6_addr *client, const char *name,
		   size_t len);
/* false: no more are wanted. */
bool listing_add(struct listing *list, const struct flow_info *flow);
/* Call it after the last was added: sorts them as the selection asks for. */
void listing_sort(struct listing *list);

#endif
