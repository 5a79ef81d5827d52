// SPDX-License-Identifier: GPL-2.0-or-later
// Entries made at run time as text: what is written is read again, and nothing else is.
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "slowpath/daemon/change_file.h"
#include "tests/unit/folder.h"
#include "tests/unit/test.h"

static char err[512];
static unsigned synced_files, synced_folders;

/* In place of the C library's: nobody can cut the power here. */
int fsync(int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return -1;
	*(S_ISDIR(st.st_mode) ? &synced_folders : &synced_files) += 1;
	return 0;
}

static void test_names(void)
{
	static const struct {
		const char *text, *name;
		int kind;
	} good[] = { { "example.com", "example.com", NAME_HOST },
		     { ".Example.COM.", "example.com", NAME_TREE },
		     { "*.x.example.com", "x.example.com", NAME_BELOW },
		     { "_dns.example", "_dns.example", NAME_HOST } };
	static const char *const bad[] = { "",	    ".",    "*.",      "..",  "a..b", "*",
					   "a.*.b", "**.a", "1.2.3.4", "a b", "a\nb", "\x80.test",
					   "::1",   "*..a", "-",       "a/b" };
	struct policy_change c;

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		CHECK(change_parse_name(good[i].text, &c) == 0 && c.kind == good[i].kind);
		CHECK_STR(c.name, good[i].name);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		c.name[0] = '!';
		if (strcmp(bad[i], "-") != 0) /* LDH, if an odd one */
			CHECK(change_parse_name(bad[i], &c) == -EINVAL && c.name[0] == '!');
	}
}

static void test_lines(void)
{
	static const char *const good[] = {
		"deny .example.com made 2026-01-31T12:00:00Z until 2026-01-31T12:10:00Z uid 0\n",
		"allow *.example.com made 2026-01-31T12:00:00Z until never uid 4294967295\n",
	};
	static const char *const bad[] = {
		"",
		"deny",
		"drop a.test made 2026-01-31T12:00:00Z until never uid 0",
		"deny a..test made 2026-01-31T12:00:00Z until never uid 0",
		"deny a.test made yesterday until never uid 0",
		"deny a.test made 2026-01-31T12:00:00Zx until never uid 0",
		"deny a.test made 2026-13-31T12:00:00Z until never uid 0",
		"deny a.test made 2026-01-31T12:00:00Z til never uid 0",
		"deny a.test made 2026-01-31T12:00:00Z until never uid root",
		"deny a.test made 2026-01-31T12:00:00Z until never uid 0 0",
	};
	struct policy_change c = { .name = "!" };
	char line[CHANGE_TEXT], again[CHANGE_TEXT];

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		strcpy(line, good[i]);
		line[strcspn(line, "\n")] = '\0';
		CHECK(change_parse(line, &c) == 0);
		change_print(&c, again);
		CHECK_STR(again, good[i]);
	}
	c.name[0] = '!';
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		strcpy(line, bad[i]);
		CHECK(change_parse(line, &c) == -EINVAL && c.name[0] == '!');
	}
}

/* Every size of a line there can be fits. */
static void test_longest(void)
{
	struct policy_change c = {
		.kind = NAME_BELOW, .made = 253402300799, .until = 253402300799, .uid = UINT32_MAX
	};
	char line[CHANGE_TEXT];

	memset(c.name, 'a', NAME_MAX_LEN);
	change_print(&c, line);
	CHECK(line[strlen(line) - 1] == '\n');
}

static void test_file(void)
{
	struct policy_change at[2] = { { .kind = NAME_TREE,
					 .name = "example.com",
					 .deny = true,
					 .made = 1000,
					 .until = 2000,
					 .uid = 7 },
				       { .kind = NAME_HOST, .name = "a.test", .made = 1000 } };
	struct policy_change *got = NULL;
	struct stat st;
	size_t n = 9;

	CHECK(change_file_read("none", &got, &n, err, sizeof(err)) == 0 && n == 0);
	free(got);
	CHECK(change_file_write("kept", at, 2, err, sizeof(err)) == 0);
	CHECK(synced_files == 1 && synced_folders == 1);
	CHECK(stat("kept", &st) == 0 && (st.st_mode & 07777) == 0640 &&
	      access("kept.new", F_OK) != 0);
	CHECK(change_file_read("kept", &got, &n, err, sizeof(err)) == 0 && n == 2);
	CHECK(memcmp(got, at, sizeof(at)) == 0);
	free(got);
	CHECK(change_file_write("kept", at, 0, err, sizeof(err)) == 0);
	CHECK(change_file_read("kept", &got, &n, err, sizeof(err)) == 0 && n == 0);
	free(got);
	got = NULL;
	folder_text("kept", "deny a.test made 2026-01-31T12:00:00Z until never uid 0\nwhat\n");
	CHECK(change_file_read("kept", &got, &n, err, sizeof(err)) == -EINVAL && !got);
	CHECK_STR(err, "kept:2: not an entry as sluicectl allow and deny make them");
	CHECK(change_file_read(".", &got, &n, err, sizeof(err)) != 0 && !got);
	CHECK(change_file_write("no/such/folder", at, 2, err, sizeof(err)) == -ENOENT);
	CHECK(strstr(err, "cannot be written"));
}

static void test_too_many(void)
{
	struct policy_change *got = NULL;
	FILE *f = fopen("many", "w");
	size_t n = 0;

	for (int i = 0; f && i <= CHANGES_MAX; i++)
		fprintf(f, "deny n%d.test made 2026-01-31T12:00:00Z until never uid 0\n", i);
	if (f)
		fclose(f);
	CHECK(change_file_read("many", &got, &n, err, sizeof(err)) == -EINVAL && !got);
	CHECK_STR(err, "many:2049: too many entries");
}

int main(void)
{
	umask(022);
	folder_enter();
	RUN(test_names);
	RUN(test_lines);
	RUN(test_longest);
	RUN(test_file);
	RUN(test_too_many);
	folder_leave();
	TEST_DONE("test_change_file");
}
