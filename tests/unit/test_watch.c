// SPDX-License-Identifier: GPL-2.0-or-later
// Watching the files of a configuration: every way in which one can change is told, once, and
// nothing else is.
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/log.h"
#include "conf/conf.h"
#include "conf/ini.h"
#include "slowpath/daemon/watch.h"
#include "tests/unit/folder.h"
#include "tests/unit/test.h"

#define QUIET_MS 20
#define NOTHING_MS 150 /* in which what would be told has been */
#define LATE_MS 20000  /* nothing takes so long; much less than a writer is waited for */

static struct event_base *base;
static struct event *over;
static struct watch *watch;
static unsigned told; /* times */
static char err[512];

static void on_change(void *arg)
{
	(void)arg;
	told++;
	event_base_loopbreak(base);
}

static void on_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	event_base_loopbreak(base);
}

/* Until something is told. */
static unsigned run(unsigned most_ms)
{
	struct timeval most = { .tv_sec = most_ms / 1000, .tv_usec = most_ms % 1000 * 1000 };

	told = 0;
	event_add(over, &most);
	event_base_dispatch(base);
	event_del(over);
	return told;
}

#define CHANGED() CHECK(run(LATE_MS) == 1)
#define UNCHANGED() CHECK(run(NOTHING_MS) == 0)

/* Files of one test: c.ini, and the list it names as `path`. */
static struct conf *begin(const char *path, const char *on)
{
	char ini[256];
	struct conf *c;

	snprintf(ini, sizeof(ini),
		 "[listener a]\naddress = 127.0.0.1:3129\n[policy]\n"
		 "deny_page =\nwatch_lists = %s\n[rule r]\ndeny = file:%s\n",
		 on, path);
	folder_text("c.ini", ini);
	c = conf_read("c.ini", err, sizeof(err));
	CHECK_STR(err, "");
	watch_close(watch);
	watch = watch_open(base, QUIET_MS, on_change, NULL);
	if (!c || !watch)
		exit(1);
	return c;
}

static void follow(const char *path)
{
	struct conf *c = begin(path, "yes");

	watch_follow(watch, c);
	conf_free(c);
}

static void again(void)
{
	struct conf *c = conf_read("c.ini", err, sizeof(err));

	CHECK_STR(err, "");
	if (c)
		watch_follow(watch, c);
	conf_free(c);
}

static void test_plain(void)
{
	folder_text("l", "a.example\n");
	folder_text("other", "x\n");
	follow("l");
	UNCHANGED();
	folder_text("l", "b.example\n");
	CHANGED();
	UNCHANGED();
	folder_text("new", "c.example\n");
	UNCHANGED();
	CHECK(rename("new", "l") == 0);
	CHANGED();
	folder_text("other", "y\n");
	CHECK(rename("other", "another") == 0);
	UNCHANGED();
	CHECK(unlink("l") == 0);
	CHANGED();
	folder_text("l", "d.example\n");
	CHANGED();
	CHECK(chmod("l", 0600) == 0);
	CHANGED();
	CHECK(unlink("l") == 0 && link("another", "l") == 0);
	CHANGED();
	folder_text("c.ini", "broken");
	CHANGED();
	UNCHANGED();
}

/* As Kubernetes gives out a ConfigMap. */
static void test_symlinks(void)
{
	CHECK(mkdir("k", 0700) == 0 && mkdir("k/v1", 0700) == 0 && mkdir("k/v2", 0700) == 0);
	folder_text("k/v1/l", "a.example\n");
	folder_text("k/v2/l", "b.example\n");
	CHECK(symlink("v1", "k/..data") == 0 && symlink("..data/l", "k/l") == 0);
	follow("k/./v2/../l");
	folder_text("k/v2/l", "c.example\n");
	UNCHANGED();
	folder_text("k/v1/l", "c.example\n");
	CHANGED();
	CHECK(symlink("v2", "k/tmp") == 0 && rename("k/tmp", "k/..data") == 0);
	CHANGED();
	/* it is known where it leads now, without having been told */
	folder_text("k/v1/l", "d.example\n");
	UNCHANGED();
	folder_text("k/v2/l", "d.example\n");
	CHANGED();
	CHECK(symlink("/nowhere", "k/tmp") == 0 && rename("k/tmp", "k/l") == 0);
	CHANGED();
	CHECK(symlink("l", "k/tmp") == 0 && rename("k/tmp", "k/l") == 0); /* to itself */
	CHANGED();
	UNCHANGED();
}

static void test_folders(void)
{
	CHECK(mkdir("f", 0700) == 0 && mkdir("f/g", 0700) == 0);
	folder_text("f/g/l", "a.example\n");
	follow("f/g/l");
	CHECK(rename("f", "old") == 0);
	CHANGED();
	CHECK(mkdir("f", 0700) == 0);
	CHANGED();
	CHECK(mkdir("f/g", 0700) == 0);
	CHANGED();
	folder_text("f/g/l", "b.example\n");
	CHANGED();
	folder_text("old/g/l", "c.example\n");
	UNCHANGED();
}

