// SPDX-License-Identifier: GPL-2.0-or-later
// The slow path's judgement, fed in every way the bytes can come: what is cleared must be the
// same however they are cut, and nothing is cleared before its name was allowed.
#include "slowpath/judge/stream.h"

#include <stdlib.h>

#include "tests/hello.h"
#include "tests/unit/test.h"

#define FLIGHT_MAX 8192

static uint8_t flight[FLIGHT_MAX];
static size_t flight_len;

/* What the server says to the first hello; NULL: nothing. */
static const char *server;
static size_t server_len;

#define SAYS(text) server = (text), server_len = sizeof(text) - 1
#define SERVER_HELLO "\x16\3\3\0\x2a\2\0\0\x26\3\3"
#define FINAL SERVER_HELLO "this is the random of a server..\0\x13\2\0"
#define RETRY                                                                                      \
	SERVER_HELLO "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91"            \
		     "\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c\0\x13\2\0"

static void fly(const void *bytes, size_t n)
{
	memcpy(flight + flight_len, bytes, n);
	flight_len += n;
}

static void put_text(const char *s)
{
	fly(s, strlen(s));
}

static void put16(size_t n)
{
	uint8_t b[2] = { (uint8_t)(n >> 8), (uint8_t)n };

	fly(b, 2);
}

static void record(uint8_t type, const uint8_t *body, size_t n)
{
	fly(&type, 1);
	fly("\3\3", 2);
	put16(n);
	fly(body, n);
}

/* A ClientHello for `name`, in records of at most `piece` bytes. */
static void put_hello(const char *name, size_t piece)
{
	uint8_t bytes[HELLO_MAX];
	const uint8_t *message = bytes + TLS_HEAD;
	size_t n = hello_make(bytes, name, 7) - TLS_HEAD;

	for (size_t off = 0; off < n; off += piece)
		record(RECORD_HANDSHAKE, message + off, n - off < piece ? n - off : piece);
}

/* What a whole conversation came to. */
struct outcome {
	size_t cleared;
	unsigned named, reason;
	char name[NAME_BUF];
	enum judge_state state;
};

/* Feeds the flight in pieces of `step` bytes, allowing every name. */
static struct outcome converse(size_t step)
{
	struct outcome o = { .cleared = 0 };
	enum judge_word word;
	struct judge j;
	size_t n;

	judge_init(&j);
	for (size_t have = step < flight_len ? step : flight_len;;) {
		word = judge_feed(&j, flight + o.cleared, have - o.cleared, &n);
		o.cleared += n;
		if (word == JUDGE_NAMED) {
			CHECK(o.named > 0 || o.cleared == 0);
			o.named++;
			strcpy(o.name, j.name);
			o.cleared += judge_go_on(&j);
			if (o.named == 1 && server)
				judge_answered(&j, (const uint8_t *)server, server_len);
			continue;
		}
		if (word == JUDGE_BAD) {
			o.reason = j.reason;
			break;
		}
		if (have == flight_len)
			break;
		have = have + step < flight_len ? have + step : flight_len;
	}
	o.state = j.state;
	return o;
}

/* Whatever the cuts, the outcome is the one of the whole flight. */
static void check_cuts(const char *name, unsigned named, unsigned reason, enum judge_state state,
		       size_t cleared)
{
	for (size_t step = 1; step <= flight_len; step++) {
		struct outcome o = converse(step);

		CHECK(o.named == named);
		CHECK(o.reason == reason);
		CHECK(o.state == state);
		CHECK(o.cleared == cleared);
		if (named)
			CHECK_STR(o.name, name);
	}
	flight_len = 0;
}

