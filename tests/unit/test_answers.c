// SPDX-License-Identifier: GPL-2.0-or-later
// Where answers end, and where nobody can tell: in one piece, in any two, and byte by byte.
#include "slowpath/judge/answers.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/test.h"

#define OK "HTTP/1.1 200 OK\r\n"
#define FIVE OK "Content-Length: 5\r\n\r\n"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"
#define SWITCH "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"

/* What is known at the end of a stream. */
enum end {
	BETWEEN,
	OPEN,	    /* in the middle of an answer, or one is missing */
	UNFOLLOWED, /* until close, or lost */
	SWITCHED,
};

/*
 * asked: a letter for each request, all sent before the first answer. g: GET, h: HEAD, w: an
 * upgrade that may be granted, c: one that may not.
 */
struct stream {
	const char *asked, *bytes;
	enum end end;
};

static const struct stream streams[] = {
	/* nothing asked, nothing said */
	{ "", "", BETWEEN },
	{ "g", "", OPEN },
	{ "", "H", UNFOLLOWED },
	{ "", "\r\n", UNFOLLOWED },
	/* a length */
	{ "g", FIVE "hello", BETWEEN },
	{ "g", FIVE "hell", OPEN },
	{ "g", FIVE "hello!", UNFOLLOWED },
	{ "g", FIVE "hello\r\n", UNFOLLOWED },
	{ "g", OK "Content-Length: 0\r\n\r\n", BETWEEN },
	{ "g", OK "content-LENGTH:5  \r\n\r\nhello", BETWEEN },
	{ "g", "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", BETWEEN },
	{ "g", "HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello", BETWEEN },
	{ "g", "HTTP/1.1 999 \xc3\x96\t\r\nContent-Length: 5\r\n\r\nhello", BETWEEN },
	{ "g", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", BETWEEN },
	{ "g", OK "Connection: close\r\nContent-Length: 5\r\n\r\nhello", BETWEEN },
	{ "g", OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", BETWEEN },
	{ "g",
	  OK "X:\r\nY: \x80\t\r\nContent-Length-X: 7\r\nContent-Lengt: 8\r\n"
	     "Content-Length: 5\r\n\r\nhello",
	  BETWEEN },
	{ "g", OK "X: Content-Length: 7\r\nContent-Length: 5\r\n\r\nhello", BETWEEN },
	{ "g", OK "Content-Length: 999999999999999999\r\n\r\n", OPEN },
	/* chunks */
	{ "g", CHUNKED "5\r\nhello\r\n0\r\n\r\n", BETWEEN },
	{ "g", CHUNKED "5;a=\"b\"\r\nhello\r\n0A\r\n0123456789\r\n000\r\nX: y\r\nZ: z\r\n\r\n",
	  BETWEEN },
	{ "g", OK "Transfer-Encoding:CHUNKED\r\n\r\n0\r\n\r\n", BETWEEN },
	{ "g", CHUNKED "5\r\nhello\r\n0\r\n", OPEN },
	{ "g", CHUNKED "5\r\nhello\r\n0\r\n\r\nHTTP/1.1 ", UNFOLLOWED },
	{ "g", CHUNKED "5 \r\nhello\r\n0\r\n\r\n", UNFOLLOWED },
	{ "g", CHUNKED "5\nhello\r\n0\r\n\r\n", UNFOLLOWED },
	{ "g", CHUNKED "0\r\nContent-Length: 5\r\n\r\n", UNFOLLOWED },
	{ "g", CHUNKED "x", UNFOLLOWED },
	{ "g", CHUNKED "5\r\nhello\r\n0\r\n\n", UNFOLLOWED },
	/* until close */
	{ "g", OK "\r\n", UNFOLLOWED },
	{ "g", OK "\r\n" FIVE "hello", UNFOLLOWED },
	{ "g", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", UNFOLLOWED },
	{ "gg", FIVE "hello" OK "Server: x\r\n\r\nhello", UNFOLLOWED },
	/* no body, whatever the fields say */
	{ "h", FIVE, BETWEEN },
	{ "h", CHUNKED, BETWEEN },
	{ "h", OK "\r\n", BETWEEN },
	{ "h", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", BETWEEN },
	{ "h", FIVE "h", UNFOLLOWED },
	{ "g", "HTTP/1.1 204 No Content\r\n\r\n", BETWEEN },
	{ "g", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", BETWEEN },
	{ "g", "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", BETWEEN },
	{ "g", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", BETWEEN },
	{ "g", "HTTP/1.1 205 Reset Content\r\n\r\n", UNFOLLOWED },
	/* where some clients wait for one */
	{ "g", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", UNFOLLOWED },
	{ "g", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", UNFOLLOWED },
	{ "g", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", UNFOLLOWED },
	{ "g", "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n", UNFOLLOWED },
	{ "h", "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n", UNFOLLOWED },
	/* what comes before the answer that counts */
	{ "g", "HTTP/1.1 100 Continue\r\n\r\n", OPEN },
	{ "g", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103\r\nLink: x\r\n\r\n" FIVE "hello",
	  BETWEEN },
	{ "h", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" FIVE, BETWEEN },
	{ "g", FIVE "helloHTTP/1.1 100 Continue\r\n\r\n", UNFOLLOWED },
	{ "g", "HTTP/1.0 100 Continue\r\n\r\n" FIVE "hello", UNFOLLOWED },
	/* pipelined */
	{ "ggg", FIVE "hello" CHUNKED "1\r\nx\r\n0\r\n\r\n" FIVE "hello", BETWEEN },
	{ "ggg", FIVE "hello" FIVE "hello", OPEN },
	{ "gg", FIVE "hello" FIVE "hello" FIVE "hello", UNFOLLOWED },
	{ "ghg", FIVE "hello" FIVE FIVE "hello", BETWEEN },
	{ "hg", FIVE FIVE "hello", BETWEEN },
	{ "hg", FIVE "HTTP/1.1 204 No Content\r\n\r\n", BETWEEN },
	{ "hg", FIVE "hello" FIVE, UNFOLLOWED },
	{ "gh",
	  FIVE "hello"
	       "HTTP/1.1 100 x\r\n\r\n" CHUNKED,
	  BETWEEN },
	/* another protocol */
	{ "w", SWITCH, SWITCHED },
	{ "w", SWITCH "\x81\x05hello", SWITCHED },
	{ "w", SWITCH FIVE "hello", SWITCHED },
	{ "w", "HTTP/1.1 101\r\nContent-Length: 0\r\n\r\n", SWITCHED },
	{ "w", "HTTP/1.1 100 Continue\r\n\r\n" SWITCH "x", SWITCHED },
	{ "gw", FIVE "hello" SWITCH "x", SWITCHED },
	{ "w", FIVE "hello", BETWEEN },
	{ "w", FIVE "hello" SWITCH, UNFOLLOWED },
	{ "w", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n", OPEN },
	{ "w", "HTTP/1.1 101 Switching Protocols\nUpgrade: x\n\n", UNFOLLOWED },
	{ "w", "HTTP/1.1 101 x\r\nContent-Length: 5\r\n\r\n", UNFOLLOWED },
	{ "g", SWITCH, UNFOLLOWED },
	{ "h", SWITCH, UNFOLLOWED },
	{ "c", SWITCH, BETWEEN },
	{ "c", "HTTP/1.1 101\r", OPEN },
	{ "c", "HTTP/1.1 100 Continue\r\n\r\n" SWITCH, BETWEEN },
	{ "c", SWITCH "x", UNFOLLOWED },
	{ "c", FIVE "hello", BETWEEN },
	{ "gc", FIVE "hello" SWITCH, BETWEEN },
	{ "cg", SWITCH, OPEN },
	{ "wg", SWITCH, UNFOLLOWED }, /* would take the second request for the other protocol */
	{ "wg", FIVE "hello" SWITCH, UNFOLLOWED },
	{ "w", "HTTP/1.0 101 Switching Protocols\r\n\r\n", UNFOLLOWED },
	{ "", SWITCH, UNFOLLOWED },
	/* two lengths, two framings */
	{ "g", OK "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", UNFOLLOWED },
	{ "g", OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello", UNFOLLOWED },
	{ "g", OK "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", UNFOLLOWED },
	{ "h", OK "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", UNFOLLOWED },
	{ "g", OK "Content-Length: 5, 5\r\n\r\nhello", UNFOLLOWED },
	{ "g", OK "Content-Length: 05\r\n\r\nhello", UNFOLLOWED },
	{ "g", OK "Content-Length: +5\r\n\r\nhello", UNFOLLOWED },
	{ "g", OK "Content-Length: 0x5\r\n\r\nhello", UNFOLLOWED },
	{ "g", OK "Content-Length: 5 5\r\n\r\nhello", UNFOLLOWED },
	{ "g", OK "Content-Length:\t5\r\n\r\nhello", UNFOLLOWED },
	{ "g", OK "Content-Length: \r\n\r\nhello", UNFOLLOWED },
	{ "g", OK "Content-Length: -1\r\n\r\nhello", UNFOLLOWED },
	{ "g", OK "Content-Length: 1000000000000000000\r\n\r\n", UNFOLLOWED },
	{ "g", OK "Content_Length: 5\r\n\r\nhello", UNFOLLOWED },
	{ "g", OK "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", UNFOLLOWED },
	{ "g", OK "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", UNFOLLOWED },
	{ "g", OK "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	  UNFOLLOWED },
	{ "g", OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	  UNFOLLOWED },
	{ "g", OK "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", UNFOLLOWED },
	{ "g", OK "Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", UNFOLLOWED },
	{ "g", OK "Transfer-Encoding:\r\nContent-Length: 5\r\n\r\nhello", UNFOLLOWED },
	{ "g", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", UNFOLLOWED },
	/* not exactly HTTP/1 */
	{ "g", "<html>hello</html>", UNFOLLOWED },
	{ "g", "\r\n" FIVE "hello", UNFOLLOWED },
	{ "g", "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", UNFOLLOWED },
	{ "g", "HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n", UNFOLLOWED },
	{ "g", "HTTP/2 200\r\nContent-Length: 0\r\n\r\n", UNFOLLOWED },
	{ "g", "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n", UNFOLLOWED },
	{ "g", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", UNFOLLOWED },
	{ "g", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", UNFOLLOWED },
	{ "g", "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", UNFOLLOWED },
	{ "g", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", UNFOLLOWED },
	{ "g", "HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n", UNFOLLOWED },
	{ "g", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n", UNFOLLOWED },
	{ "g", "HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n", UNFOLLOWED },
	{ "g", OK "X: a\r\n b\r\nContent-Length: 0\r\n\r\n", UNFOLLOWED },
	{ "g", OK " X: a\r\nContent-Length: 0\r\n\r\n", UNFOLLOWED },
	{ "g", OK "X : a\r\nContent-Length: 0\r\n\r\n", UNFOLLOWED },
	{ "g", OK "X\r\nContent-Length: 0\r\n\r\n", UNFOLLOWED },
	{ "g", OK ": x\r\nContent-Length: 0\r\n\r\n", UNFOLLOWED },
	{ "g", OK "X: a\x01\r\nContent-Length: 0\r\n\r\n", UNFOLLOWED },
	{ "g", OK "X: a\x7f\r\nContent-Length: 0\r\n\r\n", UNFOLLOWED },
	{ "g", OK "X: a\rxContent-Length: 0\r\n\r\n", UNFOLLOWED },
	{ "g", OK "Content-Length: 0\r\n\rx", UNFOLLOWED },
};

static struct answers begin(const char *asked)
{
	struct answers a = { .state = 0 };

	for (; *asked; asked++)
		answers_expect(&a, *asked == 'h',
			       *asked == 'w' ? HTTP_UPGRADE_OTHER :
			       *asked == 'c' ? HTTP_UPGRADE_NEVER :
					       HTTP_UPGRADE_NONE);
	return a;
}

/* Feeds a piece of its own length, so that a sanitizer sees one byte too far. */
static enum answers_word feed(struct answers *a, const char *bytes, size_t len, size_t *used)
{
	uint8_t *piece = malloc(len ? len : 1);
	enum answers_word word;

	memcpy(piece, bytes, len);
	word = answers_feed(a, piece, len, used);
	free(piece);
	return word;
}

static enum end end_of(const struct answers *a, enum answers_word word)
{
	if (word == ANSWERS_SWITCHED)
		return SWITCHED;
	if (answers_between(a))
		return BETWEEN;
	return answers_skippable(a) == ANSWERS_SKIP_ALL ? UNFOLLOWED : OPEN;
}

/* In pieces of `first`, then `step` bytes. *at: what was used of all. */
static enum end follow(struct answers *a, const struct stream *s, size_t first, size_t step,
		       size_t *at)
{
	size_t len = strlen(s->bytes), n = first, used = 0;
	enum answers_word word = ANSWERS_GO_ON;

	*at = 0;
	for (size_t off = 0; off < len && word == ANSWERS_GO_ON; off += n, n = step) {
		if (n > len - off)
			n = len - off;
		word = feed(a, s->bytes + off, n, &used);
		CHECK(used <= n && (word != ANSWERS_GO_ON || used == n));
		*at = off + used;
	}
	return end_of(a, word);
}

static void check_cuts(const struct stream *s)
{
	struct answers whole = begin(s->asked), parts;
	size_t len = strlen(s->bytes), used, at;
	enum end end = follow(&whole, s, len, len, &used);

	if (end != s->end)
		fprintf(stderr, "%s: %s\n", s->asked, s->bytes);
	CHECK(end == s->end);
	for (size_t cut = 0; cut <= len; cut++) {
		parts = begin(s->asked);
		CHECK(follow(&parts, s, cut, cut ? len : 1, &at) == end);
		CHECK(at == used);
		CHECK(parts.state == whole.state && parts.waiting == whole.waiting &&
		      parts.left == whole.left);
	}
}

/* Of an answer that is not whole nothing may follow, and lost it stays. */
static void check_prefixes(const struct stream *s)
{
	struct answers a;
	size_t used;

	for (size_t n = 0; n < strlen(s->bytes); n++) {
		a = begin(s->asked);
		feed(&a, s->bytes, n, &used);
		CHECK(!answers_between(&a));
		answers_lose(&a);
		feed(&a, s->bytes + n, strlen(s->bytes) - n, &used);
		CHECK(!answers_between(&a) && answers_skippable(&a) == ANSWERS_SKIP_ALL);
	}
}

static void test_streams(void)
{
	for (size_t i = 0; i < sizeof(streams) / sizeof(*streams); i++) {
		check_cuts(&streams[i]);
		if (streams[i].end == BETWEEN)
			check_prefixes(&streams[i]);
	}
}

static enum answers_word feed_text(struct answers *a, const char *text, size_t *used)
{
	return feed(a, text, strlen(text), used);
}

static void test_where_another_protocol_begins(void)
{
	struct answers a = begin("w");
	size_t used;

	CHECK(feed_text(&a, "HTTP/1.1 100 x\r\n\r\n" SWITCH "\x81", &used) == ANSWERS_SWITCHED);
	CHECK(used == strlen("HTTP/1.1 100 x\r\n\r\n" SWITCH));
	CHECK(feed_text(&a, FIVE "hello", &used) == ANSWERS_GO_ON && !answers_between(&a));
}

/* Until the answer that counts has said its status. */
static void test_undecided(void)
{
	struct answers a = begin("g");
	size_t used;

	CHECK(!answers_undecided(&a));
	a = begin("gw");
	CHECK(answers_undecided(&a));
	feed_text(&a, FIVE "helloHTTP/1.1 100 x\r\n\r\nHTTP/1.1 200", &used);
	CHECK(answers_undecided(&a));
	feed_text(&a, " ", &used);
	CHECK(!answers_undecided(&a) && !answers_between(&a));
	a = begin("w");
	feed_text(&a, "\n", &used);
	CHECK(!answers_undecided(&a));
	a = begin("w");
	feed_text(&a, SWITCH, &used);
	CHECK(!answers_undecided(&a));
}

/* As with sendfile and splice: the body is not looked at. */
static void test_skip(void)
{
	struct answers a = begin("gg");
	size_t used;

	CHECK(answers_skippable(&a) == 0);
	feed_text(&a, OK "Content-Length: 100000000000\r\n\r\nx", &used);
	CHECK(answers_skippable(&a) == 99999999999);
	answers_skip(&a, 99999999998);
	CHECK(answers_skippable(&a) == 1 && !answers_between(&a));
	answers_skip(&a, 1);
	CHECK(answers_skippable(&a) == 0);
	feed_text(&a, FIVE "hell", &used);
	answers_skip(&a, 1);
	CHECK(answers_between(&a));
	answers_skip(&a, 0);
	CHECK(answers_between(&a));
	answers_skip(&a, 1);
	CHECK(!answers_between(&a) && answers_skippable(&a) == ANSWERS_SKIP_ALL);
	a = begin("g");
	feed_text(&a, FIVE "hell", &used);
	answers_skip(&a, 2);
	CHECK(!answers_between(&a) && answers_skippable(&a) == ANSWERS_SKIP_ALL);
	a = begin("g");
	feed_text(&a, OK "\r\n", &used);
	answers_skip(&a, 1ULL << 62);
	CHECK(!answers_between(&a) && answers_skippable(&a) == ANSWERS_SKIP_ALL);
}

/* A request at a time, as most clients do; more on their way than there is room for: lost. */
static void test_requests(void)
{
	struct answers a = { .state = 0 };
	size_t used;

	for (int i = 0; i < 1000; i++) {
		answers_expect(&a, i & 1, HTTP_UPGRADE_NONE);
		CHECK(!answers_between(&a));
		feed_text(&a, i & 1 ? FIVE : FIVE "hello", &used);
		CHECK(answers_between(&a));
	}
	for (int i = 0; i < ANSWERS_WAITING_MAX; i++)
		answers_expect(&a, i % 3 == 0, HTTP_UPGRADE_NONE);
	for (int i = 0; i < ANSWERS_WAITING_MAX; i++) {
		CHECK(!answers_between(&a));
		feed_text(&a, i % 3 == 0 ? FIVE : FIVE "hello", &used);
	}
	CHECK(answers_between(&a));
	for (int i = 0; i < ANSWERS_WAITING_MAX + 1; i++)
		answers_expect(&a, false, HTTP_UPGRADE_NONE);
	for (int i = 0; i < ANSWERS_WAITING_MAX + 1; i++)
		feed_text(&a, FIVE "hello", &used);
	CHECK(!answers_between(&a) && answers_skippable(&a) == ANSWERS_SKIP_ALL);
}

static void head_of(size_t len, bool between)
{
	static const char begins[] = OK "X: ", ends[] = "\r\nContent-Length: 0\r\n\r\n";
	struct answers a = begin("g");
	size_t used;

	feed_text(&a, begins, &used);
	for (size_t n = len - strlen(begins) - strlen(ends); n > 0; n--)
		feed_text(&a, "x", &used);
	feed_text(&a, ends, &used);
	CHECK(answers_between(&a) == between);
}

/* In one piece, of which all but a few bytes are text that says nothing. */
static void test_long_text(void)
{
	static char bytes[HTTP_HEAD_MAX + 100];
	struct answers a = begin("g");
	size_t used;

	memset(bytes, 'x', sizeof(bytes));
	memcpy(bytes, OK "X: ", strlen(OK "X: "));
	feed(&a, bytes, sizeof(bytes), &used);
	CHECK(answers_skippable(&a) == ANSWERS_SKIP_ALL);
}

/* As the coding's word is made of the last eight bytes, whose first is 0 when there are seven. */
static void test_nul(void)
{
	static const char coding[] = OK "Transfer-Encoding: \0chunked\r\n\r\n0\r\n\r\n";
	struct answers a = begin("g");
	size_t used;

	feed(&a, coding, sizeof(coding) - 1, &used);
	CHECK(!answers_between(&a) && answers_skippable(&a) == ANSWERS_SKIP_ALL);
}

static void test_long_head(void)
{
	head_of(HTTP_HEAD_MAX, true);
	head_of(HTTP_HEAD_MAX + 1, false);
}

int main(void)
{
	RUN(test_streams);
	RUN(test_where_another_protocol_begins);
	RUN(test_undecided);
	RUN(test_skip);
	RUN(test_requests);
	RUN(test_long_head);
	RUN(test_long_text);
	RUN(test_nul);
	TEST_DONE("answers");
}
