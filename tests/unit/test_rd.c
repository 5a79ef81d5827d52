// SPDX-License-Identifier: GPL-2.0-or-later
// The bounded reader: what is short is bad, empty, and stays so.
#include "bpf/wire/rd.h"
#include "tests/unit/test.h"

static const __u8 bytes[] = { 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x00, 0x02, 0xaa, 0xbb };

static void numbers(void)
{
	struct rd r;

	rd_init(&r, bytes, 6);
	CHECK(rd_left(&r) == 6 && !rd_done(&r));
	CHECK(rd_u8(&r) == 0x01);
	CHECK(rd_u16(&r) == 0x0203);
	CHECK(rd_u24(&r) == 0x040506);
	CHECK(rd_left(&r) == 0 && rd_done(&r));
	CHECK(rd_u8(&r) == 0 && r.bad && !rd_done(&r));
}

static void short_number_sticks(void)
{
	struct rd r;

	for (__u32 len = 0; len < 3; len++) {
		rd_init(&r, bytes, len);
		rd_u24(&r);
		CHECK(r.bad && rd_left(&r) == 0);
		rd_skip(&r, 0);
		CHECK(r.bad && !rd_done(&r));
	}
}

static void skips(void)
{
	struct rd r;

	rd_init(&r, bytes, 6);
	rd_skip(&r, 6);
	CHECK(rd_done(&r));
	rd_init(&r, bytes, 6);
	rd_skip(&r, 7);
	CHECK(r.bad && rd_left(&r) == 0);
	rd_init(&r, bytes, 6);
	rd_skip(&r, 0xffffffff);
	CHECK(r.bad);
}

static void vectors(void)
{
	struct rd r, v;

	rd_init(&r, bytes + 6, 4);
	v = rd_vec(&r, 2);
	CHECK(rd_done(&r) && rd_left(&v) == 2 && rd_u8(&v) == 0xaa);
	rd_init(&r, bytes + 6, 3); /* one byte short */
	v = rd_vec(&r, 2);
	CHECK(r.bad && v.bad && rd_left(&r) == 0 && rd_left(&v) == 0);
	rd_init(&r, bytes, 2);
	v = rd_vec(&r, 1);
	CHECK(rd_done(&r) && rd_left(&v) == 1 && rd_u8(&v) == 2 && rd_done(&v));
	CHECK(rd_u8(&v) == 0 && v.bad && !r.bad); /* a child does not read on in its parent */
	rd_init(&r, bytes + 6, 1);
	v = rd_vec(&r, 3);
	CHECK(r.bad && v.bad);
	v = rd_vec(&r, 1); /* a zero length out of a bad reader is no vector */
	CHECK(v.bad);
}

int main(void)
{
	RUN(numbers);
	RUN(short_number_sticks);
	RUN(skips);
	RUN(vectors);
	TEST_DONE("test_rd");
}
