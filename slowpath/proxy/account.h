/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What became of a connection, for those who look: access log, tail, flows, counters. Reads it
 * only. */
#ifndef SLUICE_SLOWPATH_PROXY_ACCOUNT_H
#define SLUICE_SLOWPATH_PROXY_ACCOUNT_H

#include "slowpath/proxy/connection.h"

/* Bytes carried: up and down, in all and by the kernel. */
void account_bytes(const struct conn *c, uint64_t all[SIDE_COUNT], uint64_t kernel[SIDE_COUNT]);
void account_info(const struct conn *c, struct flow_info *out);
/* Adds an open connection to the sum. */
void account_add_open(const struct conn *c, struct stats *sum);

/* Tells whoever follows that it is open. */
void account_open(const struct conn *c);
/* Its line in the access log, the count of denials, and whoever follows. Once. */
void account_log(const struct conn *c);
/* It has ended: into the counters of its place. */
void account_end(const struct conn *c);

#endif
