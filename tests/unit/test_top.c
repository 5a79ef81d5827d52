// SPDX-License-Identifier: GPL-2.0-or-later
// The guarantees of the header, against exact counts of the same denials.
#include "slowpath/report/top.h"

#include <stdlib.h>

#include "tests/unit/test.h"

#define NAMES 20000 /* many times the counters */
#define WORKERS 3

static uint64_t exact[NAMES], all;
static uint32_t state = 1;

static uint32_t draw(void)
{
	state = state * 1664525 + 1013904223;
	return state >> 8;
}

static struct in6_addr client(unsigned i)
{
	return (struct in6_addr){ .s6_addr = { [13] = (uint8_t)(i >> 16),
					       [14] = (uint8_t)(i >> 8),
					       [15] = (uint8_t)i } };
}

static void deny(struct top *t, unsigned i, bool reported, uint64_t now_ms)
{
	struct in6_addr from = client(i);
	char name[32];

	snprintf(name, sizeof(name), "n%u.test", i);
	top_count(t, &from, name, reported, now_ms);
	exact[i]++;
	all++;
}

static unsigned number_of(int kind, const struct top_row *row)
{
	const uint8_t *a = row->client.s6_addr;

	return kind == TOP_NAMES ? (unsigned)atoi(row->name + 1) :
				   (unsigned)a[13] << 16 | (unsigned)a[14] << 8 | a[15];
}

static void check_row(const struct top_row *row, uint64_t truth)
{
	CHECK(row->over >= 0 && (uint64_t)row->over <= all / TOP_ENTRIES);
	CHECK((uint64_t)row->count >= truth && row->count - row->over <= (int64_t)truth);
	CHECK(row->denied + row->reported <= truth);
}

static void check_sum(const struct top_sum *sum)
{
	static bool there[NAMES];

	CHECK(sum->denied + sum->reported == all && !sum->failed);
	for (int kind = 0; kind < TOP_KINDS; kind++) {
		memset(there, 0, sizeof(there));
		for (size_t i = 0; i < sum->n[kind]; i++) {
			unsigned n = number_of(kind, &sum->rows[kind][i]);

			CHECK(!there[n]);
			there[n] = true;
			check_row(&sum->rows[kind][i], exact[n]);
			CHECK(i == 0 || sum->rows[kind][i - 1].count >= sum->rows[kind][i].count);
		}
		for (unsigned n = 0; n < NAMES; n++)
			CHECK(there[n] || exact[n] <= all / TOP_ENTRIES);
	}
}

static void forget(void)
{
	memset(exact, 0, sizeof(exact));
	all = 0;
}

/* Some are frequent, and very many come once or twice to push them out. */
static void test_guarantees(void)
{
	struct top *t[WORKERS];
	struct top_sum sum = { .failed = false };
	uint64_t now = 1;

	forget();
	for (int i = 0; i < WORKERS; i++)
		t[i] = top_new();
	for (unsigned i = 0; i < 300000; i++) {
		unsigned n = draw() % 4 ? draw() % NAMES : draw() % (1 + draw() % 60);

		deny(t[draw() % WORKERS], n, draw() % 3 == 0, now);
		if (i == 150000)
			now += TOP_WINDOW_MS; /* the second half is another window's */
	}
	for (int i = 0; i < WORKERS; i++)
		top_add(t[i], now, &sum);
	CHECK(sum.least[TOP_NAMES] > 0); /* they were full, or this proves little */
	top_finish(&sum);
	check_sum(&sum);
	top_sum_free(&sum);
	for (int i = 0; i < WORKERS; i++)
		top_free(t[i]);
}

