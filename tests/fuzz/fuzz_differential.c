// SPDX-License-Identifier: GPL-2.0-or-later
// The same bytes to all who may read them. What the kernel program would let pass by itself is
// read the same way by the user path, by OpenSSL and by an HTTP parser of other people: the
// same name, the same end. Where one of ours refuses, or looks, there is nothing to compare.
#include <http_parser.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/wire/hello.h"
#include "bpf/wire/http.h"
#include "slowpath/judge/stream.h"
#include "tests/fuzz/tls_repair.h"
#include "tests/unit/openssl_hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static SSL_CTX *ctx;

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	return repair_mutate(data, size, max, seed);
}

/* ---- the kernel's name, and the user path's ---- */

/* false: none that the kernel would ask its policy about. */
static bool kernel_name(struct rd raw, uint8_t name[NAME_BUF], __u32 *len)
{
	__u32 numeric;

	return name_normalise(raw, name, len, &numeric) == PARSE_OK && !numeric;
}

static void same_name(const struct judge *j, const uint8_t *name, __u32 len)
{
	if (j->missing || j->numeric || j->name_len != len || memcmp(j->name, name, len) != 0)
		abort();
}

/* The first word of the user path must be a name, and the flight as long. */
static void begin_judge(struct judge *j, const uint8_t *data, size_t size, size_t used)
{
	size_t cleared;

	judge_init(j);
	if (judge_feed(j, data, size, &cleared) != JUDGE_NAMED || cleared != 0 || j->held != used)
		abort();
}

/* ---- TLS ---- */

/* A hello in one piece, as the kernel has it. */
static void compare_hello(const uint8_t *data, size_t size, const struct hello *h)
{
	uint8_t name[NAME_BUF];
	struct judge j;
	__u32 len = 0;

	if (!openssl_agrees(ctx, data, size, h))
		abort();
	if (h->has_name && !kernel_name(h->name, name, &len))
		return;
	begin_judge(&j, data, size, h->used);
	if (j.version != h->max_version || j.missing == (h->has_name != 0))
		abort();
	if (h->has_name)
		same_name(&j, name, len);
}

/* A hello out of any records, as the user path has it. */
static void compare_judge(const uint8_t *data, size_t size)
{
	static struct openssl_hello theirs;
	uint8_t name[NAME_BUF];
	struct judge j;
	size_t cleared;
	__u32 len, numeric;
	struct rd raw;

	judge_init(&j);
	if (judge_feed(&j, data, size, &cleared) != JUDGE_NAMED)
		return;
	openssl_read(ctx, data, j.held, &theirs);
	if (!theirs.reached || theirs.max_version != j.version || theirs.has_name == j.missing)
		abort();
	if (!theirs.has_name)
		return;
	rd_init(&raw, theirs.ext, (__u32)theirs.len);
	rd_skip(&raw, 5); /* list length, type 0, name length */
	if (name_normalise(raw, name, &len, &numeric) != PARSE_OK || len != j.name_len ||
	    memcmp(name, j.name, len) != 0)
		abort();
}

static void compare_tls(const uint8_t *data, size_t size)
{
	struct hello h = { .used = 0 };
	struct judge j;
	size_t cleared;
	struct rd in;
	int parsed;

	compare_judge(data, size);
	if (size > SCRATCH_LEN) /* the kernel looks */
		return;
	rd_init(&in, data, (__u32)size);
	parsed = hello_parse(in, &h);
	if (parsed == PARSE_OK) {
		compare_hello(data, size, &h);
		return;
	}
	/* what is bad for one is not to be had from the other */
	judge_init(&j);
	if (parsed == PARSE_BAD && judge_feed(&j, data, size, &cleared) != JUDGE_BAD)
		abort();
}

/* ---- HTTP ---- */

/* What http-parser sees of one request. */
struct theirs {
	const char *field, *host;
	size_t field_len, host_len;
	unsigned hosts, codings;
	bool in_value, head, complete; /* head: it is over, trailers may come */
	uint64_t content_length;
	bool chunked;
};

static int on_field(http_parser *p, const char *at, size_t len)
{
	struct theirs *t = p->data;

	t->field = at;
	t->field_len = len;
	t->in_value = false;
	t->codings += len == 17 && strncasecmp(at, "transfer-encoding", len) == 0;
	return 0;
}

static int on_value(http_parser *p, const char *at, size_t len)
{
	struct theirs *t = p->data;

	if (t->head || t->in_value || t->field_len != 4 || strncasecmp(t->field, "host", 4) != 0)
		return 0;
	t->in_value = true;
	t->hosts++;
	t->host = at;
	while (len && at[len - 1] == ' ') /* not part of the value, RFC 9110 5.5 */
		len--;
	t->host_len = len;
	return 0;
}

