// SPDX-License-Identifier: GPL-2.0-or-later
// A state machine over the client's bytes; each state handles what it can and sets the next.
#include "slowpath/judge/stream.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

#define ANSWER_PIECE 65536 /* bytes from the server that tls_answer_feed() looks at in one call */

static SSL_CTX *ssl_ctx;

/* The hello as OpenSSL saw it. */
struct seen {
	bool called;
	bool has_name;
	const uint8_t *name; /* into OpenSSL's buffer: to be compared inside the callback only */
	size_t name_len;
	bool agrees;
	const struct hello *ours;
};

static int bad(struct judge *j, unsigned reason)
{
	j->reason = reason;
	return JUDGE_BAD;
}

/* ---- the hello ---- */

static bool same_bytes(const struct rd *ours, const uint8_t *name, size_t len)
{
	return rd_left(ours) == len && memcmp(ours->buf + ours->off, name, len) == 0;
}

static int on_hello(SSL *ssl, int *alert, void *arg)
{
	struct seen *seen = SSL_get_app_data(ssl);
	const unsigned char *ext;
	struct rd all, list, name;
	size_t len;

	(void)arg;
	seen->called = true;
	if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &len)) {
		seen->agrees = !seen->ours->has_name;
	} else {
		rd_init(&all, ext, (uint32_t)len);
		list = rd_vec(&all, 2);
		seen->has_name = rd_u8(&list) == TLSEXT_NAMETYPE_host_name;
		name = rd_vec(&list, 2);
		seen->agrees = seen->has_name && rd_done(&all) && rd_done(&list) &&
			       seen->ours->has_name && !name.bad &&
			       same_bytes(&seen->ours->name, name.buf + name.off, rd_left(&name));
	}
	*alert = SSL_AD_ACCESS_DENIED;
	return SSL_CLIENT_HELLO_ERROR; /* we have seen the hello; the handshake is not ours */
}

/* Whether OpenSSL reads the same hello from the same records. */
static bool openssl_agrees(const uint8_t *flight, size_t len, const struct hello *ours)
{
	struct seen seen = { .ours = ours };
	SSL *ssl = SSL_new(ssl_ctx);
	BIO *in = BIO_new_mem_buf(flight, (int)len);
	BIO *out = BIO_new(BIO_s_null());

	if (ssl && in && out) {
		SSL_set_app_data(ssl, &seen);
		SSL_set_bio(ssl, in, out);
		SSL_accept(ssl);
	} else {
		BIO_free(in);
		BIO_free(out);
	}
	SSL_free(ssl);
	ERR_clear_error();
	return seen.called && seen.agrees;
}

/* A record of the hello, of which `have` bytes of payload are here. Bad bytes are reported at
   once. */
static int scan_record(struct hello_scan *s, const uint8_t *payload, size_t have, size_t record)
{
	for (size_t i = 0; i < have && s->n + i < HELLO_HEADER_LEN; i++)
		s->head[s->n + i] = payload[i];
	if (s->n + have > 0 && s->head[0] != HELLO_TYPE)
		return PARSE_BAD;
	if (s->n + have >= HELLO_HEADER_LEN)
		s->want = HELLO_HEADER_LEN +
			  ((size_t)s->head[1] << 16 | (size_t)s->head[2] << 8 | s->head[3]);
	/* the last condition: another message after the hello, in its record; nobody sends that */
	if (s->want > JUDGE_BYTES_MAX || s->n + record > JUDGE_BYTES_MAX ||
	    (s->n + have >= HELLO_HEADER_LEN && s->n + record > s->want))
		return PARSE_BAD;
	return have < record ? PARSE_MORE : PARSE_OK;
}

/*
 * Looks for the end of the hello that begins at data[0], starting from the record where it stopped
 * the last time: a client that sends single bytes must not make us go over all of them for each.
 * PARSE_OK: the message has s->n bytes, its records have s->off.
 */
