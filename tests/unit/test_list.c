// SPDX-License-Identifier: GPL-2.0-or-later
// Name lists in each of the forms that are read, what is wrong with the others, and that a
// large one loads in no time. With a number as argument: time that many names.
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "conf/conf.h"
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
	check_good("\xef\xbb\xbf" "a.example\r\n\r\nb.example\r\n", "1:a.example 3:b.example ");
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
	{ "||ads.example^\n", "l:1: '||ads.example^' is not a host name" },
	{ "http://a.example/x\n",
	  "l:1: 'http://a.example/x' is neither a name, an address nor a network" },
	{ "a.example:443\n", "l:1: 'a.example:443' is neither a name, an address nor a network" },
	{ "a.example, b.example\n", "l:1: more than one name on the line" },
	{ "a.example,b.example\n", "l:1: 'a.example,b.example' is not a host name" },
	{ "; a comment elsewhere\n", "l:1: more than one name on the line" },
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

static void test_unreadable(void)
{
	folder_text("c.ini", "[listener a]\naddress = 127.0.0.1:3129\n[rule r]\nallow = a.example,\n"
			     " file:d\n");
	mkdir("d", 0700);
	CHECK(!conf_read("c.ini", err, sizeof(err)));
	CHECK_STR(err, "c.ini:5: cannot read 'd': Is a directory");
	rmdir("d");
	mkfifo("d", 0600);
	CHECK(!conf_read("c.ini", err, sizeof(err)));
	CHECK_STR(err, "c.ini:5: cannot read 'd': not a regular file");
	unlink("d");
	folder_text("d", "x");
	chmod("d", 0);
	if (geteuid() != 0) {
		CHECK(!conf_read("c.ini", err, sizeof(err)));
		CHECK_STR(err, "c.ini:5: cannot read 'd': Permission denied");
	}
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

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void test_large(size_t n)
{
	FILE *f = fopen("l", "w");
	struct conf *c;
	double start;

	for (size_t i = 0; f && i < n; i++)
		fprintf(f, "%s%zx.host-%zu.example\n", i % 3 ? "" : "0.0.0.0 ", i * 2654435761u % n,
			i);
	if (f)
		fclose(f);
	folder_text("c.ini", "[listener a]\naddress = 127.0.0.1:3129\n[rule r]\ndeny = file:l\n");
	start = now();
	c = conf_read("c.ini", err, sizeof(err));
	printf("test_list: %zu names read in %.0f ms\n", n, (now() - start) * 1e3);
	CHECK(now() - start < 10);
	CHECK(c && c->rules[0].n_names == n);
	conf_free(c);
}

int main(int argc, char **argv)
{
	folder_enter();
	test_forms();
	test_hosts();
	test_bad();
	test_unreadable();
	test_place();
	test_large(argc > 1 ? strtoul(argv[1], NULL, 10) : 100000);
	folder_leave();
	TEST_DONE("test_list");
}