static int on_headers(http_parser *p)
{
	struct theirs *t = p->data;

	t->content_length = p->content_length == UINT64_MAX ? 0 : p->content_length;
	t->chunked = p->flags & F_CHUNKED;
	t->head = true;
	return 0;
}

static int on_end(http_parser *p)
{
	struct theirs *t = p->data;

	t->complete = true;
	http_parser_pause(p, 1);
	return 0;
}

/* How many bytes the message has, if it is complete. */
static enum http_errno read_theirs(const uint8_t *data, size_t size, struct theirs *t, size_t *used)
{
	http_parser_settings settings;
	http_parser p;

	memset(t, 0, sizeof(*t));
	http_parser_settings_init(&settings);
	settings.on_header_field = on_field;
	settings.on_header_value = on_value;
	settings.on_headers_complete = on_headers;
	settings.on_message_complete = on_end;
	http_parser_init(&p, HTTP_REQUEST);
	p.data = t;
	*used = http_parser_execute(&p, &settings, (const char *)data, size);
	return HTTP_PARSER_ERRNO(&p);
}

/* Where a request ends that we frame; false: not here. */
static bool our_end(const uint8_t *data, size_t size, const struct http *h, size_t *end)
{
	struct http_chunks chunks;
	size_t used;

	*end = h->used;
	if (h->body == HTTP_BODY_LENGTH) {
		if (h->body_len > size - h->used)
			return false;
		*end += (size_t)h->body_len;
	} else if (h->body == HTTP_BODY_CHUNKED) {
		http_chunks_init(&chunks);
		if (http_chunks_feed(&chunks, data + h->used, size - h->used, &used) != PARSE_OK)
			return false;
		*end += used;
	}
	return true;
}

/* The Host field, with or without the port that we have cut off. */
static void same_host(const struct http *h, const struct theirs *t)
{
	size_t len = rd_left(&h->host);

	if (t->hosts > 1 || (t->hosts && t->host_len && !h->has_host))
		abort();
	if (!t->hosts || !t->host_len) /* an absolute target */
		return;
	if (t->host_len < len ||
	    strncasecmp(t->host, (const char *)h->host.buf + h->host.off, len) ||
	    (t->host_len > len && (t->host[len] != ':' || atoi(t->host + len + 1) != h->port)))
		abort();
}

/*
 * Their list of methods is shorter than all tokens, and they mind some targets that mean nothing
 * to a boundary. A name that only begins like Transfer-Encoding they refuse as if it were it.
 */
static bool they_refuse(enum http_errno e, const struct theirs *t)
{
	if (e == HPE_UNEXPECTED_CONTENT_LENGTH || e == HPE_INVALID_TRANSFER_ENCODING)
		return t->codings == 0;
	return e == HPE_INVALID_METHOD || e == HPE_INVALID_URL || e == HPE_INVALID_HOST ||
	       e == HPE_INVALID_PORT || e == HPE_INVALID_PATH || e == HPE_INVALID_QUERY_STRING ||
	       e == HPE_INVALID_FRAGMENT;
}

static void compare_request(const uint8_t *data, size_t size, const struct http *h)
{
	struct theirs t;
	size_t used, end;
	enum http_errno e = read_theirs(data, size, &t, &used);

	if (they_refuse(e, &t))
		return;
	if (h->body == HTTP_BODY_CHUNKED ? !t.chunked :
					   t.chunked || t.content_length != h->body_len)
		abort();
	same_host(h, &t);
	/* in chunks or trailers, which the kernel never frames: they mind a length in a trailer */
	if (h->body == HTTP_BODY_CHUNKED && e != HPE_OK && e != HPE_PAUSED)
		return;
	if (our_end(data, size, h, &end) && (e != HPE_PAUSED || !t.complete || used != end))
		abort();
}

static void compare_http(const uint8_t *data, size_t size)
{
	__u32 n = size > SCRATCH_LEN ? SCRATCH_LEN : (__u32)size, len = 0;
	struct http h = { .used = 0 };
	uint8_t name[NAME_BUF];
	struct judge j;
	struct rd in;

	rd_init(&in, data, n);
	if (http_parse(in, &h) != PARSE_OK)
		return;
	compare_request(data, size, &h);
	if (h.has_host && !kernel_name(h.host, name, &len))
		return;
	begin_judge(&j, data, size, h.used);
	if (j.missing == (h.has_host != 0))
		abort();
	if (h.has_host)
		same_name(&j, name, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!ctx) {
		ctx = openssl_context();
		if (judge_setup() != 0)
			abort();
	}
	if (size == 0)
		return 0;
	switch (flight_proto(data[0])) {
	case PROTO_TLS:
		compare_tls(data, size);
		break;
	case PROTO_HTTP:
		compare_http(data, size);
		break;
	}
	return 0;
}
