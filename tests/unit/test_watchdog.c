// SPDX-License-Identifier: GPL-2.0-or-later
// When a worker counts as stuck, and how often it has to say that it is not.
#include "slowpath/daemon/watchdog.h"

#include "slowpath/proxy/worker.h"
#include "tests/unit/test.h"

static void stuck(void)
{
	CHECK(!watchdog_stuck(1000, 1000, 500));
	CHECK(!watchdog_stuck(1500, 1000, 500));
	CHECK(watchdog_stuck(1501, 1000, 500));
	CHECK(!watchdog_stuck(1000, 1001, 500)); /* it turned after we had looked at the clock */
	CHECK(!watchdog_stuck(1000, WORKER_ENDED, 500));
	CHECK(watchdog_stuck(UINT64_MAX, 0, 500));
}

/* Several ticks fit into the time after which a worker counts as stuck, half of the manager's. */
static void tick(void)
{
	CHECK(watchdog_tick_ms(0) == 0);
	CHECK(watchdog_tick_ms(1) > 0);
	for (uint64_t ms = 100; ms < 100000; ms += 700)
		CHECK(watchdog_tick_ms(ms * 1000) > 0 &&
		      watchdog_tick_ms(ms * 1000) * 3 < ms / 2 + 1);
	CHECK(watchdog_tick_ms(UINT64_MAX) == 1000);
}

int main(void)
{
	RUN(stuck);
	RUN(tick);
	TEST_DONE("test_watchdog");
}