static int find_end(struct hello_scan *s, const uint8_t *data, size_t len)
{
	int rc;

	if (s->want == 0)
		s->want = HELLO_HEADER_LEN;
	while (s->n < s->want) {
		const uint8_t *h = data + s->off;
		size_t left = len - s->off, record;

		if ((left >= 1 && h[0] != TLS_HANDSHAKE) || (left >= 2 && h[1] != TLS_MAJOR))
			return PARSE_BAD;
		if (left < TLS_HEADER_LEN)
			return PARSE_MORE;
		left -= TLS_HEADER_LEN;
		record = (size_t)h[3] << 8 | h[4];
		if (record == 0 || record > TLS_RECORD_MAX)
			return PARSE_BAD;
		rc = scan_record(s, h + TLS_HEADER_LEN, left < record ? left : record, record);
		if (rc != PARSE_OK)
			return rc;
		s->n += record;
		s->off += TLS_HEADER_LEN + record;
	}
	return PARSE_OK;
}

/* Copies the payload of `len` bytes of whole records; out has room for JUDGE_BYTES_MAX, which is
   enough. */
static void gather(const uint8_t *records, size_t len, uint8_t *out)
{
	size_t record;

	for (size_t off = 0; off < len; off += TLS_HEADER_LEN + record) {
		record = (size_t)records[off + 3] << 8 | records[off + 4];
		memcpy(out, records + off + TLS_HEADER_LEN, record);
		out += record;
	}
}

/* Fills the judgement's name from raw bytes. */
static bool take_name(struct judge *j, struct rd raw)
{
	uint8_t name[NAME_BUF];
	uint32_t len = 0, numeric = 0;

	if (name_normalise(raw, name, &len, &numeric) != PARSE_OK)
		return false;
	memcpy(j->name, name, len);
	j->name[len] = '\0';
	j->name_len = len;
	j->numeric = numeric;
	return true;
}

static int named(struct judge *j, size_t held)
{
	j->held = held;
	return JUDGE_NAMED;
}

/* The second and every later name must equal the first. */
static bool name_changed(const struct judge *j, struct rd raw)
{
	struct judge other = { .name = "" };

	return !take_name(&other, raw) || other.name_len != j->name_len ||
	       memcmp(other.name, j->name, j->name_len) != 0;
}

static int feed_hello(struct judge *j, const uint8_t *data, size_t len)
{
	static __thread uint8_t message[JUDGE_BYTES_MAX];
	bool first = j->state == JUDGE_FIRST;
	struct hello h = { 0 };
	int parsed = find_end(&j->scan, data, len);
	size_t used = j->scan.off;
	struct rd in;

	if (parsed == PARSE_MORE)
		return len >= JUDGE_BYTES_MAX ? bad(j, REASON_BAD_TLS) : JUDGE_MORE;
	if (parsed != PARSE_OK)
		return bad(j, REASON_BAD_TLS);
	gather(data, used, message);
	rd_init(&in, message, (uint32_t)j->scan.n);
	memset(&j->scan, 0, sizeof(j->scan));
	if (hello_message(in, &h) != PARSE_OK || !openssl_agrees(data, used, &h))
		return bad(j, REASON_BAD_TLS);
	if (!first && (j->missing ? h.has_name : !h.has_name || name_changed(j, h.name)))
		return bad(j, REASON_NAME_CHANGED);
	j->proto = PROTO_TLS;
	j->version = h.max_version;
	j->missing = !h.has_name;
	if (first && h.has_name && !take_name(j, h.name))
		return bad(j, REASON_BAD_NAME);
	return named(j, used);
}

/* ---- TLS records after the hello ---- */

static int feed_records(struct judge *j, const uint8_t *data, size_t len, size_t *cleared)
{
	uint32_t n = 0;
	struct rd in;

	rd_init(&in, data, (uint32_t)len);
	switch (tls_follow(&j->follow, in, j->answered.word, &n)) {
	case TLS_FOLLOW_MORE:
	case TLS_FOLLOW_WAIT:
		return JUDGE_MORE;
	case TLS_FOLLOW_PASS:
		*cleared = n;
		return JUDGE_MORE;
	case TLS_FOLLOW_HELLO:
		return feed_hello(j, data, len);
	case TLS_FOLLOW_OPAQUE:
		j->state = JUDGE_OPAQUE;
		return JUDGE_MORE;
	}
	return bad(j, REASON_BAD_TLS);
}

