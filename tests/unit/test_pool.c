// SPDX-License-Identifier: GPL-2.0-or-later
// Who may have a record, and when again.
#include "fastpath/kernel/pool.h"

#include "tests/unit/test.h"

static void gives_back(struct pool *p, unsigned worker, uint32_t record, uint64_t until)
{
	pool_returned(p);
	pool_rest(p, worker, record, until);
}

static void test_take(void)
{
	struct pool p;

	CHECK(pool_open(&p, 3, 1) == 0);
	CHECK(pool_take(&p) == 0 && pool_take(&p) == 1 && pool_take(&p) == 2);
	CHECK(pool_take(&p) == POOL_NONE);
	CHECK(pool_lent(&p) == 3);
	gives_back(&p, 0, 1, 0);
	CHECK(pool_lent(&p) == 2);
	CHECK(pool_take(&p) == POOL_NONE); /* nobody has said that the ring was read */
	pool_passed(&p, 0, 0);
	CHECK(pool_take(&p) == 1 && pool_take(&p) == POOL_NONE);
	pool_close(&p);
}

/* However long that takes. */
static void test_rests_until_its_ring_has_passed(void)
{
	struct pool p;

	CHECK(pool_open(&p, 4, 2) == 0);
	for (uint32_t i = 0; i < 4; i++)
		CHECK(pool_take(&p) == i);
	gives_back(&p, 0, 3, 100);
	gives_back(&p, 0, 0, 100);
	gives_back(&p, 0, 2, 116);
	pool_passed(&p, 0, 99);
	pool_passed(&p, 1, 1000); /* another's ring has nothing to do with it */
	CHECK(pool_take(&p) == POOL_NONE);
	pool_passed(&p, 0, 100);
	CHECK(pool_take(&p) == 3 && pool_take(&p) == 0 && pool_take(&p) == POOL_NONE);
	pool_passed(&p, 0, 5000);
	CHECK(pool_take(&p) == 2);
	CHECK(pool_lent(&p) == 4);
	pool_close(&p);
}

static void test_few_are_used_over_and_over(void)
{
	struct pool p;

	CHECK(pool_open(&p, 1000, 1) == 0);
	for (uint64_t at = 0; at < 100000; at += 16) {
		CHECK(pool_take(&p) == 0);
		gives_back(&p, 0, 0, at);
		pool_passed(&p, 0, at);
	}
	CHECK(pool_take(&p) == 0 && pool_take(&p) == 1);
	pool_close(&p);
}

static void test_lingering(void)
{
	struct pool p;

	CHECK(pool_open(&p, 2, 1) == 0);
	CHECK(pool_take(&p) == 0 && pool_take(&p) == 1);
	for (uint32_t i = 0; i < 2; i++) {
		pool_returned(&p);
		pool_linger(&p, 0, i);
	}
	pool_passed(&p, 0, UINT64_MAX); /* that is not what it waits for */
	CHECK(pool_take(&p) == POOL_NONE && pool_lent(&p) == 0);
	CHECK(pool_lingering(&p, 0) == 2);
	CHECK(pool_next_lingering(&p, 0) == 0);
	pool_rest(&p, 0, 0, 8);
	pool_passed(&p, 0, 8);
	CHECK(pool_take(&p) == 0 && pool_take(&p) == POOL_NONE);
	CHECK(pool_lingering(&p, 0) == 1 && pool_next_lingering(&p, 0) == 1);
	CHECK(pool_lingering(&p, 0) == 0);
	pool_close(&p);
}

int main(void)
{
	RUN(test_take);
	RUN(test_rests_until_its_ring_has_passed);
	RUN(test_few_are_used_over_and_over);
	RUN(test_lingering);
	TEST_DONE("pool");
}
