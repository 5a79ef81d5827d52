/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A histogram of durations with fixed buckets, from a quarter of a millisecond to ten seconds and
 * everything above. All zero is an empty one. One thread adds.
 */
#ifndef SLUICE_SLOWPATH_REPORT_HISTOGRAM_H
#define SLUICE_SLOWPATH_REPORT_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS 16 /* the last is what exceeds all bounds */

struct histogram {
	uint64_t counts[HISTOGRAM_BUCKETS]; /* each duration in one bucket */
	uint64_t sum_us;
};

void histogram_add(struct histogram *h, uint64_t us);
void histogram_merge(struct histogram *sum, const struct histogram *h);
uint64_t histogram_count(const struct histogram *h);
/* How many were at most the upper bound of this bucket. */
uint64_t histogram_up_to(const struct histogram *h, unsigned bucket);
/* That bound in seconds, as text; "+Inf" for the last. */
const char *histogram_le(unsigned bucket);

#endif