/* ---- HTTP ---- */

static enum judge_state after_request(const struct judge *j)
{
	if (j->switched)
		return JUDGE_SWITCHED;
	return answers_undecided(&j->answers) ? JUDGE_UPGRADE : JUDGE_HEAD;
}

/* The request may travel on. */
static enum judge_state after_head(struct judge *j)
{
	const struct http *h = &j->request;

	answers_expect(&j->answers, h->head, h->upgrade);
	if (h->body == HTTP_BODY_CHUNKED)
		return JUDGE_CHUNKS;
	return h->body_len ? JUDGE_BODY : after_request(j);
}

/* http_parse(), going on from where it stopped. */
static int parse_head(struct judge *j, const uint8_t *data, size_t len)
{
	struct rd in;

	rd_init(&in, data, (uint32_t)len);
	if (!j->head_begun) {
		http_begin(&j->head, &in);
		memset(&j->request, 0, sizeof(j->request));
	}
	j->head_begun = true;
	j->head.in.buf = data;
	j->head.in.end = (uint32_t)len;
	return http_go_on(&j->head, &j->request);
}

/* An IPv6 literal is kept as written, in brackets; address_literal() reads it. */
static int take_literal(struct judge *j, const struct http *h)
{
	if (rd_left(&h->host) >= NAME_BUF)
		return bad(j, REASON_BAD_NAME);
	if (j->requests > 1 && (rd_left(&h->host) != j->name_len ||
				!same_bytes(&h->host, (uint8_t *)j->name, j->name_len)))
		return bad(j, REASON_NAME_CHANGED);
	j->name_len = rd_left(&h->host);
	memcpy(j->name, h->host.buf + h->host.off, j->name_len);
	j->name[j->name_len] = '\0';
	j->numeric = true;
	return JUDGE_NAMED;
}

/* The host of one more request, which must be that of the first. */
static int take_host(struct judge *j, const struct http *h)
{
	bool literal = h->has_host && rd_at(&h->host, h->host.off) == '[';

	if (j->requests++) {
		if (j->missing ? h->has_host : !h->has_host)
			return bad(j, REASON_NAME_CHANGED);
		if (h->has_host && !literal && name_changed(j, h->host))
			return bad(j, REASON_NAME_CHANGED);
	}
	j->missing = !h->has_host;
	if (literal)
		return take_literal(j, h);
	if (h->has_host && j->requests == 1 && !take_name(j, h->host))
		return bad(j, REASON_BAD_NAME);
	return JUDGE_NAMED;
}

static int feed_head(struct judge *j, const uint8_t *data, size_t len)
{
	int parsed = parse_head(j, data, len < JUDGE_BYTES_MAX ? len : JUDGE_BYTES_MAX);

	if (parsed == PARSE_MORE && len < JUDGE_BYTES_MAX)
		return JUDGE_MORE;
	j->proto = PROTO_HTTP;
	j->head_begun = false;
	if (parsed != PARSE_OK && j->state == JUDGE_FIRST && !http_begun(&j->head)) {
		j->proto = PROTO_NONE; /* "SSH-2.0-" is another protocol */
		return bad(j, REASON_NOT_TLS);
	}
	if (parsed != PARSE_OK)
		return bad(j, REASON_BAD_HTTP);
	if (take_host(j, &j->request) != JUDGE_NAMED)
		return JUDGE_BAD;
	j->left = j->request.body_len;
	http_chunks_init(&j->chunks);
	return named(j, j->request.used);
}

static int feed_chunks(struct judge *j, const uint8_t *data, size_t len, size_t *cleared)
{
	switch (http_chunks_feed(&j->chunks, data, len, cleared)) {
	case PARSE_BAD:
		return bad(j, REASON_BAD_HTTP);
	case PARSE_OK:
		j->state = after_request(j);
	}
	return JUDGE_MORE;
}

/* ---- another protocol ---- */

static const char http_version[] = "HTTP/";

/* How far the first bytes have got (judge.switched_at). */
enum { SWITCHED_START, SWITCHED_METHOD, SWITCHED_TARGET, SWITCHED_VERSION, SWITCHED_RECORD };

enum agrees { DIFFERS, AGREES, COMPLETE };

