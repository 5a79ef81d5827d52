// SPDX-License-Identifier: GPL-2.0-or-later
// What a server's first answer is, and what a client may say behind its hello by then. Each stream
// in all pairs of pieces.
#include "bpf/wire/retry.h"

#include "tests/unit/test.h"

#define TEXT(text) text, sizeof(text) - 1

static struct rd reader(const void *bytes, size_t len)
{
	struct rd r;

	rd_init(&r, bytes, (__u32)len);
	return r;
}

/* ---- the server ---- */

static void answers(unsigned word, int between, const char *bytes, size_t len)
{
	for (size_t cut = 0; cut <= len; cut++) {
		struct tls_answer a = { 0 };

		tls_answer_feed(&a, reader(bytes, cut));
		tls_answer_feed(&a, reader(bytes + cut, len - cut));
		CHECK(a.word == word);
		CHECK(word == TLS_ANSWER_FINAL || tls_answer_between(&a) == between);
	}
}

#define RANDOM                                                                                     \
	"\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91"                         \
	"\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"
#define SERVER_HELLO "\x16\3\3\0\x2a\2\0\0\x26\3\3"
#define RETRY SERVER_HELLO RANDOM "\0\x13\2\0"
#define CCS "\x14\3\3\0\1\1"
#define WARNING "\x15\3\1\0\2\1\x70"
#define HELLO_REQUEST "\x16\3\3\0\4\0\0\0\0"
#define OTHER_RANDOM "this is the random of a server.."

static void retries(void)
{
	answers(TLS_ANSWER_UNKNOWN, 1, TEXT(""));
	answers(TLS_ANSWER_RETRY, 1, TEXT(RETRY));
	answers(TLS_ANSWER_RETRY, 1, TEXT(RETRY CCS));
	answers(TLS_ANSWER_RETRY, 0, TEXT(RETRY "\x14\3\3"));
	answers(TLS_ANSWER_RETRY, 0, TEXT(RETRY "no record, and nothing is known from here"));
	answers(TLS_ANSWER_RETRY, 1, TEXT(WARNING WARNING RETRY));
	answers(TLS_ANSWER_RETRY, 1, TEXT(HELLO_REQUEST RETRY));
	answers(TLS_ANSWER_RETRY, 1, TEXT(CCS RETRY));
	answers(TLS_ANSWER_RETRY, 1, TEXT("\x16\3\3\0\0" RETRY));
	/* in records of its own: the type, the head, each half of the random */
	answers(TLS_ANSWER_RETRY, 0,
		TEXT("\x16\3\3\0\1\2"
		     "\x16\3\3\0\5\0\0\x26\3\3"
		     "\x16\3\3\0\x24" RANDOM "\0\x13\2"));
	/* one byte short of it */
	answers(TLS_ANSWER_UNKNOWN, 0, SERVER_HELLO RANDOM, sizeof(SERVER_HELLO RANDOM) - 2);
	answers(TLS_ANSWER_UNKNOWN, 1, TEXT(WARNING));
	answers(TLS_ANSWER_UNKNOWN, 0, TEXT("\x16\3\3"));
}

static void finals(void)
{
	char near[] = RETRY;

	answers(TLS_ANSWER_FINAL, 0, TEXT(SERVER_HELLO OTHER_RANDOM "\0\x13\2\0"));
	answers(TLS_ANSWER_FINAL, 0, TEXT(WARNING SERVER_HELLO OTHER_RANDOM "\0\x13\2\0"));
	answers(TLS_ANSWER_FINAL, 0, TEXT("HTTP/1.1 400 Bad Request\r\n"));
	answers(TLS_ANSWER_FINAL, 0, TEXT("220 mail.example.com\r\n"));
	answers(TLS_ANSWER_FINAL, 0, TEXT("\x17\3\3\0\1x"));
	answers(TLS_ANSWER_FINAL, 0, TEXT("\x16\2\0\0\1\2"));
	answers(TLS_ANSWER_FINAL, 0, TEXT("\x16\3\3\x41\1"));
	answers(TLS_ANSWER_FINAL, 0, TEXT("\x16\3\3\0\x2a\1\0\0\x26\3\3"));
	answers(TLS_ANSWER_FINAL, 0, TEXT("\x16\3\3\0\4\0\0\0\1"));
	for (unsigned i = 0; i < HELLO_RANDOM_LEN; i++) {
		near[sizeof(SERVER_HELLO) - 1 + i] ^= 1;
		answers(TLS_ANSWER_FINAL, 0, near, sizeof(near) - 1);
		near[sizeof(SERVER_HELLO) - 1 + i] ^= 1;
	}
}

/* ---- the client ---- */

