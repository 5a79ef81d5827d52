/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The counters since start, as data: the members of struct stats, the keys of `sluicectl stats`
 * and the metrics are made from one table.
 */
#ifndef SLUICE_SLOWPATH_REPORT_STATS_H
#define SLUICE_SLOWPATH_REPORT_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "bpf/abi/reason.h"
#include "slowpath/report/histogram.h"

/* clang-format off */
#define COUNTER(name_, help_) name_, "counter", help_
#define GAUGE(name_, help_) name_, "gauge", help_
#define NO_METRIC NULL, NULL, NULL

/* Metrics that several counters share, each with labels of its own. */
#define METRIC_JUDGED "sluice_connections_judged_total"
#define METRIC_VERDICTS "sluice_verdicts_total"
#define METRIC_BYTES "sluice_bytes_total"
#define JUDGED COUNTER(METRIC_JUDGED, "Connections that have ended, by verdict.")
#define VERDICTS COUNTER(METRIC_VERDICTS, "Verdicts on new connections, by who gave them.")
#define BYTES COUNTER(METRIC_BYTES, "Bytes carried, by who carried them and where to.")

/*
 * X(member and key, metric, labels or ""), in the order of `sluicectl stats`. The value of a label
 * is always a word of this program. Rows with the same metric follow each other.
 *
 * pending: open, without a verdict yet. reported: let through by enforce = no. bytes: of
 * connections that have ended and those that are open.
 */
#define COUNTERS(X)                                                                                \
	X(accepted, COUNTER("sluice_connections_accepted_total",                                   \
			    "Connections taken from listeners."), "")                              \
	X(ended, NO_METRIC, "")                                                                    \
	X(open, GAUGE("sluice_connections_open", "Connections that are open."), "")                \
	X(pending, GAUGE("sluice_connections_pending", "Open connections without a verdict."), "") \
	X(pending_bytes, GAUGE("sluice_connections_pending_bytes",                                 \
			       "What connections without a verdict have said."), "")               \
	X(allowed, JUDGED, "verdict=\"allow\"")                                                    \
	X(denied, JUDGED, "verdict=\"deny\"")                                                      \
	X(reported, JUDGED, "verdict=\"report\"")                                                  \
	X(verdicts_kernel, VERDICTS, "path=\"kernel\"")                                            \
	X(verdicts_user, VERDICTS, "path=\"user\"")                                                \
	X(bytes_up_kernel, BYTES, "path=\"kernel\",direction=\"up\"")                              \
	X(bytes_down_kernel, BYTES, "path=\"kernel\",direction=\"down\"")                          \
	X(bytes_up_user, BYTES, "path=\"user\",direction=\"up\"")                                  \
	X(bytes_down_user, BYTES, "path=\"user\",direction=\"down\"")                              \
	X(flows_kernel, GAUGE("sluice_connections_kernel",                                         \
			      "Open connections that are in the kernel path."), "")                \
	X(records_used, GAUGE("sluice_flow_records_used",                                          \
			      "Records of the kernel path lent to connections."), "")              \
	X(events_lost, COUNTER("sluice_events_lost_total",                                         \
			       "Messages of the kernel program that found the ring full."), "")    \
	X(overlaps, COUNTER("sluice_overlaps_total",                                               \
			    "Retransmissions whose beginning was cut off as it had come before."), \
	  "")                                                                                      \
	X(log_lost, COUNTER("sluice_log_lines_lost_total",                                         \
			    "Lines of the access log that were lost."), "")                        \
	X(messages_lost, COUNTER("sluice_messages_lost_total",                                     \
				 "Messages to standard error that were lost."), "")                \
	X(dns_asked, COUNTER("sluice_dns_queries_total", "Names asked of the name servers."), "")  \
	X(dns_cached, COUNTER("sluice_dns_cached_total", "Names answered from the cache."), "")    \
	X(dns_failed, COUNTER("sluice_dns_failed_total",                                           \
			      "Names that the name servers had no answer for."), "")               \
	X(dns_given_up, COUNTER("sluice_dns_given_up_total",                                       \
				"Names that made way for others or found no place."), "")
/* clang-format on */

#define MEMBER(member_, ...) uint64_t member_;

/* Of all workers and the kernel program. */
struct stats {
	COUNTERS(MEMBER)
	uint64_t reasons[REASON_COUNT]; /* ended connections and denials, by reason */
	struct histogram connect; /* from the verdict to the established upstream connection */
	unsigned workers;	  /* how many have added theirs */
};

#undef MEMBER

struct stats_counter {
	const char *key;
	size_t at;			  /* offset in struct stats */
	const char *metric, *type, *help; /* NULL: it is no metric */
	const char *labels;		  /* as Prometheus reads them; "": none */
};

extern const struct stats_counter stats_counters[]; /* ended by a row whose key is NULL */

uint64_t stats_value(const struct stats *s, const struct stats_counter *c);
/* Adds all of s to sum, and counts one more worker there. */
void stats_add(struct stats *sum, const struct stats *s);

#endif
