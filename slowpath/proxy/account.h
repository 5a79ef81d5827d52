/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What became of a connection, for the access log, `sluicectl tail` and `flows`, and the counters.
 * Only reads the connection. */
#ifndef SLUICE_SLOWPATH_PROXY_ACCOUNT_H
#define SLUICE_SLOWPATH_PROXY_ACCOUNT_H

#include "slowpath/proxy/connection.h"

/* Bytes carried: up and down, in all and by the kernel. */
void account_bytes(const struct conn *c, uint64_t all[SIDE_COUNT], uint64_t kernel[SIDE_COUNT]);
void account_info(const struct conn *c, struct flow_info *out);
/* Adds an open connection to the sum. */
void account_add_open(const struct conn *c, struct stats *sum);

/* Tells the clients of `sluicectl tail` that the connection is open. */
void account_open(const struct conn *c);
/* Writes the connection's line in the access log, counts it if it was denied, and tells the clients
 * of `sluicectl tail`. To be called once. */
void account_log(const struct conn *c);
/* Adds a connection that has ended to the counters of its place. */
void account_end(const struct conn *c);

#endif
