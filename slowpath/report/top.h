/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is denied most, and what for: the names and the clients with the most denials of the last 30
 * to 60 minutes, in bounded memory whatever clients ask for. Counted with the Space-Saving
 * algorithm (Metwally, Agrawal, El Abbadi, "Efficient computation of frequent and top-k elements in
 * data streams", ICDT 2005): TOP_ENTRIES counters; who has none takes over the smallest one with
 * its count, which is from then on the most by which it may be counted too high.
 *
 * What that guarantees, of N denials in one summary:
 *   - true count <= count <= true count + over, and over <= N / TOP_ENTRIES;
 *   - whoever has more than N / TOP_ENTRIES is among the entries. A client that asks for thousands
 *     of names can push out rare ones, never those.
 * Adding summaries up (of workers, of two windows) keeps the first with the sum of all N: one that
 * has no counter in a full summary is taken to have had its smallest there (Agarwal et al.,
 * "Mergeable summaries", PODS 2012).
 *
 * Two windows of TOP_WINDOW_MS change places, and what is shown is both: 30 to 60 minutes.
 *
 * A client is an address here, not a network (slowpath/address/clients.h): who looks wants to find
 * the host. One that keeps changing its address is spread over many rows, and pushes out none that
 * has more than N / TOP_ENTRIES.
 *
 * A struct top belongs to one worker. Nothing is allocated after top_new(). Pure but for its key,
 * which is random: names are the clients' to choose.
 */
#ifndef SLUICE_SLOWPATH_REPORT_TOP_H
#define SLUICE_SLOWPATH_REPORT_TOP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/abi/name.h"

#define TOP_ENTRIES 1024 /* of each kind and window */
#define TOP_WINDOW_MS (30 * 60 * 1000ULL)

enum top_kind { TOP_NAMES, TOP_CLIENTS, TOP_KINDS };

struct top;

struct top *top_new(void);    /* NULL: no memory */
void top_free(struct top *t); /* NULL is fine */

/* One denial. reported: it was let through, and would have been denied (enforce = no). name: as in
   the log; the caller gives the destination's address for one without a name. now_ms: a clock that
   is never set back. */
void top_count(struct top *t, const struct in6_addr *client, const char *name, bool reported,
	       uint64_t now_ms);

struct top_row {
	union {
		char name[NAME_BUF];
		struct in6_addr client;
	};
	int64_t count;		   /* at most so many */
	int64_t over;		   /* and at least so many fewer */
	uint64_t denied, reported; /* seen for certain, since it has had a counter */
};

/* The sum of summaries. */
struct top_sum {
	struct top_row *rows[TOP_KINDS]; /* top_sum_free() */
	size_t n[TOP_KINDS], room[TOP_KINDS];
	int64_t least[TOP_KINDS];  /* sum of the smallest counts of full summaries */
	uint64_t denied, reported; /* all of them, exact */
	uint64_t since_ms;	   /* the oldest window's beginning; 0: there is none */
	bool failed;		   /* no memory */
};

void top_add(struct top *t, uint64_t now_ms, struct top_sum *sum);
/* After the last top_add(): one row for each, most first; what is equal in the order of names. */
void top_finish(struct top_sum *sum);
void top_sum_free(struct top_sum *sum);

#endif
