// SPDX-License-Identifier: GPL-2.0-or-later
// Few buckets, each about twice as wide as the one before: enough for quantiles, and so few that
// finding the right one costs less than reading the clock.
#include "slowpath/report/histogram.h"

static const struct {
	uint32_t us;
	const char *seconds;
} bounds[HISTOGRAM_BUCKETS] = {
	{ 250, "0.00025" }, { 500, "0.0005" },	{ 1000, "0.001" },  { 2500, "0.0025" },
	{ 5000, "0.005" },  { 10000, "0.01" },	{ 25000, "0.025" }, { 50000, "0.05" },
	{ 100000, "0.1" },  { 250000, "0.25" }, { 500000, "0.5" },  { 1000000, "1" },
	{ 2500000, "2.5" }, { 5000000, "5" },	{ 10000000, "10" }, { UINT32_MAX, "+Inf" },
};

void histogram_add(struct histogram *h, uint64_t us)
{
	unsigned i = 0;

	while (i < HISTOGRAM_BUCKETS - 1 && us > bounds[i].us)
		i++;
	h->counts[i]++;
	h->sum_us += us;
}

void histogram_merge(struct histogram *sum, const struct histogram *h)
{
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		sum->counts[i] += h->counts[i];
	sum->sum_us += h->sum_us;
}

uint64_t histogram_up_to(const struct histogram *h, unsigned bucket)
{
	uint64_t n = 0;

	for (unsigned i = 0; i <= bucket && i < HISTOGRAM_BUCKETS; i++)
		n += h->counts[i];
	return n;
}

uint64_t histogram_count(const struct histogram *h)
{
	return histogram_up_to(h, HISTOGRAM_BUCKETS - 1);
}

const char *histogram_le(unsigned bucket)
{
	return bounds[bucket].seconds;
}
