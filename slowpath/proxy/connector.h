/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way to a destination: the addresses that may be tried, one after the other, until one takes
 * the connection or the time is over. Knows no connection: its caller resolves the name, watches
 * the socket and keeps the time.
 */
#ifndef SLUICE_SLOWPATH_PROXY_CONNECTOR_H
#define SLUICE_SLOWPATH_PROXY_CONNECTOR_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "slowpath/address/address.h"

#define CONNECT_ADDRESSES 16 /* of a name are tried */

struct connector {
	struct in6_addr at[CONNECT_ADDRESSES]; /* all of them may be connected to */
	size_t n, next;
	uint64_t by_ms;		  /* of clock_ms(): when the time is over */
	struct endpoint_addr dst; /* of the attempt in hand, or the last */
};

/* One more place to try, if it is one that may be tried: not refused, not a listener of ours. */
void connector_add(struct connector *k, const struct conf *start, const struct conf *conf,
		   const struct endpoint_addr *to);
/* All addresses of a name; `wanted` comes first if it is one of them. */
void connector_add_all(struct connector *k, const struct conf *start, const struct conf *conf,
		       const struct endpoint_addr *wanted, const struct in6_addr *at, size_t n);
/* Begins to connect to the next address: a socket, whose connection is under way; or -errno;
   -ENOENT: there is none left. The mark (0: none) is on it. */
int connector_next(struct connector *k, uint16_t port, uint32_t mark);
/* How long the attempt in hand may take: each address left has its share of the time left. */
uint64_t connector_limit_ms(const struct connector *k, uint64_t now_ms);
/* The reason (REASON_*) that an error of an attempt stands for. */
unsigned connector_reason(int error);

#endif
