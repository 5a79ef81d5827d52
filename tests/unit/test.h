/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks for unit tests. A failed one is printed and the test goes on; TEST_DONE ends main().
 */
#ifndef SLUICE_TESTS_UNIT_TEST_H
#define SLUICE_TESTS_UNIT_TEST_H

#include <stdio.h>
#include <string.h>

static unsigned test_checks, test_failures;

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		test_checks++;                                                                     \
		if (!(cond)) {                                                                     \
			test_failures++;                                                           \
			fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #cond);         \
		}                                                                                  \
	} while (0)

#define CHECK_STR(got, want)                                                                       \
	do {                                                                                       \
		const char *got_ = (got), *want_ = (want);                                         \
		test_checks++;                                                                     \
		if (!got_ || strcmp(got_, want_) != 0) {                                           \
			test_failures++;                                                           \
			fprintf(stderr, "%s:%d: failed: %s is \"%s\", not \"%s\"\n", __FILE__,     \
				__LINE__, #got, got_ ? got_ : "(null)", want_);                    \
		}                                                                                  \
	} while (0)

#define TEST_DONE(name)                                                                            \
	do {                                                                                       \
		if (test_failures)                                                                 \
			printf("%s: %u of %u checks FAILED\n", name, test_failures, test_checks);  \
		else                                                                               \
			printf("%s: %u checks passed\n", name, test_checks);                       \
		return test_failures ? 1 : 0;                                                      \
	} while (0)

#endif
