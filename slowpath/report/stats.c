// SPDX-License-Identifier: GPL-2.0-or-later
// The counters, one by one, for code that knows no member of struct stats by name.
#include "slowpath/report/stats.h"

#define ROW(member_, metric_, labels_)                                                             \
	{ #member_, offsetof(struct stats, member_), metric_, labels_ },

const struct stats_counter stats_counters[] = { COUNTERS(ROW){ .key = NULL } };

uint64_t stats_value(const struct stats *s, const struct stats_counter *c)
{
	return *(const uint64_t *)((const char *)s + c->at);
}

#define ADD(member_, ...) sum->member_ += s->member_;

void stats_add(struct stats *sum, const struct stats *s)
{
	COUNTERS(ADD)
	for (unsigned i = 0; i < REASON_COUNT; i++)
		sum->reasons[i] += s->reasons[i];
	histogram_merge(&sum->connect, &s->connect);
	sum->workers++;
}
