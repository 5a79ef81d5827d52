/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is denied most, and what for: the names and the clients with the most denials of the last 30
 * to 60 minutes, in bounded memory whatever clients ask for. Counted with the Space-Saving
 * algorithm (Metwally, Agrawal, El Abbadi, "Efficient computation of frequent and top-k elements in
 * data streams", ICDT 2005): TOP_ENTRIES counters; a key without one takes over the smallest
 * together with its count, which is from then on the most by which the key may be counted too high.
 *
 * What that guarantees, of N denials in one summary:
 *   - true count <= count <= true count + over, and over <= N / TOP_ENTRIES;
 *   - every key with more than N / TOP_ENTRIES is among the entries. A client that asks for
 * thousands of names can push out rare ones, never those. Adding summaries (of workers, of two
 * windows) keeps the first guarantee, with the sum of all N: a key that has no counter in a full
 * summary is taken to have had the smallest count there (Agarwal et al., "Mergeable summaries",
 * PODS 2012).
 *
 * Two windows of TOP_WINDOW_MS change places, and both are shown: 30 to 60 minutes.
 *
 * Here a client is an address, not a network (slowpath/address/clients.h), because the reader wants
 * to find the host. A host that keeps changing its address is spread over many rows, and pushes out
 * none that has more than N / TOP_ENTRIES.
 *
 * A struct top belongs to one worker. Nothing is allocated after top_new(). Pure except for its
 * hash key, which is random because clients choose the names.
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

/* Counts one denial. reported: the connection was let through, but would have been denied (enforce
   = no). name: as in the log; without a name the caller gives the destination's address. now_ms: a
   clock that is never set back. */
void top_count(struct top *t, const struct in6_addr *client, const char *name, bool reported,
	       uint64_t now_ms);

struct top_row {
	union {
		char name[NAME_BUF];
		struct in6_addr client;
	};
	int64_t count;		   /* the true count is at most this */
	int64_t over;		   /* and at least this much less */
	uint64_t denied, reported; /* certain: seen since the key has had a counter */
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
/* Call it after the last top_add(): makes one row for each key, most first, and equal ones in the
   order of names. */
void top_finish(struct top_sum *sum);
void top_sum_free(struct top_sum *sum);

#endif