static void test_writers(void)
{
	int fd;

	folder_text("l", "a.example\n");
	follow("l");
	fd = open("l", O_WRONLY | O_TRUNC);
	UNCHANGED();
	CHECK(write(fd, "b.example\n", 10) == 10);
	UNCHANGED();
	again(); /* somebody else has asked for a reload */
	UNCHANGED();
	CHECK(write(fd, "c.example\n", 10) == 10);
	close(fd);
	CHANGED();
	CHECK(unlink("l") == 0);
	CHANGED();
	fd = open("l", O_WRONLY | O_CREAT, 0600);
	UNCHANGED();
	CHECK(write(fd, "b.example\n", 10) == 10);
	close(fd);
	CHANGED();
	/* a writer whose file is replaced has nothing to say any more */
	fd = open("l", O_WRONLY);
	CHECK(write(fd, "x", 1) == 1);
	folder_text("new", "c.example\n");
	CHECK(rename("new", "l") == 0);
	CHANGED();
	close(fd);
}

static void test_gathered(void)
{
	folder_text("l", "a.example\n");
	follow("l");
	for (int i = 0; i < 20; i++)
		folder_text(i % 2 ? "l" : "c.ini", "a.example\n");
	CHANGED();
	UNCHANGED();
}

/* Between having been read and being watched. */
static void test_gap(void)
{
	struct conf *c;

	folder_text("l", "a.example\n");
	c = begin("l", "yes");
	folder_text("l", "b.example, and more\n");
	watch_follow(watch, c);
	CHANGED();
	UNCHANGED();
	conf_free(c);
}

static void test_off(void)
{
	struct conf *off, *on;

	folder_text("l", "a.example\n");
	off = begin("l", "no");
	watch_follow(watch, off);
	folder_text("l", "b.example\n");
	UNCHANGED();
	on = begin("l", "yes");
	watch_follow(watch, on);
	folder_text("l", "c.example\n");
	CHANGED();
	folder_text("l", "d.example\n");
	watch_follow(watch, off);
	UNCHANGED();
	conf_free(on);
	conf_free(off);
}

/* What was followed and no longer is. */
static void test_other_conf(void)
{
	struct conf *c;

	folder_text("l", "a.example\n");
	CHECK(mkdir("m", 0700) == 0);
	folder_text("m/l", "a.example\n");
	c = begin("m/l", "yes");
	watch_follow(watch, c);
	conf_free(c);
	folder_text("c.ini", "[listener a]\naddress = 127.0.0.1:3129\n[policy]\nwatch_lists = yes\n"
			     "deny_page =\n[rule r]\ndeny = file:l\n");
	CHANGED();
	again();
	folder_text("m/l", "b.example\n");
	UNCHANGED();
	folder_text("l", "b.example\n");
	CHANGED();
}

/* ---- what the system does not give ---- */

static unsigned limit_of(const char *path)
{
	unsigned n = 0;
	FILE *f = fopen(path, "r");

	CHECK(f && fscanf(f, "%u", &n) == 1);
	if (f)
		fclose(f);
	return n;
}

/* Both files are open for writing: the events that would say so, and when that ends, are lost. */
static void test_overflow(void)
{
	unsigned n = limit_of("/proc/sys/fs/inotify/max_queued_events") + 100;
	int fds[2];

	folder_text("l", "a.example\n");
	follow("l");
	fds[0] = open("l", O_WRONLY);
	fds[1] = open("c.ini", O_WRONLY);
	for (unsigned i = 0; i < n; i++)
		CHECK(pwrite(fds[i % 2], "x", 1, 0) == 1);
	CHANGED();
	close(fds[0]);
	close(fds[1]);
}

static void limit_watches(void)
{
	int fd;

	CHECK(unshare(CLONE_NEWUSER) == 0);
	fd = open("/proc/sys/user/max_inotify_watches", O_WRONLY);
	CHECK(fd >= 0 && write(fd, "0", 1) == 1);
	close(fd);
}

static void limit_files(void)
{
	struct rlimit none = { 0 };

	CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
}

static void forbid_reading(void)
{
	CHECK(chmod(".", 0300) == 0);
	CHECK(geteuid() != 0 || setuid(65534) == 0);
}

/* What is said when `limit` is in force; it is lifted with the process that it is put on. The log
   stays with the stderr that it had first, so this comes before anything else is said. */
static void check_said(void (*limit)(void), const char *want)
{
	char text[1024] = "";
	struct conf *c;
	int out, status;
	pid_t child;

	folder_text("l", "a.example\n");
	c = begin("l", "yes");
	out = open("out", O_RDWR | O_CREAT | O_TRUNC, 0600);
	child = fork();
	if (child == 0) {
		test_failures = 0;
		dup2(out, STDERR_FILENO);
		log_info("opens the log");
		limit();
		watch_follow(watch, c);
		_exit(test_failures > 0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK(chmod(".", 0700) == 0);
	CHECK(pread(out, text, sizeof(text) - 1, 0) > 0);
	CHECK(strstr(text, want));
	if (!strstr(text, want))
		fprintf(stderr, "said: %s\n", text);
	close(out);
	conf_free(c);
}

int main(void)
{
	folder_enter();
	base = event_base_new();
	over = event_new(base, -1, 0, on_over, NULL);
	RUN(check_said, limit_watches, "the limit of fs.inotify.max_user_watches is reached");
	RUN(check_said, limit_files, "the limit of open files");
	RUN(check_said, forbid_reading, "cannot watch '.': Permission denied");
	RUN(test_plain);
	RUN(test_symlinks);
	RUN(test_folders);
	RUN(test_writers);
	RUN(test_gathered);
	RUN(test_gap);
	RUN(test_off);
	RUN(test_other_conf);
	RUN(test_overflow);
	watch_close(watch);
	event_free(over);
	event_base_free(base);
	folder_leave();
	TEST_DONE("test_watch");
}
