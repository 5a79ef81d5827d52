// SPDX-License-Identifier: GPL-2.0-or-later
// Tables of buckets: every key that went in is found with its value, others are not, and a table
// that is too full says so.
#include <errno.h>

#include "bpf/policy/buckets.h"
#include "fastpath/policy/table.h"
#include "tests/unit/sample.h"
#include "tests/unit/test.h"

#define KEYS 200000

static uint64_t key_of(uint32_t i)
{
	struct rule_key k = { .set = i + 1 };

	return rule_key_stir(&k);
}

static unsigned second_looks;

/* As the kernel program looks: in one bucket, and in another if the first says so. */
static int find(const struct table *t, uint64_t key, struct slot_value *v)
{
	const struct bucket *one = &t->at[bucket_one(key, t->n_buckets)];

	if (bucket_find(one, key, v))
		return 1;
	if (!bucket_more(one))
		return 0;
	second_looks++;
	return bucket_find(&t->at[bucket_two(key, t->n_buckets)], key, v);
}

static void test_all_are_found(uint32_t n)
{
	struct slot_value v;
	struct table t;

	CHECK(table_open(&t, n) == 0);
	for (uint32_t i = 0; i < n; i++)
		CHECK(table_put(&t, key_of(i), (struct slot_value){ i, ~i & ~BUCKET_MORE }) == 0);
	CHECK(t.n == n);
	for (uint32_t i = 0; i < n; i++)
		CHECK(table_find(&t, key_of(i))->value.a == i);
	for (uint32_t i = n; i < n + 1000; i++)
		CHECK(!table_find(&t, key_of(i)));
	table_seal(&t);
	/* as the header says */
	CHECK((size_t)t.n_buckets * sizeof(struct bucket) <= 27 * (size_t)n + 1024);
	for (uint32_t i = 0; i < n; i++)
		CHECK(find(&t, key_of(i), &v) && v.a == i && v.b == (~i & ~BUCKET_MORE));
	second_looks = 0;
	for (uint32_t i = n; i < n + 1000; i++)
		CHECK(!find(&t, key_of(i), &v));
	CHECK(second_looks < 150); /* one in nine, as the code says */
	table_close(&t);
}

/* What is in the table is in the filter, always; what is not, one time in forty. */
static void test_filter(uint32_t n)
{
	struct filter f;
	struct table t;
	unsigned by_chance = 0;

	CHECK(table_open(&t, n) == 0);
	for (uint32_t i = 0; i < n; i++)
		CHECK(table_put(&t, key_of(i), (struct slot_value){ i, 0 }) == 0);
	CHECK(filter_open(&f, &t) == 0);
	CHECK((size_t)f.n_blocks * sizeof(*f.at) <= 10 * (size_t)n / 8 + 64);
	for (uint32_t i = 0; i < n; i++)
		CHECK(filter_has(&f.at[filter_block_of(key_of(i), f.n_blocks)], key_of(i)));
	for (uint32_t i = n; i < n + 10000; i++)
		by_chance += filter_has(&f.at[filter_block_of(key_of(i), f.n_blocks)], key_of(i)) !=
			     0;
	CHECK(by_chance < 400);
	CHECK(filter_has(NULL, 1));
	filter_close(&f);
	table_close(&t);
}

static void test_full(void)
{
	struct table t;
	uint32_t i = 0;
	int err = 0;

	CHECK(table_open_buckets(&t, 16) == 0);
	while (!err && i < 1000)
		err = table_put(&t, key_of(i++), (struct slot_value){ 0 });
	CHECK(err == -EAGAIN && i > 16 * BUCKET_SLOTS * 60 / 100 && i <= 16 * BUCKET_SLOTS + 1);
	table_close(&t);
	CHECK(table_open(&t, SIZE_MAX / 1000) == -E2BIG && t.at == NULL);
}

static void test_fit(void)
{
	struct slot_value v;
	struct table t;

	CHECK(table_open(&t, KEYS) == 0);
	for (uint32_t i = 0; i < 100; i++)
		CHECK(table_put(&t, key_of(i), (struct slot_value){ i, 1 }) == 0);
	CHECK(table_fit(&t) == 0 && t.n == 100 && t.n_buckets < 60);
	table_seal(&t);
	for (uint32_t i = 0; i < 100; i++)
		CHECK(find(&t, key_of(i), &v) && v.a == i);
	table_close(&t);
}

/* No two rows of decisions are one key. */
static void test_stirring(void)
{
	struct table t;

	CHECK(table_open(&t, 64 * 64 * 64) == 0);
	for (uint32_t i = 0; i < 64 * 64 * 64; i++) {
		struct rule_key k = { .set = 1 + i % 64,
				      .group = (__u16)(i / 64 % 64),
				      .port_class = (__u16)(i / 4096) };

		CHECK(!table_find(&t, rule_key_stir(&k)));
		CHECK(table_put(&t, rule_key_stir(&k), (struct slot_value){ i, 0 }) == 0);
	}
	table_close(&t);
}

int main(void)
{
	RUN(test_all_are_found, 0);
	RUN(test_all_are_found, 1);
	RUN(test_all_are_found, 17);
	RUN(test_all_are_found, KEYS);
	RUN(test_filter, 0);
	RUN(test_filter, 1);
	RUN(test_filter, 1000);
	RUN(test_filter, KEYS);
	RUN(test_full);
	RUN(test_fit);
	RUN(test_stirring);
	TEST_DONE("test_table");
}
