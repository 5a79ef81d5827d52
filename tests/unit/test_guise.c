// SPDX-License-Identifier: GPL-2.0-or-later
// Whose place a path is, for root that will become the user nobody; and that what is worn is the
// user's file rights, and nothing of it is left.
#include "common/guise.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>

#include "tests/unit/folder.h"
#include "tests/unit/test.h"

#define USER "nobody"

static uid_t uid;
static gid_t gid;

/* Whether the user's rights are worn for that name below the test's folder. */
static bool is_users(const char *name)
{
	char path[256];
	struct guise g;

	snprintf(path, sizeof(path), "%s/%s", folder_path, name);
	CHECK(guise_wear(&g, USER, path) == 0);
	CHECK((g.as != NULL) == g.worn);
	guise_drop(&g);
	return g.as != NULL;
}

static void make(const char *name, uid_t owner, gid_t group, mode_t mode)
{
	CHECK(mkdir(name, 0700) == 0 && chown(name, owner, group) == 0 && chmod(name, mode) == 0);
}

static void test_folders(void)
{
	make("roots", 0, 0, 0755);
	make("users", uid, gid, 0755);
	make("closed", uid, gid, 0);
	make("others", 1, 1, 0755);
	make("open", 0, 0, 0777);
	make("group", 0, gid, 0775);
	make("another-group", 0, 1, 0775);
	CHECK(!is_users("roots/log") && !is_users("roots/missing/log"));
	CHECK(is_users("users/log") && is_users("closed/log"));
	CHECK(is_users("others/log")); /* not root's */
	CHECK(is_users("open/log") && is_users("group/log"));
	CHECK(!is_users("another-group/log"));
	CHECK(is_users("roots/../users/log") && !is_users("roots/.//../roots/log"));
	make("users/sub", 0, 0, 0755); /* he can put another in its place */
	CHECK(is_users("users/sub/log"));
}

/* As /tmp is: what is there and root's stays, what is not may be made by anybody. */
static void test_sticky(void)
{
	make("sticky", 0, 0, 01777);
	make("sticky/roots", 0, 0, 0755);
	make("sticky/users", uid, gid, 0755);
	folder_text("sticky/file", "");
	CHECK(!is_users("sticky/roots/log") && is_users("sticky/users/log"));
	CHECK(is_users("sticky/log") && is_users("sticky/file"));
	CHECK(symlink("roots", "sticky/link") == 0);
	CHECK(is_users("sticky/link/log"));
}

static void test_links(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/users", folder_path);
	CHECK(symlink("roots", "link") == 0 && symlink(path, "roots/away") == 0);
	CHECK(symlink("../roots", "roots/around") == 0 && symlink("loop", "loop") == 0);
	CHECK(symlink("../roots", "users/link") == 0 && symlink("log", "roots/other") == 0);
	CHECK(symlink("../users/log", "roots/users") == 0);
	CHECK(!is_users("link/log") && !is_users("roots/around/around/log"));
	CHECK(is_users("roots/away/log") && is_users("users/link/log"));
	CHECK(!is_users("roots/other") && is_users("roots/users")); /* also the last part */
	CHECK(is_users("loop/log"));
}

static void test_rights(void)
{
	gid_t before[64], after[64];
	int n = getgroups(64, before);
	char path[256];
	struct guise g;
	struct stat st;
	int fd;

	folder_text("secret", "root's");
	CHECK(chmod("secret", 0600) == 0);
	snprintf(path, sizeof(path), "%s/users/made", folder_path);
	CHECK(guise_wear(&g, USER, path) == 0 && g.worn);
	CHECK(open("secret", O_RDONLY) < 0 && errno == EACCES);
	fd = open(path, O_WRONLY | O_CREAT, 0640);
	CHECK(fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == uid && st.st_gid == gid);
	CHECK(geteuid() == 0); /* to others we are who we were */
	guise_drop(&g);
	guise_drop(&g);
	close(fd);
	fd = open("secret", O_RDONLY);
	CHECK(fd >= 0);
	close(fd);
	CHECK(getgroups(64, after) == n && memcmp(before, after, (size_t)n * sizeof(gid_t)) == 0);
}

static uid_t owner_of(const char *path)
{
	struct stat st;

	CHECK(lstat(path, &st) == 0);
	return st.st_uid;
}

static void give(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", folder_path, name);
	guise_give_path(path, USER);
}

static void test_given(void)
{
	int fd = open("/dev/null", O_WRONLY);

	guise_give_file(fd, USER);
	CHECK(owner_of("/dev/null") == 0);
	close(fd);
	folder_text("roots/file", "");
	folder_text("roots/target", "");
	folder_text("users/file", ""); /* of root's, or a hard link to one */
	CHECK(symlink("target", "roots/to-target") == 0);
	give("roots/file");
	give("roots/to-target");
	give("users/file");
	give("roots/missing");
	CHECK(owner_of("roots/file") == uid && owner_of("roots/target") == 0);
	CHECK(owner_of("users/file") == 0);
}

static void test_none(void)
{
	struct guise g;

	CHECK(guise_wear(&g, "", "/tmp/log") == 0 && !g.worn);
	CHECK(guise_wear(&g, "root", "/tmp/log") == 0 && !g.worn);
	CHECK(guise_wear(&g, "nobody-of-that-name", "/etc/log") == -ENOENT && !g.worn);
	CHECK(guise_wear(&g, USER, "/log") == 0 && !g.worn);
}

int main(void)
{
	const struct passwd *pw = getpwnam(USER);

	if (geteuid() != 0)
		TEST_SKIP("not root");
	CHECK(pw != NULL);
	if (!pw)
		return 1;
	uid = pw->pw_uid;
	gid = pw->pw_gid;
	folder_enter();
	CHECK(chmod(".", 0755) == 0);
	RUN(test_folders);
	RUN(test_sticky);
	RUN(test_links);
	RUN(test_rights);
	RUN(test_given);
	RUN(test_none);
	folder_leave();
	TEST_DONE("test_guise");
}