/* As long as there is room, all of it is exact. */
static void test_exact(void)
{
	struct top *t = top_new();
	struct top_sum sum = { .failed = false };

	forget();
	for (int i = 0; i < 7; i++)
		deny(t, 3, false, 5);
	deny(t, 2, true, 6);
	deny(t, 2, false, 6);
	deny(t, 1, true, 6);
	deny(t, 9, true, 6);
	top_add(t, 10, &sum);
	top_finish(&sum);
	CHECK(sum.n[TOP_NAMES] == 4 && sum.n[TOP_CLIENTS] == 4 && sum.since_ms == 5);
	CHECK(sum.denied == 8 && sum.reported == 3);
	CHECK_STR(sum.rows[TOP_NAMES][0].name, "n3.test");
	CHECK(sum.rows[TOP_NAMES][0].count == 7 && sum.rows[TOP_NAMES][0].denied == 7);
	CHECK_STR(sum.rows[TOP_NAMES][1].name, "n2.test");
	CHECK(sum.rows[TOP_NAMES][1].denied == 1 && sum.rows[TOP_NAMES][1].reported == 1);
	CHECK_STR(sum.rows[TOP_NAMES][2].name, "n1.test"); /* equal: by name */
	CHECK_STR(sum.rows[TOP_NAMES][3].name, "n9.test");
	for (int i = 0; i < 4; i++)
		CHECK(sum.rows[TOP_CLIENTS][i].over == 0);
	top_sum_free(&sum);
	top_free(t);
}

/* How many denials are seen at `now`. */
static uint64_t seen(struct top *t, uint64_t now)
{
	struct top_sum sum = { .failed = false };
	uint64_t n;

	top_add(t, now, &sum);
	top_finish(&sum);
	n = sum.denied;
	CHECK((n > 0) == (sum.since_ms > 0) && (n > 0) == (sum.n[TOP_NAMES] > 0));
	top_sum_free(&sum);
	return n;
}

static void test_windows(void)
{
	const uint64_t W = TOP_WINDOW_MS;
	struct top *t = top_new();

	CHECK(seen(t, 1) == 0);
	deny(t, 1, false, 1000);
	deny(t, 1, false, 1000 + W - 1);
	CHECK(seen(t, 1000 + W - 1) == 2);
	deny(t, 2, false, 1000 + W); /* the second window's */
	CHECK(seen(t, 1000 + W) == 3);
	CHECK(seen(t, 1000 + 2 * W - 1) == 3);
	CHECK(seen(t, 1000 + 2 * W) == 1); /* the first is too old */
	deny(t, 3, false, 1000 + 2 * W);
	CHECK(seen(t, 1000 + 2 * W) == 2);
	CHECK(seen(t, 1000 + 9 * W) == 0); /* nothing for long */
	deny(t, 4, false, 1000 + 9 * W);
	CHECK(seen(t, 1000 + 9 * W) == 1);
	top_free(t);
	/* a window that nobody looked at until it was too old */
	t = top_new();
	deny(t, 1, false, 1000);
	deny(t, 2, false, 1000 + 2 * W);
	CHECK(seen(t, 1000 + 2 * W) == 1);
	top_free(t);
}

static void test_keys(void)
{
	struct top *t = top_new();
	struct top_sum sum = { .failed = false };
	struct in6_addr from = client(1);
	char longest[NAME_MAX_LEN + 1];

	memset(longest, 'x', NAME_MAX_LEN);
	longest[NAME_MAX_LEN] = '\0';
	top_count(t, &from, longest, false, 1);
	top_count(t, &from, "", false, 1);
	longest[NAME_MAX_LEN - 1] = '\0'; /* a beginning is another name */
	top_count(t, &from, longest, false, 1);
	top_count(t, &from, longest, false, 1);
	top_add(t, 1, &sum);
	top_finish(&sum);
	CHECK(sum.n[TOP_NAMES] == 3 && sum.n[TOP_CLIENTS] == 1);
	CHECK_STR(sum.rows[TOP_NAMES][0].name, longest);
	CHECK_STR(sum.rows[TOP_NAMES][1].name, "");
	top_sum_free(&sum);
	top_free(t);
	top_free(NULL);
}

int main(void)
{
	RUN(test_guarantees);
	RUN(test_exact);
	RUN(test_windows);
	RUN(test_keys);
	TEST_DONE("top");
}
