/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The counters of the whole, as they are now. Main thread. */
#ifndef SLUICE_SLOWPATH_DAEMON_SNAPSHOT_H
#define SLUICE_SLOWPATH_DAEMON_SNAPSHOT_H

#include <stddef.h>

#include "slowpath/report/report.h"

struct daemon;

void snapshot_stats(struct daemon *d, struct stats *s);
void snapshot_status(const struct daemon *d, struct status *s);
/* The hits of the policy's rules. Returns how many there are; *out is an array to be freed, or
   NULL. */
size_t snapshot_rules(const struct daemon *d, struct rule_hits **out);
/* A metrics_writer; arg is the struct daemon. */
void snapshot_metrics(void *arg, struct evbuffer *out);

#endif
