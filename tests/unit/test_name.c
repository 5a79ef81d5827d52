// SPDX-License-Identifier: GPL-2.0-or-later
// One form for a name, and what is none.
#include "bpf/wire/name.h"
#include "tests/unit/test.h"

static int normalise(const char *in, size_t len, char *out, __u32 *numeric)
{
	struct rd r;
	__u8 name[NAME_BUF];
	__u32 n = 0;
	int rc;

	rd_init(&r, (const __u8 *)in, (__u32)len);
	rc = name_normalise(r, name, &n, numeric);
	memcpy(out, name, n);
	out[n] = 0;
	return rc;
}

static void good(const char *in, const char *want, __u32 want_numeric)
{
	char out[NAME_BUF + 1];
	__u32 numeric = 7;

	CHECK(normalise(in, strlen(in), out, &numeric) == PARSE_OK);
	CHECK_STR(out, want);
	CHECK(numeric == want_numeric);
}

static void bad_bytes(const char *in, size_t len)
{
	char out[NAME_BUF + 1];
	__u32 numeric = 7;

	CHECK(normalise(in, len, out, &numeric) == PARSE_BAD);
	CHECK(out[0] == 0 && numeric == 7);
}

static void bad(const char *in)
{
	bad_bytes(in, strlen(in));
}

static void every_byte(void)
{
	char name[] = "ax.b", out[NAME_BUF + 1];
	__u32 numeric;

	for (int c = 0; c < 256; c++) {
		int fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			   (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';

		name[1] = (char)c;
		CHECK((normalise(name, 4, out, &numeric) == PARSE_OK) == (fine && c != '.'));
	}
}

static void lengths(void)
{
	char name[400];

	for (size_t n = 1; n < 130; n++) {
		memset(name, 'a', n);
		name[n] = 0;
		if (n <= 63)
			good(name, name, 0);
		else
			bad(name);
	}
	for (size_t n = 240; n < 270; n++) {
		memset(name, 'a', n);
		for (size_t i = 50; i < n; i += 50)
			name[i] = '.';
		name[n] = 0;
		if (name[n - 1] == '.')
			continue;
		if (n <= 253)
			good(name, name, 0);
		else
			bad(name);
		strcpy(name + n, "."); /* the root does not count */
		if (n > 253)
			bad(name);
	}
}

static void good_names(void)
{
	good("example.com", "example.com", 0);
	good("EXAMPLE.Com.", "example.com", 0);
	good("a", "a", 0);
	good("_dmarc.a-b.x", "_dmarc.a-b.x", 0);
	good("xn--bcher-kva.example", "xn--bcher-kva.example", 0);
	good("1.2.3.4", "1.2.3.4", 1);
	good("1", "1", 1);
	good("a.7", "a.7", 1);
	good("1.2.3.4.", "1.2.3.4", 1);
	good("4.a", "4.a", 0);
	good("0x7f.0x1", "0x7f.0x1", 0);
}

static void bad_names(void)
{
	bad("");
	bad(".");
	bad("..");
	bad("a..");
	bad(".a");
	bad("a..b");
	bad("a b");
	bad("a\t");
	bad("a:443");
	bad("[::1]");
	bad("a/b");
	bad("*.a");
	bad("b\xc3\xbc"
	    "cher.example");
	bad_bytes("a\0b", 3);
	bad_bytes("a.com\0", 6);
}

int main(void)
{
	RUN(good_names);
	RUN(bad_names);
	RUN(every_byte);
	RUN(lengths);
	TEST_DONE("test_name");
}