/* What stops it in the end, and how many bytes have passed by then. */
static void follows(int said, size_t passed, unsigned word, const char *bytes, size_t len)
{
	for (size_t cut = 1; cut <= len; cut++) {
		struct tls_follow f = { 0 };
		int got = TLS_FOLLOW_PASS;
		size_t off = 0;

		for (size_t have = cut; have <= len; have += have < len ? len - have : 1) {
			if (got == TLS_FOLLOW_MORE)
				got = TLS_FOLLOW_PASS;
			while (off < have && got == TLS_FOLLOW_PASS) {
				__u32 n = 0;

				got = tls_follow(&f, reader(bytes + off, have - off), word, &n);
				off += n;
			}
		}
		CHECK(got == said && off == passed);
	}
}

#define DATA "\x17\3\3\0\4data"
#define HELLO "\x16\3\1\0\x0a\1\0\0\6\4\3zzzz"
#define TAKEN(text) (sizeof(text) - 1)

static void before_the_answer(void)
{
	follows(TLS_FOLLOW_PASS, TAKEN(DATA), TLS_ANSWER_UNKNOWN, TEXT(DATA));
	follows(TLS_FOLLOW_PASS, TAKEN(CCS DATA WARNING), TLS_ANSWER_UNKNOWN,
		TEXT(CCS DATA WARNING));
	follows(TLS_FOLLOW_WAIT, 0, TLS_ANSWER_UNKNOWN, TEXT(HELLO));
	follows(TLS_FOLLOW_WAIT, TAKEN(CCS), TLS_ANSWER_UNKNOWN, TEXT(CCS HELLO));
	follows(TLS_FOLLOW_WAIT, TAKEN(DATA CCS), TLS_ANSWER_UNKNOWN, TEXT(DATA CCS HELLO));
	follows(TLS_FOLLOW_MORE, TAKEN(CCS), TLS_ANSWER_UNKNOWN, TEXT(CCS "\x17\3\3\0"));
	follows(TLS_FOLLOW_BAD, 0, TLS_ANSWER_UNKNOWN, TEXT("GET / HTTP/1.1\r\n"));
	follows(TLS_FOLLOW_BAD, TAKEN(CCS), TLS_ANSWER_UNKNOWN, TEXT(CCS "\x18\3\3\0\1x"));
	follows(TLS_FOLLOW_PASS, 5, TLS_ANSWER_UNKNOWN, TEXT("\x17\3\3\0\0"));
	/* OpenSSL takes empty records, and would act on what is behind one */
	follows(TLS_FOLLOW_WAIT, TAKEN(DATA) + 5, TLS_ANSWER_UNKNOWN,
		TEXT(DATA "\x17\3\3\0\0" HELLO));
	follows(TLS_FOLLOW_BAD, 0, TLS_ANSWER_UNKNOWN, TEXT("\x17\3\3\x41\1"));
	/* a client that only began like TLS */
	follows(TLS_FOLLOW_WAIT, TAKEN(DATA), TLS_ANSWER_UNKNOWN, TEXT(DATA "junk" HELLO));
}

static void after_a_retry(void)
{
	follows(TLS_FOLLOW_HELLO, 0, TLS_ANSWER_RETRY, TEXT(HELLO));
	follows(TLS_FOLLOW_HELLO, TAKEN(DATA), TLS_ANSWER_RETRY, TEXT(DATA HELLO));
	follows(TLS_FOLLOW_HELLO, TAKEN(DATA CCS CCS WARNING), TLS_ANSWER_RETRY,
		TEXT(DATA CCS CCS WARNING HELLO));
	follows(TLS_FOLLOW_BAD, TAKEN(DATA), TLS_ANSWER_RETRY, TEXT(DATA "junk"));
	follows(TLS_FOLLOW_BAD, TAKEN(DATA), TLS_ANSWER_RETRY, TEXT(DATA "\x17\2\3\0\1x"));
}

static void after_any_other(void)
{
	follows(TLS_FOLLOW_OPAQUE, 0, TLS_ANSWER_FINAL, TEXT(HELLO));
	follows(TLS_FOLLOW_OPAQUE, 0, TLS_ANSWER_FINAL, TEXT("anything"));
}

static void early_data_is_bounded(void)
{
	static const char record[TLS_HEADER_LEN + TLS_RECORD_MAX] = "\x17\3\3\x40";
	struct tls_follow f = { 0 };
	__u32 n = 0, passed = 0;
	size_t off = 0;
	int said;

	while ((said = tls_follow(&f, reader(record + off, sizeof(record) - off), TLS_ANSWER_RETRY,
				  &n)) == TLS_FOLLOW_PASS) {
		passed += n;
		off = (off + n) % sizeof(record);
	}
	CHECK(said == TLS_FOLLOW_BAD && off == 0);
	CHECK(passed <= TLS_EARLY_MAX && passed > TLS_EARLY_MAX - sizeof(record));
}

int main(void)
{
	RUN(retries);
	RUN(finals);
	RUN(before_the_answer);
	RUN(after_a_retry);
	RUN(after_any_other);
	RUN(early_data_is_bounded);
	TEST_DONE("test_retry");
}
