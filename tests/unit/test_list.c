// SPDX-License-Identifier: GPL-2.0-or-later
// Name lists in each of the forms that are read, what is wrong with the others, files that are
// not there or do not stay what they are, and that a large list loads in no time and takes no
// more than its share. With arguments: times these lists (tests/net/lists.py makes them).
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "conf/conf.h"
#include "conf/ini.h"
#include "conf/lines.h"
#include "tests/unit/folder.h"
#include "tests/unit/test.h"

static char err[1024];

static struct conf *read_list(const void *bytes, size_t len)
{
	folder_text("c.ini", "[listener a]\naddress = 127.0.0.1:3129\n[rule r]\ndeny = file:l\n");
	folder_write("l", bytes, len);
	return conf_read("c.ini", err, sizeof(err));
}

/* What the rule holds, as text: names with their prefix, then networks; each with its line. */
static void check_good(const char *list, const char *want)
{
	static const char *const prefix[] = { "", ".", "*." };
	struct conf *c = read_list(list, strlen(list));
	char got[4096] = "", net[64];
	size_t n = 0;

	CHECK_STR(err, "");
	if (!c)
		return;
	for (size_t i = 0; i < c->rules[0].n_names; i++) {
		const struct conf_name *e = &c->rules[0].names[i];

		CHECK(e->deny && e->source == 1);
		n += (size_t)snprintf(got + n, sizeof(got) - n, "%u:%s%s ", e->line,
				      prefix[e->kind], c->text + e->text);
	}
	for (size_t i = 0; i < c->rules[0].n_nets; i++) {
		const struct conf_net *e = &c->rules[0].nets[i];

		CHECK(e->deny && e->source == 1);
		cidr_print(&e->cidr, net, sizeof(net));
		n += (size_t)snprintf(got + n, sizeof(got) - n, "%u:%s ", e->line, net);
	}
	CHECK_STR(got, want);
	conf_free(c);
}

static void test_forms(void)
{
	check_good("", "");
	check_good("\n\n# nothing\n  \t \n#", "");
	check_good("a.example\nB.Example.\n", "1:a.example 2:b.example ");
	check_good("a.example", "1:a.example ");
	check_good("\xef\xbb\xbf"
		   "a.example\r\n\r\nb.example\r\n",
		   "1:a.example 3:b.example ");
	check_good("\xef\xbb\xbf", "");
	check_good("  a.example  # the first\n\tb.example\t#\nc.example#x\n",
		   "1:a.example 2:b.example 3:c.example ");
	check_good(".a.example\n*.b.example\n_x-1.example\nlocalhost\n",
		   "1:.a.example 2:*.b.example 3:_x-1.example 4:localhost ");
	check_good("192.0.2.0/24\n192.0.2.1\n2001:db8::/32\n::1\n0.0.0.0/0\n",
		   "1:192.0.2.0/24 2:192.0.2.1 3:2001:db8::/32 4:::1 5:0.0.0.0/0 ");
	check_good("0.0.0.0\n::\n", "");
	/* the same name twice is no error */
	check_good("a.example\na.example\n", "1:a.example 2:a.example ");
}

static void test_hosts(void)
{
	check_good("# hosts\n"
		   "127.0.0.1 localhost\n"
		   "127.0.0.1 localhost.localdomain\n"
		   "127.0.0.1 local\n"
		   "255.255.255.255 broadcasthost\n"
		   "::1 localhost ip6-localhost ip6-loopback\n"
		   "fe80::1%lo0 localhost\n"
		   "ff02::1 ip6-allnodes\n"
		   "0.0.0.0 0.0.0.0\n"
		   "0.0.0.0 ads.example track.example # two\n"
		   "127.0.0.1\tTracker.Example\r\n"
		   ":: six.example\n"
		   "0.0.0.0   \t \n",
		   "10:ads.example 10:track.example 11:tracker.example 12:six.example ");
	/* begins as the names of a hosts file do, and is somebody's */
	check_good("0.0.0.0 ip6-ads.example IP6-allnodes\n", "1:ip6-ads.example ");
}

static void check_bad(const void *bytes, size_t len, const char *want)
{
	struct conf *c = read_list(bytes, len);

	CHECK(!c);
	CHECK_STR(err, want);
	conf_free(c);
}

