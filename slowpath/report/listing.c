// SPDX-License-Identifier: GPL-2.0-or-later
// With a limit and an order the list is a heap with the last in that order on top, which makes way
// for any that comes before it.
#include "slowpath/report/listing.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 64

static int by_number(uint64_t a, uint64_t b)
{
	return a > b ? -1 : a < b;
}

static int by_client(const struct flow_info *a, const struct flow_info *b)
{
	int r = memcmp(&a->client.ip, &b->client.ip, sizeof(a->client.ip));

	return r ?: (int)a->client.port - (int)b->client.port;
}

/* Negative: a comes first. Equal ones are ordered by client, so that the order does not change from
   one look to the next. */
static int compare(const struct flow_info *a, const struct flow_info *b, enum selection_sort sort)
{
	int r = 0;

	switch (sort) {
	case SORT_UP:
		r = by_number(a->bytes_up, b->bytes_up);
		break;
	case SORT_DOWN:
		r = by_number(a->bytes_down, b->bytes_down);
		break;
	case SORT_BYTES:
		r = by_number(a->bytes_up + a->bytes_down, b->bytes_up + b->bytes_down);
		break;
	case SORT_AGE:
		r = by_number(a->age_ms, b->age_ms);
		break;
	case SORT_NAME:
		r = strcmp(a->name, b->name);
		break;
	case SORT_CLIENT:
	case SORT_NONE:
		break;
	}
	return r ?: by_client(a, b);
}

static void swap(struct flow_info *a, struct flow_info *b)
{
	struct flow_info saved = *a;

	*a = *b;
	*b = saved;
}

static void sift_up(struct listing *l, size_t i)
{
	enum selection_sort sort = l->selection->sort;

	for (; i > 0 && compare(&l->at[i], &l->at[(i - 1) / 2], sort) > 0; i = (i - 1) / 2)
		swap(&l->at[i], &l->at[(i - 1) / 2]);
}

static void sift_down(struct listing *l, size_t n)
{
	enum selection_sort sort = l->selection->sort;

	for (size_t i = 0, child; (child = 2 * i + 1) < n; i = child) {
		if (child + 1 < n && compare(&l->at[child + 1], &l->at[child], sort) > 0)
			child++;
		if (compare(&l->at[child], &l->at[i], sort) <= 0)
			return;
		swap(&l->at[child], &l->at[i]);
	}
}

/* Only with a limit: without one nothing has to make way. */
static bool is_heap(const struct listing *l)
{
	return l->selection->sort != SORT_NONE && l->selection->limit;
}

bool listing_wants(const struct listing *l, const struct in6_addr *client, const char *name,
		   size_t len)
{
	return selection_has_client(l->selection, client) &&
	       selection_has_name(l->selection, name, len);
}

static bool make_room(struct listing *l)
{
	size_t room = l->room ? l->room * 2 : FIRST_ROOM;
	struct flow_info *grown;

	if (l->n < l->room)
		return true;
	grown = realloc(l->at, room * sizeof(*grown));
	if (!grown) {
		l->failed = true;
		return false;
	}
	l->at = grown;
	l->room = room;
	return true;
}

bool listing_add(struct listing *l, const struct flow_info *flow)
{
	if (l->selection->limit && l->n == l->selection->limit) {
		if (!is_heap(l))
			return false;
		if (compare(flow, &l->at[0], l->selection->sort) < 0) {
			l->at[0] = *flow;
			sift_down(l, l->n);
		}
		return true;
	}
	if (!make_room(l))
		return false;
	l->at[l->n++] = *flow;
	if (is_heap(l))
		sift_up(l, l->n - 1);
	return true;
}

static int compare_for_qsort(const void *a, const void *b, void *list)
{
	return compare(a, b, ((const struct listing *)list)->selection->sort);
}

void listing_sort(struct listing *l)
{
	if (l->selection->sort != SORT_NONE && l->n > 0)
		qsort_r(l->at, l->n, sizeof(*l->at), compare_for_qsort, l);
}