static void test_tls(void)
{
	uint8_t noise[40] = { 7, 7 };
	size_t waits;

	for (size_t piece = 1; piece < 120; piece++) {
		put_hello("Example.COM.", piece);
		check_cuts("example.com", 1, 0, JUDGE_RECORDS, flight_len);
	}
	/* The server has not answered: early data goes on, a handshake record waits. */
	put_hello("a.test", 500);
	record(20, (const uint8_t *)"\1", 1);
	record(23, noise, sizeof(noise));
	check_cuts("a.test", 1, 0, JUDGE_RECORDS, flight_len);
	put_hello("a.test", 500);
	record(23, noise, sizeof(noise));
	waits = flight_len;
	put_hello("b.test", 500);
	check_cuts("a.test", 1, 0, JUDGE_RECORDS, waits);

	/* Its hello ends all reading. */
	SAYS(FINAL);
	put_hello("a.test", 500);
	put_hello("b.test", 500);
	fly("anything", 8);
	check_cuts("a.test", 1, 0, JUDGE_OPAQUE, flight_len);

	/* HelloRetryRequest: a second hello with the same name, behind early data or not, then
	 * anything. */
	SAYS(RETRY);
	put_hello("a.test", 500);
	record(20, (const uint8_t *)"\1", 1);
	put_hello("A.test", 30);
	fly("anything", 8);
	check_cuts("a.test", 2, 0, JUDGE_OPAQUE, flight_len);
	put_hello("a.test", 500);
	record(23, noise, sizeof(noise));
	record(20, (const uint8_t *)"\1", 1);
	put_hello("a.test", 500);
	check_cuts("a.test", 2, 0, JUDGE_OPAQUE, flight_len);
	server = NULL;
}

static void test_tls_changed(void)
{
	uint8_t noise[40] = { 7, 7 };

	SAYS(RETRY);
	for (size_t piece = 1; piece < 120; piece += 7) {
		size_t first;

		put_hello("a.test", 500);
		record(23, noise, sizeof(noise));
		record(20, (const uint8_t *)"\1", 1);
		first = flight_len;
		put_hello("b.test", piece);
		check_cuts("a.test", 1, REASON_NAME_CHANGED, JUDGE_RECORDS, first);
	}
	server = NULL;
}

/* A second hello whose first record ends where the rest reads as a hello of its own. */
static void test_tls_hidden(void)
{
	static const uint8_t inner[] = "\1\0\0\x50\4\3 begins like a hello and is none";
	size_t first;

	SAYS(RETRY);
	put_hello("a.test", 500);
	record(20, (const uint8_t *)"\1", 1);
	first = flight_len;
	record(22, inner, sizeof(inner));
	put_hello("a.test", 500);
	check_cuts("a.test", 1, REASON_BAD_TLS, JUDGE_RECORDS, first);
	/* and no record of another kind stands between its pieces */
	put_hello("a.test", 500);
	first = flight_len;
	record(22, (const uint8_t *)"\1\0", 2);
	record(20, (const uint8_t *)"\1", 1);
	check_cuts("a.test", 1, REASON_BAD_TLS, JUDGE_RECORDS, first);
	server = NULL;
}

static void test_tls_bad(void)
{
	struct judge j;
	size_t n;

	judge_init(&j);
	CHECK(judge_feed(&j, (const uint8_t *)"SSH-2.0-x\r\n", 11, &n) == JUDGE_BAD);
	CHECK(j.reason == REASON_NOT_TLS && n == 0);
	judge_init(&j);
	CHECK(judge_feed(&j, (const uint8_t *)"\x16\3\1\0\0", 5, &n) == JUDGE_BAD);
	CHECK(j.reason == REASON_BAD_TLS && n == 0);
	judge_init(&j);
	/* The record goes on behind the hello: known before the rest is here, as the kernel does.
	 */
	CHECK(judge_feed(&j, (const uint8_t *)"\x16\3\1\0\x09\1\0\0", 8, &n) == JUDGE_MORE);
	CHECK(judge_feed(&j, (const uint8_t *)"\x16\3\1\0\x09\1\0\0\4", 9, &n) == JUDGE_BAD);
	CHECK(j.reason == REASON_BAD_TLS && n == 0);
	judge_init(&j);
	CHECK(judge_feed(&j, (const uint8_t *)"\x16\2", 2, &n) == JUDGE_BAD);
	CHECK(j.reason == REASON_BAD_TLS);
	put_hello("a b.test", 500);
	check_cuts("", 0, REASON_BAD_NAME, JUDGE_FIRST, 0);
	put_hello("a.test", 500);
	record(24, (const uint8_t *)"\1", 1);
	check_cuts("a.test", 1, REASON_BAD_TLS, JUDGE_RECORDS, flight_len - 6);
}