static const struct {
	const char *list, *err;
} bad[] = {
	{ "a\nb c\n", "l:2: more than one name on the line" },
	{ "a..b\n", "l:1: 'a..b' is not a host name" },
	{ "\n\n-\n.\n", "l:4: '.' is not a host name" },
	{ "a.example:443\n", "l:1: 'a.example:443' is neither a name, an address nor a network" },
	{ "a.example, b.example\n", "l:1: more than one name on the line" },
	{ "a.example,b.example\n", "l:1: 'a.example,b.example' is not a host name" },
	{ "; a comment elsewhere\n", "l:1: more than one name on the line; comments begin with #" },
	{ ";\n", "l:1: ';' is not a host name; comments begin with #" },
	{ "file:other\n", "l:1: a list cannot name another list" },
	{ "1.2.3\n", "l:1: '1.2.3' is neither a name nor an address" },
	{ "192.0.2.1/24\n", "l:1: '192.0.2.1/24' has bits beyond its prefix; did you mean "
			    "192.0.2.0/24?" },
	{ "0.0.0.0 a.example b..c\n", "l:1: 'b..c' is not a host name" },
	{ "0.0.0.0/0 a.example\n", "l:1: more than one name on the line" },
	{ "a.*.example\n", "l:1: 'a.*.example': a wildcard stands only for whole labels at the "
			   "start, as in *.example.com" },
	{ "\xc3\xbc.example\n",
	  "l:1: '??.example' is not ASCII: give the name in A-label form (xn--...)" },
	{ "a\x1b[2J.example\n", "l:1: 'a?[2J.example' is not a host name" },
	{ "0123456789012345678901234567890123456789012345678901234567890123.example\n",
	  "l:1: '0123456789012345678901234567890123456789012345678901234567890123.example' is not "
	  "a host name" },
};

static void test_bad(void)
{
	static char longest[70000];
	struct conf *c;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_bad(bad[i].list, strlen(bad[i].list), bad[i].err);
	check_bad("a\nb\0c\n", 6, "l:2: the line has a NUL byte");
	memset(longest, 'a', sizeof(longest));
	check_bad(longest, sizeof(longest), "l:1: the line is longer than 65535 bytes");
	longest[0] = '\n';
	longest[60000] = '\n';
	CHECK(!read_list(longest, 60002));
	CHECK(strncmp(err, "l:2: 'aaaa", 10) == 0 && strlen(err) == sizeof(err) - 1);
	/* as long as a line may be, and one more */
	memset(longest, '#', sizeof(longest));
	longest[65535] = '\n';
	c = read_list(longest, 65536);
	CHECK(c != NULL);
	conf_free(c);
	longest[65535] = '#';
	check_bad(longest, 65536, "l:1: the line is longer than 65535 bytes");
}

/* What others publish. The hint stands behind what is wrong with the line. */
static const struct {
	const char *list, *is;
} foreign[] = {
	{ "||ads.example^\n", "an AdBlock filter list" },
	{ "! Title: x\n", "an AdBlock filter list" },
	{ "[Adblock Plus 2.0]\n", "an AdBlock filter list" },
	{ "@@||ads.example^\n", "an AdBlock filter list" },
	{ "ads.example##.banner\n", "an AdBlock filter list" },
	{ "ads.example#@#.banner\n", "an AdBlock filter list" },
	{ "address=/ads.example/\n", "a dnsmasq configuration" },
	{ "local=/ads.example/\n", "a dnsmasq configuration" },
	{ "server=/ads.example/\n", "a dnsmasq configuration" },
	{ "server:\n", "an unbound configuration" },
	{ "local-zone: \"ads.example\" always_nxdomain\n", "an unbound configuration" },
	{ "$TTL 60\n", "a DNS zone (RPZ)" },
	{ "@ IN SOA localhost. root.localhost. 1 2 3 4 5\n", "a DNS zone (RPZ)" },
	{ "ads.example CNAME .\n", "a DNS zone (RPZ)" },
	{ "*.ads.example\t60 in cname .\n", "a DNS zone (RPZ)" },
	{ "http://ads.example/x\n", "a list of URLs" },
	{ "(^|\\.)ads[0-9]\n", "a list of regular expressions" },
	{ "/ads[0-9]/\n", "a list of regular expressions" },
	{ "<!DOCTYPE html>\n", "an HTML page" },
};

