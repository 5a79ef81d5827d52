// SPDX-License-Identifier: GPL-2.0-or-later
// The ClientHello parser: what is refused, what is not there yet, and what may be a second hello.
#include "bpf/wire/hello.h"
#include "tests/unit/sample.h"
#include "tests/unit/test.h"

#define ROUNDS 3000

static int parse(const struct sample *s, struct hello *h)
{
	struct rd r;

	rd_init(&r, s->bytes, (__u32)s->len);
	return hello_parse(r, h);
}

/* A hello with these extensions (NULL: without a block), and suites, session and methods. */
static void build(struct sample *s, const void *exts, size_t exts_len, int session, int suites,
		  int methods)
{
	size_t record, message, vec;

	s->len = 0;
	sample_u8(s, 22);
	sample_u16(s, 0x0301);
	record = sample_vec(s, 2);
	sample_u8(s, 1);
	message = sample_vec(s, 3);
	sample_u16(s, 0x0303);
	sample_noise(s, 32);
	sample_u8(s, (uint32_t)session);
	sample_noise(s, (uint32_t)session);
	sample_u16(s, (uint32_t)suites);
	sample_noise(s, (uint32_t)suites);
	sample_u8(s, (uint32_t)methods);
	sample_noise(s, (uint32_t)methods);
	if (exts) {
		vec = sample_vec(s, 2);
		for (size_t i = 0; i < exts_len; i++)
			sample_u8(s, ((const uint8_t *)exts)[i]);
		sample_length(s, vec, 2);
	}
	sample_length(s, message, 3);
	sample_length(s, record, 2);
}

#define EXTS(text) text, sizeof(text) - 1
#define SNI_A "\0\0\0\x06\0\x04\0\0\1a"
#define V13 "\0\x2b\0\3\2\3\4"

static void want(int rc, const char *exts, size_t len)
{
	struct hello h = { .used = 77 };
	struct sample s;

	build(&s, exts, len, 32, 2, 1);
	CHECK(parse(&s, &h) == rc);
	CHECK(rc == PARSE_OK ? h.used == s.len : h.used == 77);
}

static void want_version(__u32 version, const char *exts, size_t len)
{
	struct hello h = { .used = 0 };
	struct sample s;

	build(&s, exts, len, 0, 2, 1);
	CHECK(parse(&s, &h) == PARSE_OK);
	CHECK(h.max_version == version);
}

static void extensions(void)
{
	want(PARSE_OK, NULL, 0);
	want(PARSE_OK, EXTS(""));
	want(PARSE_OK, EXTS(SNI_A));
	want(PARSE_OK, EXTS(SNI_A V13));
	want(PARSE_OK, EXTS(V13 SNI_A "\x12\x34\0\0"));
	want(PARSE_OK, EXTS("\x12\x34\0\0\x0a\x0a\0\1x" SNI_A));
	want(PARSE_BAD, EXTS(SNI_A SNI_A));
	want(PARSE_BAD, EXTS(V13 V13));
	want(PARSE_BAD, EXTS("\0\x10\0\0\0\x10\0\0"));
	want(PARSE_BAD, EXTS("\0\x3f\0\0\0\x3f\0\0"));
	want(PARSE_BAD, EXTS("\xff\x01\0\1\0\xff\x01\0\1\0"));
	want(PARSE_BAD, EXTS("\xfe\x0d\0\0\xfe\x0d\0\0"));
	want(PARSE_OK, EXTS(V13 "\0\x29\0\0"));
	want(PARSE_BAD, EXTS("\0\x29\0\0" V13)); /* pre_shared_key is last */
	want(PARSE_BAD, EXTS("\0\x0e\0\0"));	 /* use_srtp */
	want(PARSE_BAD, EXTS("\xfd\xe8\0\0"));
	want(PARSE_BAD, EXTS("\0"));
	want(PARSE_BAD, EXTS("\0\x10\0"));
	want(PARSE_BAD, EXTS("\0\x10\0\1"));
	want(PARSE_BAD, EXTS("\0\x10\xff\xff"));
}

static void server_names(void)
{
	want(PARSE_BAD, EXTS("\0\0\0\0"));			 /* empty extension */
	want(PARSE_BAD, EXTS("\0\0\0\2\0\0"));			 /* empty list */
	want(PARSE_BAD, EXTS("\0\0\0\5\0\3\0\0\0"));		 /* empty name */
	want(PARSE_BAD, EXTS("\0\0\0\6\0\4\1\0\1a"));		 /* another type */
	want(PARSE_BAD, EXTS("\0\0\0\x0a\0\x08\0\0\1a\0\0\1b")); /* two names */
	want(PARSE_BAD, EXTS("\0\0\0\x0a\0\x08\0\0\1a\1\0\1b")); /* and one of another type */
	want(PARSE_BAD, EXTS("\0\0\0\6\0\3\0\0\1a"));		 /* list too short */
	want(PARSE_BAD, EXTS("\0\0\0\6\0\5\0\0\1a"));		 /* list too long */
	want(PARSE_BAD, EXTS("\0\0\0\6\0\4\0\0\2a"));		 /* name too long */
	want(PARSE_BAD, EXTS("\0\0\0\7\0\4\0\0\1a\0"));		 /* rest behind the list */
}