static enum agrees next_part(struct judge *j, unsigned part)
{
	j->switched_at = part;
	j->matched = 0;
	return AGREES;
}

/* The first bytes of a TLS record with the beginning of a hello. */
static enum agrees record_byte(struct judge *j, uint8_t b)
{
	switch (++j->matched) {
	case 1:
		return b == TLS_MAJOR ? AGREES : DIFFERS;
	case TLS_HEADER_LEN:
		return b == HELLO_TYPE ? COMPLETE : DIFFERS;
	}
	return AGREES;
}

static enum agrees switched_byte(struct judge *j, uint8_t b)
{
	switch (j->switched_at) {
	case SWITCHED_START:
		if (b == '\r' || b == '\n')
			return AGREES;
		if (b == TLS_HANDSHAKE)
			return next_part(j, SWITCHED_RECORD);
		return http_is_token(b) ? next_part(j, SWITCHED_METHOD) : DIFFERS;
	case SWITCHED_METHOD:
		return b == ' '		? next_part(j, SWITCHED_TARGET) :
		       http_is_token(b) ? AGREES :
					  DIFFERS;
	case SWITCHED_TARGET:
		return b == ' ' ? next_part(j, SWITCHED_VERSION) : b > ' ' ? AGREES : DIFFERS;
	case SWITCHED_VERSION:
		if (b != (uint8_t)http_version[j->matched++])
			return DIFFERS;
		return j->matched == sizeof(http_version) - 1 ? COMPLETE : AGREES;
	}
	return record_byte(j, b);
}

/*
 * The protocol switched to is opaque, but HTTP and TLS are never let in, whatever the server calls
 * them: not HTTP/2 (its preface begins like a request, RFC 9113 3.4), and not further HTTP/1
 * requests to a server that treats 101 like any other status. The first bytes travel on, because in
 * another protocol they may be all that is sent; the byte that would complete them does not.
 */
static int feed_switched(struct judge *j, const uint8_t *data, size_t len, size_t *cleared)
{
	enum agrees word = AGREES;
	size_t n;

	for (n = 0; n < len && word == AGREES; n++)
		word = switched_byte(j, data[n]);
	if (word == AGREES) {
		*cleared = n;
		return JUDGE_MORE;
	}
	*cleared = n - 1;
	if (word == COMPLETE)
		return bad(j, REASON_BAD_HTTP);
	j->state = JUDGE_OPAQUE;
	return JUDGE_MORE;
}

/* ---- the machine ---- */

static size_t take_left(struct judge *j, size_t len, enum judge_state then)
{
	size_t n = j->left < len ? (size_t)j->left : len;

	j->left -= n;
	if (j->left == 0)
		j->state = then;
	return n;
}

static int feed_first(struct judge *j, const uint8_t *data, size_t len)
{
	j->proto = (unsigned)flight_proto(data[0]);
	switch (j->proto) {
	case PROTO_TLS:
		return feed_hello(j, data, len);
	case PROTO_HTTP:
		return feed_head(j, data, len);
	}
	return bad(j, REASON_NOT_TLS);
}

static int step(struct judge *j, const uint8_t *data, size_t len, size_t *cleared)
{
	*cleared = 0;
	switch (j->state) {
	case JUDGE_FIRST:
		return feed_first(j, data, len);
	case JUDGE_RECORDS:
		return feed_records(j, data, len, cleared);
	case JUDGE_HEAD:
		return feed_head(j, data, len);
	case JUDGE_BODY:
		*cleared = take_left(j, len, after_request(j));
		return JUDGE_MORE;
	case JUDGE_CHUNKS:
		return feed_chunks(j, data, len, cleared);
	case JUDGE_UPGRADE:
		return JUDGE_MORE;
	case JUDGE_SWITCHED:
		return feed_switched(j, data, len, cleared);
	case JUDGE_OPAQUE:
		*cleared = len;
		return JUDGE_MORE;
	}
	return bad(j, REASON_BAD_TLS);
}

enum judge_word judge_feed(struct judge *j, const uint8_t *data, size_t len, size_t *cleared)
{
	enum judge_state before;
	size_t off = 0, n;
	int word = JUDGE_MORE;