static void test_foreign(void)
{
	char hint[128];

	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		snprintf(hint, sizeof(hint), "; the file looks like %s, which is not read",
			 foreign[i].is);
		CHECK(!read_list(foreign[i].list, strlen(foreign[i].list)));
		CHECK(strncmp(err, "l:1: ", 5) == 0 && strstr(err, hint));
		if (!strstr(err, hint))
			fprintf(stderr, "%s\n", err);
	}
	check_good("a.example # # not that\n## nor that\n", "1:a.example ");
}

static void check_refused(const char *want)
{
	CHECK(!conf_read("c.ini", err, sizeof(err)));
	CHECK_STR(err, want);
}

static void make_socket(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(un.sun_path, path);
	CHECK(bind(fd, (struct sockaddr *)&un, sizeof(un)) == 0);
	close(fd);
}

static void test_unreadable(void)
{
	folder_text("c.ini",
		    "[listener a]\naddress = 127.0.0.1:3129\n[rule r]\nallow = a.example,\n"
		    " file:d\n");
	mkdir("d", 0700);
	check_refused("c.ini:5: cannot read 'd': Is a directory");
	rmdir("d");
	mkfifo("d", 0600);
	check_refused("c.ini:5: cannot read 'd': not a regular file");
	unlink("d");
	folder_text("d", "x");
	chmod("d", 0);
	if (geteuid() != 0)
		check_refused("c.ini:5: cannot read 'd': Permission denied");
	unlink("d");
	check_refused("c.ini:5: cannot read 'd': No such file or directory");
	CHECK(symlink("nowhere", "d") == 0);
	check_refused("c.ini:5: cannot read 'd': No such file or directory");
	unlink("d");
	CHECK(symlink("d", "d") == 0);
	check_refused("c.ini:5: cannot read 'd': Too many levels of symbolic links");
	unlink("d");
	CHECK(symlink("/dev/zero", "d") == 0);
	check_refused("c.ini:5: cannot read 'd': not a regular file");
	unlink("d");
	make_socket("d");
	check_refused("c.ini:5: cannot read 'd': not a regular file");
	unlink("d");
	/* a file that can be opened, and whose first byte cannot be read */
	CHECK(symlink("/proc/self/mem", "d") == 0);
	check_refused("d: cannot read it: Input/output error");
	unlink("d");
}

/* The place of an error after a list is the INI file's again. */
static void test_place(void)
{
	folder_text("c.ini", "[listener a]\naddress = 127.0.0.1:3129\n[rule r]\n"
			     "allow = file:l, file:l, x..y\n");
	folder_text("l", "a.example\nb.example\n");
	CHECK(!conf_read("c.ini", err, sizeof(err)));
	CHECK_STR(err, "c.ini:4: 'x..y' is not a host name");
}

/* A list without entries is what a download that failed may leave. */
static void test_empty(void)
{
	struct conf *c;

	folder_text("c.ini", "[listener a]\naddress = 127.0.0.1:3129\n[rule r]\n"
			     "allow = file:l, a.example\ndeny = file:m\n");
	folder_text("l", "# nothing\n127.0.0.1 localhost\n");
	folder_text("m", "192.0.2.1\n");
	c = conf_read("c.ini", err, sizeof(err));
	CHECK_STR(err, "");
	CHECK(c && c->warnings.n == 1);
	if (c && c->warnings.n == 1)
		CHECK_STR(c->warnings.at[0], "c.ini:4: the list 'l' has no entries");
	conf_free(c);
}

/* ---- what happens while it is read ---- */

#define LONG_LIST 150000 /* lines: the reading of it is told of twice */

struct meddling {
	void (*with)(void);
	unsigned calls, percent;
	uint64_t names;
};

static void meddle(void *ctx, const char *file, uint64_t names, unsigned percent)
{
	struct meddling *m = ctx;

	CHECK_STR(file, "l");
	CHECK(percent > m->percent && percent < 100 && names > m->names);
	m->percent = percent;
	m->names = names;
	if (m->calls++ == 0 && m->with)
		m->with();
}

