/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How many connections each client address has open, for max_per_client. Any thread. */
#ifndef SLUICE_SLOWPATH_CLIENTS_H
#define SLUICE_SLOWPATH_CLIENTS_H

#include <netinet/in.h>
#include <stdbool.h>

struct clients;

struct clients *clients_new(void); /* NULL: no memory */
void clients_free(struct clients *c);
/* Counts one more unless there are `max` already (or no memory): false then. */
bool clients_enter(struct clients *c, const struct in6_addr *ip, unsigned max);
void clients_leave(struct clients *c, const struct in6_addr *ip);

#endif
