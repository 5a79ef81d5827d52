// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel floor, and reading a version out of what distributions print.
#include "fastpath/kernel/internal.h"
#include "tests/unit/test.h"

static void floors(void)
{
	CHECK(!probe_floor(5, 15, 999));
	CHECK(!probe_floor(6, 1, 190) && probe_floor(6, 1, 191) && probe_floor(6, 1, 192));
	CHECK(!probe_floor(6, 6, 999)); /* a series nobody has looked at */
	CHECK(!probe_floor(6, 12, 112) && probe_floor(6, 12, 113));
	CHECK(!probe_floor(6, 17, 20));
	CHECK(probe_floor(6, 18, 0) && probe_floor(6, 19, 0) && probe_floor(7, 0, 0));
}

static void version(const char *release, const char *text, unsigned major, unsigned minor,
		    unsigned patch)
{
	unsigned v[3] = { 0, 0, 0 };

	CHECK(probe_version(release, text, v));
	CHECK(v[0] == major && v[1] == minor && v[2] == patch);
}

static void versions(void)
{
	unsigned v[3] = { 1, 2, 3 };

	version("6.1.0-56-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-01)", 6, 1,
		192);
	version("6.12.117+deb12-amd64", "#1 SMP Debian 6.12.117-1~deb12u1 (2026)", 6, 12, 117);
	version("6.18.44", "#1 SMP", 6, 18, 44);
	version("7.0", "#1 SMP", 7, 0, 0);
	CHECK(!probe_version("strange", "#1", v) && v[0] == 1 && v[2] == 3);
}

int main(void)
{
	RUN(floors);
	RUN(versions);
	TEST_DONE("probe");
}
