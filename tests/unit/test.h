/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks for unit tests, reported as TAP for automake's tap-driver. RUN() is one case: a line
 * "ok N - name" or "not ok N - name", and on stderr a comment for each check that failed. A failed
 * check does not end the case. Checks outside of RUN() are the last case, named after the test.
 * TEST_DONE ends main() and prints the plan. A test that dies earlier has printed no plan, which is
 * an error to the driver, and the last "# case" in its log is the one it died in.
 */
#ifndef SLUICE_TESTS_UNIT_TEST_H
#define SLUICE_TESTS_UNIT_TEST_H

#include <stdio.h>
#include <string.h>

static unsigned test_checks, test_failures;
static unsigned test_cases;
/* within the cases that have ended */
static unsigned test_inside_checks, test_inside_failures;

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		test_checks++;                                                                     \
		if (!(cond)) {                                                                     \
			test_failures++;                                                           \
			fprintf(stderr, "# %s:%d: failed: %s\n", __FILE__, __LINE__, #cond);       \
		}                                                                                  \
	} while (0)

#define CHECK_STR(got, want)                                                                       \
	do {                                                                                       \
		const char *got_ = (got), *want_ = (want);                                         \
		test_checks++;                                                                     \
		if (!got_ || strcmp(got_, want_) != 0) {                                           \
			test_failures++;                                                           \
			fprintf(stderr, "# %s:%d: failed: %s is \"%s\", not \"%s\"\n", __FILE__,   \
				__LINE__, #got, got_ ? got_ : "(null)", want_);                    \
		}                                                                                  \
	} while (0)

static inline void test_report(const char *name, unsigned checks, unsigned failures)
{
	if (failures)
		printf("# %u of %u checks failed\n", failures, checks);
	printf("%s %u - %s\n", failures ? "not ok" : "ok", ++test_cases, name);
	fflush(stdout); /* or a child that the next case forks would print it again */
}

/* RUN(function, argument...): calls it as a case that is named after the call */
#define RUN(fn, ...)                                                                               \
	do {                                                                                       \
		unsigned checks_ = test_checks, failures_ = test_failures;                         \
		printf("# %s(%s)\n", #fn, #__VA_ARGS__);                                           \
		fflush(stdout);                                                                    \
		fn(__VA_ARGS__);                                                                   \
		checks_ = test_checks - checks_;                                                   \
		failures_ = test_failures - failures_;                                             \
		test_inside_checks += checks_;                                                     \
		test_inside_failures += failures_;                                                 \
		test_report(#fn "(" #__VA_ARGS__ ")", checks_, failures_);                         \
	} while (0)

static inline int test_done(const char *name)
{
	unsigned checks = test_checks - test_inside_checks;

	if (checks || !test_cases)
		test_report(name, checks, test_failures - test_inside_failures);
	printf("# %s: %u checks, %u failed\n1..%u\n", name, test_checks, test_failures, test_cases);
	fflush(stdout);
	return test_failures ? 1 : 0;
}

#define TEST_DONE(name) return test_done(name)

/* of a test that cannot run here */
#define TEST_SKIP(why)                                                                             \
	do {                                                                                       \
		printf("1..0 # SKIP %s\n", why);                                                   \
		return 0;                                                                          \
	} while (0)

#endif