	while (off < len) {
		before = j->state;
		word = step(j, data + off, len - off, &n);
		off += n;
		if (word != JUDGE_MORE || (n == 0 && j->state == before))
			break;
	}
	*cleared = off;
	return word;
}

size_t judge_go_on(struct judge *j)
{
	if (j->proto == PROTO_HTTP)
		j->state = after_head(j);
	else
		j->state = j->state == JUDGE_FIRST ? JUDGE_RECORDS :
						     JUDGE_OPAQUE; /* no third hello */
	return j->held;
}

/* true: what the client sent may now be judged differently. */
static bool tls_answered(struct judge *j, const uint8_t *data, size_t len)
{
	uint32_t before = j->answered.word;
	struct rd in;

	for (size_t off = 0, n; off < len; off += n) {
		n = len - off < ANSWER_PIECE ? len - off : ANSWER_PIECE;
		rd_init(&in, data + off, (uint32_t)n);
		tls_answer_feed(&j->answered, in);
	}
	if (j->answered.word == TLS_ANSWER_FINAL && j->state == JUDGE_RECORDS)
		j->state = JUDGE_OPAQUE;
	return j->answered.word != before;
}

static bool http_answered(struct judge *j, const uint8_t *data, size_t len)
{
	bool waited = j->state == JUDGE_UPGRADE;
	size_t used;

	j->switched |= answers_feed(&j->answers, data, len, &used) == ANSWERS_SWITCHED;
	if (waited)
		j->state = after_request(j);
	return waited && j->state != JUDGE_UPGRADE;
}

bool judge_answered(struct judge *j, const uint8_t *data, size_t len)
{
	switch (j->proto) {
	case PROTO_TLS:
		return tls_answered(j, data, len);
	case PROTO_HTTP:
		return http_answered(j, data, len);
	}
	return false;
}

/* If a request's body goes wrong, it is that request that is denied, and the page is its answer. */
static bool http_between(const struct judge *j, bool ended)
{
	const struct answers *a = &j->answers;
	bool is_last = j->state == JUDGE_CHUNKS && answers_missing(a) == 1;

	return answers_between(a) || (!answers_open(a) && (ended || is_last));
}

bool judge_waits(const struct judge *j)
{
	return j->state == JUDGE_UPGRADE ||
	       (j->state == JUDGE_RECORDS && j->answered.word == TLS_ANSWER_UNKNOWN);
}

bool judge_between(const struct judge *j, bool ended)
{
	return j->proto == PROTO_HTTP ? http_between(j, ended) :
	       j->proto == PROTO_TLS  ? tls_answer_between(&j->answered) :
					false;
}

uint64_t judge_skippable(const struct judge *j)
{
	return j->proto == PROTO_HTTP ? answers_skippable(&j->answers) : 0;
}

void judge_skip(struct judge *j, uint64_t n)
{
	answers_skip(&j->answers, n);
}

void judge_init(struct judge *j)
{
	memset(j, 0, sizeof(*j));
}

void judge_resume(struct judge *j, unsigned proto, const uint8_t *name, size_t name_len,
		  uint64_t body_len)
{
	judge_init(j);
	j->proto = proto;
	memcpy(j->name, name, name_len);
	j->name[name_len] = '\0';
	j->name_len = name_len;
	j->requests = proto == PROTO_HTTP;
	j->left = body_len;
	j->request.body_len = body_len;
	j->state = proto == PROTO_HTTP ? after_head(j) : JUDGE_RECORDS;
}

int judge_setup(void)
{
	ssl_ctx = SSL_CTX_new(TLS_server_method());
	if (!ssl_ctx)
		return -ENOMEM;
	SSL_CTX_set_client_hello_cb(ssl_ctx, on_hello, NULL);
	SSL_CTX_set_min_proto_version(ssl_ctx, 0);
	SSL_CTX_set_security_level(ssl_ctx, 0);
	SSL_CTX_set_session_cache_mode(ssl_ctx, SSL_SESS_CACHE_OFF);
	return 0;
}

void judge_cleanup(void)
{
	SSL_CTX_free(ssl_ctx);
	ssl_ctx = NULL;
}