static void versions(void)
{
	want_version(0x0303, NULL, 0);
	want_version(0x0303, EXTS(SNI_A));
	want_version(0x0304, EXTS(V13));
	want_version(0x0304, EXTS("\0\x2b\0\7\6\x0a\x0a\3\4\3\3"));
	want_version(0x0303, EXTS("\0\x2b\0\5\4\xfa\xfa\3\3"));
	want_version(0x0304, EXTS("\0\x2b\0\5\4\x7f\x1c\3\3"));
	want_version(0x0303, EXTS("\0\x2b\0\7\6\3\5\3\1\3\3"));
	want_version(0, EXTS("\0\x2b\0\3\2\x0a\x0a"));
	want(PARSE_BAD, EXTS("\0\x2b\0\0"));
	want(PARSE_BAD, EXTS("\0\x2b\0\1\0"));
	want(PARSE_BAD, EXTS("\0\x2b\0\2\1\3"));
	want(PARSE_BAD, EXTS("\0\x2b\0\4\3\3\4\3"));
	want(PARSE_BAD, EXTS("\0\x2b\0\4\2\3\4\3"));
}

static void legacy_version(__u32 legacy, int rc, __u32 max)
{
	struct hello h = { .max_version = 0 };
	struct sample s;

	build(&s, NULL, 0, 0, 2, 1);
	s.bytes[9] = (uint8_t)(legacy >> 8);
	s.bytes[10] = (uint8_t)legacy;
	CHECK(parse(&s, &h) == rc && h.max_version == max);
}

static void fixed_parts(void)
{
	static const struct {
		int session, suites, methods, rc;
	} parts[] = {
		{ 0, 2, 1, PARSE_OK },	 { 32, 2, 1, PARSE_OK },  { 33, 2, 1, PARSE_BAD },
		{ 0, 0, 1, PARSE_BAD },	 { 0, 3, 1, PARSE_BAD },  { 0, 2, 0, PARSE_BAD },
		{ 0, 400, 1, PARSE_OK }, { 0, 2, 255, PARSE_OK },
	};
	struct hello h;
	struct sample s;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		build(&s, EXTS(SNI_A), parts[i].session, parts[i].suites, parts[i].methods);
		CHECK(parse(&s, &h) == parts[i].rc);
	}
	legacy_version(0x0300, PARSE_OK, 0x0300);
	legacy_version(0x0301, PARSE_OK, 0x0301);
	legacy_version(0x0304, PARSE_OK, 0x0303);
	legacy_version(0x0403, PARSE_OK, 0x0303);
	legacy_version(0x0203, PARSE_BAD, 0);
	build(&s, EXTS("x"), 0, 2, 1); /* an extensions block of one byte */
	s.len--;
	CHECK(parse(&s, &h) == PARSE_MORE);
}

/* One byte of a good hello set to a value. */
static void changed(size_t at, int value, int rc)
{
	struct hello h = { .used = 77 };
	struct sample s;

	build(&s, EXTS(SNI_A), 32, 2, 1);
	s.bytes[at] = (uint8_t)(value < 0 ? s.bytes[at] - value - 1 : value);
	CHECK(parse(&s, &h) == rc);
	CHECK(rc == PARSE_OK || h.used == 77);
}

static void framing(void)
{
	changed(0, 23, PARSE_BAD);
	changed(0, 0x80, PARSE_BAD);
	changed(1, 2, PARSE_BAD);
	changed(1, 0xfe, PARSE_BAD); /* DTLS */
	changed(2, 9, PARSE_OK);
	changed(3, 0x40, PARSE_BAD); /* record too long, or longer than the hello */
	changed(3, 0x3f, PARSE_BAD);
	changed(4, 0, PARSE_BAD); /* hello then ends inside: more, but length 0 is bad */
	changed(4, 3, PARSE_MORE);
	changed(4, -3, PARSE_BAD); /* record longer than the hello */
	changed(5, 2, PARSE_BAD);
	changed(6, 1, PARSE_BAD);  /* body of more than 65536 */
	changed(7, 1, PARSE_MORE); /* goes on in the next record */
	changed(8, -3, PARSE_MORE);
	changed(8, 0, PARSE_BAD);
}

/* Every prefix of a good hello is MORE and leaves the output alone; bytes behind do not matter. */
static void prefixes(const struct sample *s, const struct hello *good)
{
	struct hello h, was;
	struct sample cut = *s;

	memset(&was, 0x5a, sizeof(was));
	for (cut.len = 0; cut.len < good->used; cut.len++) {
		h = was;
		CHECK(parse(&cut, &h) == PARSE_MORE);
		CHECK(memcmp(&h, &was, sizeof(h)) == 0);
	}
	cut.len = good->used;
	sample_noise(&cut, 10);
	CHECK(parse(&cut, &h) == PARSE_OK && h.used == good->used);
}

/* hello_message() agrees, and takes nothing but the whole. */
static void message(const struct sample *s, const struct hello *good)
{
	struct hello h = { .used = 0 };
	struct rd r;

	rd_init(&r, s->bytes + 5, good->used - 5);
	CHECK(hello_message(r, &h) == PARSE_OK && h.used == good->used - 5);
	CHECK(h.max_version == good->max_version && h.has_name == good->has_name);
	CHECK(!h.has_name ||
	      (rd_left(&h.name) == rd_left(&good->name) && h.name.off + 5 == good->name.off));
	r.end--;
	CHECK(hello_message(r, &h) == PARSE_BAD);
}

static void many(void)
{
	struct samples corpus = sample_folder("hello");
	static struct sample s;
	struct hello h;
	unsigned good = 0;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		sample_any(&s, &corpus, i, sample_hello);
		if (parse(&s, &h) != PARSE_OK)
			continue;
		good++;
		prefixes(&s, &h);
		message(&s, &h);
	}
	CHECK(good > ROUNDS / 5);
	free(corpus.at);
}

int main(void)
{
	RUN(extensions);
	RUN(server_names);
	RUN(versions);
	RUN(fixed_parts);
	RUN(framing);
	RUN(many);
	TEST_DONE("test_hello");
}
