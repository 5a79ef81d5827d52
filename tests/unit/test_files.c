// SPDX-License-Identifier: GPL-2.0-or-later
// What descriptors are set aside for what, and that no more pipes are lent than are left.
#include "slowpath/proxy/files.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/test.h"

static void test_open(void)
{
	int64_t before = files_open();
	int fd = open("/dev/null", O_RDONLY);

	CHECK(before >= 3 && files_open() == before + 1);
	close(fd);
	CHECK(files_open() == before);
}

static void test_raise(void)
{
	struct rlimit limit = { .rlim_cur = 100, .rlim_max = 2000 };
	struct files f = { 0 };

	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	files_raise(&f);
	CHECK(f.limit == 2000);
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == 2000);
}

static void test_divide(void)
{
	struct files f = { .limit = 2000 };

	files_divide(&f, 500, 2);
	CHECK(f.connections == 1000 && f.daemon >= (uint64_t)files_open());
	CHECK(files_wanted(&f) + f.pipes == 2000);
	CHECK(f.pipes_left == (int64_t)(f.pipes / 2) && f.pipes_left > 0);
}

static void test_too_few(void)
{
	struct files f = { .limit = 1000 };

	files_divide(&f, 500, 2);
	CHECK(files_wanted(&f) > 1000 && f.pipes == 0);
	CHECK(!files_take_pipe(&f));
}

static void test_pipes(void)
{
	struct files f = { .limit = 100000 };

	f.pipes_left = 2;
	CHECK(files_take_pipe(&f) && files_take_pipe(&f));
	CHECK(!files_take_pipe(&f) && !files_take_pipe(&f));
	files_give_pipe(&f);
	CHECK(files_take_pipe(&f) && !files_take_pipe(&f));
}

int main(void)
{
	RUN(test_open);
	RUN(test_raise);
	RUN(test_divide);
	RUN(test_too_few);
	RUN(test_pipes);
	TEST_DONE("files");
}