static void append(void)
{
	FILE *f = fopen("l", "a");

	CHECK(f && fputs("x.example\n", f) >= 0 && fclose(f) == 0);
}

/* As long as it was. */
static void write_over(void)
{
	int fd = open("l", O_WRONLY);

	CHECK(pwrite(fd, "y", 1, 0) == 1);
	close(fd);
}

static void cut(void)
{
	CHECK(truncate("l", 100) == 0);
}

static void replace(void)
{
	folder_text("new", "x.example\n");
	CHECK(rename("new", "l") == 0);
}

static void take_away(void)
{
	CHECK(unlink("l") == 0);
}

static void change_ini(void)
{
	FILE *f = fopen("c.ini", "a");

	CHECK(f && fputs("# more\n", f) >= 0 && fclose(f) == 0);
}

static void check_meddled(void (*with)(void), const char *want)
{
	struct timespec long_ago[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	struct meddling m = { .with = with };
	struct conf_progress progress = { .fn = meddle, .ctx = &m };
	FILE *f = fopen("l", "w");
	struct conf *c;

	for (int i = 0; f && i < LONG_LIST; i++)
		fprintf(f, "%d.host.example\n", i);
	CHECK(f && fclose(f) == 0);
	/* the clock of the file system may stand still for some milliseconds */
	CHECK(utimensat(AT_FDCWD, "l", long_ago, 0) == 0);
	folder_text("c.ini", "[listener a]\naddress = 127.0.0.1:3129\n[rule r]\ndeny = file:l\n");
	c = conf_read_shown("c.ini", &progress, err, sizeof(err));
	CHECK_STR(err, want);
	CHECK(!c == (*want != '\0'));
	CHECK(m.calls == LONG_LIST / CONF_PROGRESS_LINES || *want);
	conf_free(c);
}

static void test_meddled(void)
{
	check_meddled(NULL, "");
	check_meddled(append, "l: changed while it was read");
	check_meddled(write_over, "l: changed while it was read");
	check_meddled(cut, "l: changed while it was read");
	check_meddled(replace, "l: was replaced or removed while it was read");
	check_meddled(take_away, "l: was replaced or removed while it was read");
	check_meddled(change_ini, "c.ini: changed while it was read");
}

static void change_other(void)
{
	folder_text("s", "b.example\nc.example\n");
}

/* Read for two rules, and changed in between. */
static void test_twice(void)
{
	struct meddling m = { .with = change_other };
	struct conf_progress progress = { .fn = meddle, .ctx = &m };

	check_meddled(NULL, "");
	folder_text("s", "a.example\n");
	folder_text("c.ini", "[listener a]\naddress = 127.0.0.1:3129\n[rule r]\n"
			     "deny = file:s, file:l, file:s\n");
	CHECK(!conf_read_shown("c.ini", &progress, err, sizeof(err)));
	CHECK_STR(err, "s: changed while it was read");
}

static void test_current(void)
{
	struct conf *c = read_list("a.example\n", 10);

	CHECK(c && conf_is_current(c));
	append();
	CHECK(c && !conf_is_current(c));
	conf_free(c);
	c = read_list("a.example\n", 10);
	take_away();
	CHECK(c && !conf_is_current(c));
	conf_free(c);
	c = read_list("a.example\n", 10);
	change_ini();
	CHECK(c && !conf_is_current(c));
	conf_free(c);
}

/* ---- lines over the ends of blocks ---- */

#define BLOCK_LINES 3000

/* Line i: its bytes into `line`, and how many. */
static size_t make_line(char *line, unsigned i)
{
	size_t n = i % 100 == 0 ? LINES_MAX - i / 100 : i * 7919u % 700;

	memset(line, 'a' + (int)(i % 26), n);
	return n;
}

static void test_blocks(void)
{
	static char line[LINES_MAX];
	FILE *f = fopen("l", "w");
	struct lines l;
	unsigned i;

	for (i = 0; f && i < BLOCK_LINES; i++) {
		size_t n = make_line(line, i);

		fwrite(line, 1, n, f);
		/* of the longest, the CR would be one too many */
		fputs(i % 3 || n == LINES_MAX ? "\n" : "\r\n", f);
	}
	CHECK(f && fclose(f) == 0);
	CHECK(lines_open(&l, "l", true) == 0);
	for (i = 0; lines_next(&l) == 1; i++) {
		size_t n = make_line(line, i);

		CHECK(l.number == i + 1 && l.len == n && memcmp(l.text, line, n) == 0 &&
		      l.text[n] == '\0');
	}
	CHECK(i == BLOCK_LINES && lines_next(&l) == 0 && lines_percent(&l) == 100);
	lines_close(&l);
}

/* A FIFO gives as little at a time as it likes. */
static void test_drips(void)
{
	static const char text[] = "\xef\xbb\xbf"
				   "one\r\n\ntwo";
	static const char *const want[] = { "one", "", "two" };
	char path[64];
	struct lines l;
	int fds[2], status;
	pid_t child;

	CHECK(pipe(fds) == 0);
	child = fork();
	if (child == 0) {
		for (const char *p = text; *p; p++)
			if (write(fds[1], p, 1) != 1)
				_exit(1);
		_exit(0);
	}
	close(fds[1]);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[0]);
	CHECK(lines_open(&l, path, true) == -ENOTSUP);
	CHECK(lines_open(&l, path, false) == 0);
	for (unsigned i = 0; i < 3; i++) {
		CHECK(lines_next(&l) == 1);
		CHECK_STR(l.text, want[i]);
	}
	CHECK(lines_next(&l) == 0);
	lines_close(&l);
	close(fds[0]);
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void test_last_line(void)
{
	struct lines l;

	folder_text("l", "a\nb\n");
	CHECK(lines_open(&l, "l", true) == 0);
	l.number = UINT32_MAX - 1;
	CHECK(lines_next(&l) == 1 && l.number == UINT32_MAX);
	CHECK(lines_next(&l) == -EOVERFLOW);
	CHECK_STR(lines_error(-EOVERFLOW), "more than 4294967295 lines");
	lines_close(&l);
}

/* ---- large ones ---- */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void check_large(const char *path, size_t n)
{
	char ini[512];
	struct conf *c;
	double start;
	size_t bytes;

	snprintf(ini, sizeof(ini),
		 "[listener a]\naddress = 127.0.0.1:3129\n[rule r]\ndeny = file:%s\n", path);
	folder_text("c.ini", ini);
	start = now();
	c = conf_read("c.ini", err, sizeof(err));
	start = now() - start;
	CHECK_STR(err, "");
	CHECK(start < 10);
	if (!c)
		return;
	n = n ?: c->rules[0].n_names;
	CHECK(c->rules[0].n_names == n);
	bytes = malloc_usable_size(c->text) + malloc_usable_size(c->rules[0].names);
	/* a name, its NUL and twelve bytes; blocks of this size are whole pages */
	CHECK(sizeof(struct conf_name) == 12 && bytes < c->text_len + n * 12 + 4 * 4096);
	printf("# test_list: %zu names read in %.0f ms, %.1f bytes a name\n", n, start * 1e3,
	       (double)bytes / (double)n);
	conf_free(c);
}

static void test_large(size_t n)
{
	FILE *f = fopen("l", "w");

	for (size_t i = 0; f && i < n; i++)
		fprintf(f, "%s%zx.host-%zu.example\n", i % 3 ? "" : "0.0.0.0 ", i * 2654435761u % n,
			i);
	CHECK(f && fclose(f) == 0);
	check_large("l", n);
	/* one name over and over costs what others do: nothing is searched */
	f = fopen("l", "w");
	for (size_t i = 0; f && i < n * 10; i++)
		fputs("the.same.example\n", f);
	CHECK(f && fclose(f) == 0);
	check_large("l", n * 10);
}

int main(int argc, char **argv)
{
	folder_enter();
	RUN(test_forms);
	RUN(test_hosts);
	RUN(test_bad);
	RUN(test_foreign);
	RUN(test_unreadable);
	RUN(test_place);
	RUN(test_empty);
	RUN(test_meddled);
	RUN(test_twice);
	RUN(test_current);
	RUN(test_blocks);
	RUN(test_drips);
	RUN(test_last_line);
	if (argc < 2)
		RUN(test_large, 100000);
	for (int i = 1; i < argc; i++)
		check_large(argv[i], 0);
	folder_leave();
	TEST_DONE("test_list");
}
