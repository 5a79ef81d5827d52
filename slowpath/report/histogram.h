/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A histogram of durations with fixed buckets, from a quarter of a millisecond to ten seconds, and
 * one for everything above. An all-zero histogram is empty. Only one thread adds to it.
 */
#ifndef SLUICE_SLOWPATH_REPORT_HISTOGRAM_H
#define SLUICE_SLOWPATH_REPORT_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS 16 /* the last is for what exceeds all bounds */

struct histogram {
	uint64_t counts[HISTOGRAM_BUCKETS]; /* each duration is counted in one bucket */
	uint64_t sum_us;
};

void histogram_add(struct histogram *h, uint64_t us);
void histogram_merge(struct histogram *sum, const struct histogram *h);
uint64_t histogram_count(const struct histogram *h);
/* How many durations were at most the upper bound of this bucket. */
uint64_t histogram_up_to(const struct histogram *h, unsigned bucket);
/* The bucket's upper bound in seconds, as text; "+Inf" for the last. */
const char *histogram_le(unsigned bucket);

#endif