static void test_http(void)
{
	put_text("GET / HTTP/1.1\r\nHost: A.test:80\r\n\r\n"
		 "POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello"
		 "PUT /y HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
		 "5\r\nhello\r\n0\r\nX: y\r\n\r\n"
		 "GET /z HTTP/1.1\r\nHost: a.test\r\n\r\n");
	check_cuts("a.test", 4, 0, JUDGE_HEAD, flight_len);
}

static void test_http_bad(void)
{
	size_t first;

	put_text("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
	first = flight_len;
	put_text("GET / HTTP/1.1\r\nHost: b.test\r\n\r\n");
	check_cuts("a.test", 1, REASON_NAME_CHANGED, JUDGE_HEAD, first);
	put_text("GET / HTTP/1.1\r\nHost: a.test\r\n\r\nno request at all");
	check_cuts("a.test", 1, REASON_BAD_HTTP, JUDGE_HEAD, first);
	put_text("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
	first = flight_len;
	put_text("zz\r\n");
	check_cuts("a.test", 1, REASON_BAD_HTTP, JUDGE_CHUNKS, first);
}

/* The answer in pieces of any length; how the client's next byte is taken then. */
static void answered(const struct judge *start, const char *text, enum judge_state state)
{
	struct judge j;

	for (size_t step = strlen(text); step > 0; step--) {
		j = *start;
		for (size_t off = 0, n; off < strlen(text); off += n) {
			n = strlen(text) - off < step ? strlen(text) - off : step;
			judge_answered(&j, (const uint8_t *)text + off, n);
		}
		CHECK(j.state == state);
	}
}

static void ask_for(struct judge *j, const char *headers, const char *body, enum judge_state state)
{
	size_t n, head;

	put_text("POST / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\n");
	put_text(headers);
	put_text("\r\n");
	head = flight_len;
	put_text(body);
	judge_init(j);
	CHECK(judge_feed(j, flight, flight_len, &n) == JUDGE_NAMED);
	CHECK(judge_go_on(j) == head);
	if (*body)
		CHECK(judge_feed(j, flight + head, flight_len - head, &n) == JUDGE_MORE &&
		      n == flight_len - head);
	CHECK(j->state == state);
	flight_len = 0;
}

#define YES "HTTP/1.1 101 Switching Protocols\r\n\r\n"
#define NO "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

static void test_upgrade(void)
{
	static const char *const refusals[] = { NO,
						"HTTP/1.0 101 x\r\n",
						"HTTP/1.1 1010\r\n",
						"HTTP/1.1 101x",
						"HTTP/1.1  101 x\r\n",
						"\x81",
						("HTTP/1.1 100 x\r\nX: HTTP/1.1 101 x\r\n\r\n" NO),
						"HTTP/1.1 100 x\r\n\r\n\r\n" };
	struct judge j;
	size_t n;

	ask_for(&j, "Upgrade: websocket\r\n", "", JUDGE_UPGRADE);
	CHECK(judge_feed(&j, (const uint8_t *)"\x81\x05", 2, &n) == JUDGE_MORE && n == 0);
	answered(&j, YES, JUDGE_SWITCHED);
	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
		ask_for(&j, "Upgrade: websocket\r\n", "", JUDGE_UPGRADE);
		answered(&j, refusals[i], JUDGE_HEAD);
	}
	ask_for(&j, "Upgrade: websocket\r\n", "", JUDGE_UPGRADE);
	answered(&j, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103\r\nA: b\r\n\r\n", JUDGE_UPGRADE);
	answered(&j, "HTTP/1.1 100 Continue\r\n\r\n" YES, JUDGE_SWITCHED);
}

/* The server may want the body before it answers, and may answer before it has it. */
static void test_upgrade_with_body(void)
{
	struct judge j;
	size_t n;

	ask_for(&j, "Upgrade: x\r\nContent-Length: 3\r\n", "abc", JUDGE_UPGRADE);
	answered(&j, NO, JUDGE_HEAD);
	ask_for(&j, "Upgrade: x\r\nTransfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n",
		JUDGE_UPGRADE);
	answered(&j, YES, JUDGE_SWITCHED);
	ask_for(&j, "Upgrade: x\r\nTransfer-Encoding: chunked\r\n", "3\r\nab", JUDGE_CHUNKS);
	judge_answered(&j, (const uint8_t *)NO, sizeof(NO) - 1);
	CHECK(judge_feed(&j, (const uint8_t *)"c\r\n0\r\n\r\n", 8, &n) == JUDGE_MORE && n == 8);
	CHECK(j.state == JUDGE_HEAD);
	ask_for(&j, "Upgrade: x\r\nContent-Length: 3\r\n", "ab", JUDGE_BODY);
	judge_answered(&j, (const uint8_t *)YES, sizeof(YES) - 1);
	CHECK(judge_feed(&j, (const uint8_t *)"c\0", 2, &n) == JUDGE_MORE && n == 2);
	CHECK(j.state == JUDGE_OPAQUE);
}

/* Behind a 101, in pieces of any length: how many bytes pass, and whether that is the end. */
static void behind_switch(const char *bytes, size_t len, size_t passed, bool is_bad)
{
	enum judge_word word = JUDGE_MORE;
	struct judge j;
	size_t n, off;

	for (size_t step = 1; step <= len; step++) {
		ask_for(&j, "Upgrade: x\r\n", "", JUDGE_UPGRADE);
		judge_answered(&j, (const uint8_t *)YES, sizeof(YES) - 1);
		for (off = 0; off < len; off += n) {
			size_t some = len - off < step ? len - off : step;

			word = judge_feed(&j, (const uint8_t *)bytes + off, some, &n);
			if (word == JUDGE_BAD) {
				off += n;
				break;
			}
			CHECK(n == some);
		}
		CHECK(off == passed && (word == JUDGE_BAD) == is_bad);
		CHECK(!is_bad || j.reason == REASON_BAD_HTTP);
	}
}

static void test_switched(void)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

	behind_switch("\x81\x05hello", 7, 7, false);
	behind_switch("P", 1, 1, false);
	behind_switch("GET / no http", 13, 13, false);
	behind_switch("GET / HTTp/1.1\r\n", 16, 16, false);
	behind_switch(preface, 24, 10, true);
	behind_switch("GET / HTTP/1.1\r\nHost: b.test\r\n\r\n", 32, 10, true);
	behind_switch("\r\n\r\nget /x?y HTTP/1.0\r\n\r\n", 26, 17, true);
	behind_switch("\x16\3\1\2\0\1\0\1\xfc\3\3", 11, 5, true);
	behind_switch("\x16\3\1\2\0\2\0\1\xfc\3\3", 11, 11, false);
	behind_switch("\x16\4\1\2\0\1\0\1\xfc\3\3", 11, 11, false);
}

/* Every answer is followed, so that something of ours may come behind a whole one. */
static void test_between(void)
{
	struct judge j;

	ask_for(&j, "Content-Length: 3\r\n", "abc", JUDGE_HEAD);
	CHECK(!judge_between(&j, false) && judge_between(&j, true));
	judge_answered(&j, (const uint8_t *)"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", 42);
	CHECK(!judge_between(&j, true) && judge_skippable(&j) == 1);
	judge_skip(&j, 1);
	CHECK(judge_between(&j, false));
}

static void test_resume(void)
{
	static const char next[] = "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n";
	struct judge j;
	size_t n;

	judge_resume(&j, PROTO_HTTP, (const uint8_t *)"a.test", 6, 3);
	CHECK(judge_feed(&j, (const uint8_t *)"abc", 3, &n) == JUDGE_MORE && n == 3);
	CHECK(judge_feed(&j, (const uint8_t *)next, sizeof(next) - 1, &n) == JUDGE_BAD);
	CHECK(j.reason == REASON_NAME_CHANGED);
	judge_resume(&j, PROTO_TLS, (const uint8_t *)"a.test", 6, 0);
	CHECK(judge_feed(&j, (const uint8_t *)"\x16", 1, &n) == JUDGE_MORE && n == 0);
	CHECK(judge_answered(&j, (const uint8_t *)FINAL, sizeof(FINAL) - 1));
	CHECK(j.state == JUDGE_OPAQUE);
}

int main(void)
{
	if (judge_setup() != 0)
		return 1;
	RUN(test_tls);
	RUN(test_tls_changed);
	RUN(test_tls_hidden);
	RUN(test_tls_bad);
	RUN(test_http);
	RUN(test_http_bad);
	RUN(test_upgrade);
	RUN(test_upgrade_with_body);
	RUN(test_switched);
	RUN(test_between);
	RUN(test_resume);
	judge_cleanup();
	TEST_DONE("judge");
}
