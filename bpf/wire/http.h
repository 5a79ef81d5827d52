/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The head of an HTTP/1 request (RFC 9112), as far as it gives the host and where the body ends.
 * Whatever two servers could read differently is PARSE_BAD: bare CR or LF, folded lines, space
 * before a colon, a tab beside a host or a length, two framings, a second Host, an authority that
 * is not the Host. Pure code for both sides; the kernel treats anything but PARSE_OK as "leave it
 * to user space".
 *
 * Each step takes one byte, so that the verifier walks the step once. A step only finds the parts;
 * what they say is judged after the loop, from their offsets.
 */
#ifndef SLUICE_BPF_WIRE_HTTP_H
#define SLUICE_BPF_WIRE_HTTP_H

#include "bpf/abi/name.h"
#include "bpf/abi/reason.h"
#include "bpf/wire/rd.h"

#define HTTP_HEAD_MAX 65536
#define HTTP_METHOD_MAX 32
#define HTTP_EMPTY_MAX                                                                             \
	4 /* lines before a request line; Go's server takes two, nginx any number                  \
	   */
#define HTTP_SCHEME_LEN 7
#define HTTP_AUTHORITY_MAX                                                                         \
	(NAME_MAX_LEN + 1 + 6) /* a name, its last dot, a port; no literal is longer */

enum { HTTP_BODY_NONE = 0, HTTP_BODY_LENGTH, HTTP_BODY_CHUNKED };

/* The protocol that the request asks to switch to. NEVER: one of those it asks for would hide
   requests or hellos. */
enum { HTTP_UPGRADE_NONE = 0, HTTP_UPGRADE_OTHER = 1, HTTP_UPGRADE_NEVER = 2 };

struct http {
	__u64 body_len;	       /* HTTP_BODY_LENGTH: more than 0; else 0 */
	struct rd host;	       /* raw, without the port; an IPv6 literal with its brackets */
	__u32 used;	       /* bytes of the head, with the empty lines before and after it */
	__u16 port;	       /* as written after the host; 0: none */
	__u8 has_host;	       /* 1: host is there; 0: no Host and no authority, or an empty Host */
	__u8 minor;	       /* HTTP/1.minor, 0 or 1 */
	__u8 body;	       /* HTTP_BODY_* */
	__u8 upgrade;	       /* HTTP_UPGRADE_* */
	__u8 connection_close; /* 1: the client itself says that this is its last request */
	__u8 head;	       /* 1: the method is HEAD, whose answer has no body */
};

/* A range of the input; end 0: not seen. Nothing judged here can end at offset 0. */
struct http_span {
	__u32 off, end;
};

enum {
	HTTP_AT_METHOD = 0,
	HTTP_AT_EMPTY_LF, /* of an empty line before the method */
	HTTP_AT_TARGET,
	HTTP_AT_VERSION,
	HTTP_AT_LF,
	HTTP_AT_LINE, /* first byte of a header line */
	HTTP_AT_NAME,
	HTTP_AT_VALUE,
	HTTP_AT_LAST_LF,
	HTTP_AT_END,
	HTTP_AT_BAD,
};

/* Words of interest, one column each; a set of words has the byte 0x80 in the column of each. */
#define HTTP_COLUMN(n) (0x80ULL << (n)*8)
#define HTTP_HOST HTTP_COLUMN(0)
#define HTTP_CONTENT_LENGTH HTTP_COLUMN(1)
#define HTTP_TRANSFER_ENCODING HTTP_COLUMN(2)
#define HTTP_CONNECTION HTTP_COLUMN(3)
#define HTTP_UPGRADE HTTP_COLUMN(4)
#define HTTP_CLOSE HTTP_COLUMN(5)
#define HTTP_KEEP_ALIVE HTTP_COLUMN(6)
#define HTTP_ANY_WORD 0x0080808080808080ULL
#define HTTP_FRAMING (HTTP_HOST | HTTP_CONTENT_LENGTH | HTTP_TRANSFER_ENCODING)
/* The parts of a head that are judged separately. */
#define HTTP_PART_LINE 1
#define HTTP_PART_AUTHORITY 2 /* of a target that is not a path */
#define HTTP_PART_HOST 4
#define HTTP_PART_LENGTH 8
#define HTTP_PART_CODING 16

#define HTTP_ROW(a, b, c, d, e, f, g, h)                                                           \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 |   \
	 (__u64)(f) << 40 | (__u64)(g) << 48 | (__u64)(h) << 56)
#define HTTP_ROWS 32

/* Read downwards. Each word ends in 0, and every row after the longest word's is all 0. */
static const __u64 http_words[HTTP_ROWS] = {
	HTTP_ROW('h', 'c', 't', 'c', 'u', 'c', 'k', 0),
	HTTP_ROW('o', 'o', 'r', 'o', 'p', 'l', 'e', 0),
	HTTP_ROW('s', 'n', 'a', 'n', 'g', 'o', 'e', 0),
	HTTP_ROW('t', 't', 'n', 'n', 'r', 's', 'p', 0),
	HTTP_ROW(0, 'e', 's', 'e', 'a', 'e', '-', 0),
	HTTP_ROW(0, 'n', 'f', 'c', 'd', 0, 'a', 0),
	HTTP_ROW(0, 't', 'e', 't', 'e', 0, 'l', 0),
	HTTP_ROW(0, '-', 'r', 'i', 0, 0, 'i', 0),
	HTTP_ROW(0, 'l', '-', 'o', 0, 0, 'v', 0),
	HTTP_ROW(0, 'e', 'e', 'n', 0, 0, 'e', 0),
	HTTP_ROW(0, 'n', 'n', 0, 0, 0, 0, 0),
	HTTP_ROW(0, 'g', 'c', 0, 0, 0, 0, 0),
	HTTP_ROW(0, 't', 'o', 0, 0, 0, 0, 0),
	HTTP_ROW(0, 'h', 'd', 0, 0, 0, 0, 0),
	HTTP_ROW(0, 0, 'i', 0, 0, 0, 0, 0),
	HTTP_ROW(0, 0, 'n', 0, 0, 0, 0, 0),
	HTTP_ROW(0, 0, 'g', 0, 0, 0, 0, 0),
	HTTP_ROW(0, 0, 0, 0, 0, 0, 0, 0),
};

struct http_walk {
	struct rd in;
	__u64 alive;  /* words that match the bytes of this token so far */
	__u64 seen;   /* headers met */
	__u64 field;  /* the header whose value is being read */
	__u64 listed; /* words met in Connection */
	__u64 asked;  /* the last eight bytes of Upgrade */
	__u32 state;
	__u32 row; /* bytes of the token so far; see rd.h for its place */
	__u32 underscore;
	__u32 upgrade; /* HTTP_UPGRADE_* */
	__u32 begin;   /* of the empty lines before the request, if any */
	/* The request line: each part begins one byte after the end of the previous one; 0: not
	   there yet. */
	__u32 start, method_end, target_end, version_end;
	__u32 judged;		    /* parts that were already complete; see rd.h for its place */
	struct http_span authority; /* found when it is judged; end 0: the target is a path */
	struct http_span value, host, length, coding;
};

PURE __u32 http_lower(__u32 c)
{
	return c - 'A' < 26 ? c + ('a' - 'A') : c;
}

PURE int http_in_set(__u32 c, __u64 low, __u64 high)
{
	return c < 128 && ((c < 64 ? low : high) >> (c & 63) & 1);
}

/* RFC 9110 5.6.2: letters, digits and !#$%&'*+-.^_`|~ */
PURE int http_is_token(__u32 c)
{
	return http_in_set(c, 0x03ff6cfa00000000ULL, 0x57ffffffc7fffffeULL);
}

/*
 * What nginx accepts, which covers every method in use. Some servers, but not all, read small
 * letters as capitals; digits and the other characters of a token begin IMAP tags, and no method.
 */
PURE int http_is_method(__u32 c)
{
	return c - 'A' < 26 || c == '-' || c == '_';
}

/* Which of our protocols a connection's first byte begins, if any. */
PURE int flight_proto(__u8 first)
{
	if (first == 0x16)
		return PROTO_TLS;
	return http_is_method(first) || first == '\r' ? PROTO_HTTP : PROTO_NONE;
}

/* RFC 3986 3.2.2 reg-name: letters, digits and -._~!$%&'()*+;= ; a comma would be a list. */
PURE int http_is_host(__u32 c)
{
	return http_in_set(c, 0x2bff6ff200000000ULL, 0x47fffffe87fffffeULL);
}

PURE void http_token_begin(struct http_walk *w)
{
	w->alive = HTTP_ANY_WORD;
	w->row = 0;
	w->underscore = 0;
}

/* Strikes out the words that do not have c at this position; c is 0 at the token's end. */
PURE void http_token_byte(struct http_walk *w, __u32 c)
{
	__u64 x;

	if (c == '_') {
		w->underscore = 1;
		c = '-';
	}
	x = http_words[rd_blind(w->in.buf, w->row) & (HTTP_ROWS - 1)];
	x ^= http_lower(c) * 0x0101010101010101ULL;
	x = ((x & ~HTTP_ANY_WORD) + ~HTTP_ANY_WORD) | x; /* top bit clear: the byte was 0 */
	w->alive &= ~x;
	if (w->row < HTTP_ROWS - 1)
		w->row++;
}

PURE __u32 http_name_end(struct http_walk *w)
{
	http_token_byte(w, 0);
	if (w->alive & HTTP_FRAMING && (w->underscore || w->seen & w->alive))
		return HTTP_AT_BAD; /* a second one, or CONTENT_LENGTH, as some gateways spell it */
	w->seen |= w->alive;
	w->field = w->alive;
	w->value.off = 0;
	w->value.end = 0;
	http_token_begin(w);
	return HTTP_AT_VALUE;
}

/* A proxy behind us would strip the headers that Connection names, so none of them may be one we
   judged by. */
PURE __u32 http_listed(struct http_walk *w)
{
	http_token_byte(w, 0);
	w->listed |= w->alive;
	http_token_begin(w);
	return w->listed & HTTP_FRAMING ? HTTP_AT_BAD : HTTP_AT_VALUE;
}

PURE __u32 http_value_end(struct http_walk *w)
{
	if (w->value.end == 0) {
		w->value.off = w->in.off;
		w->value.end = w->in.off;
	}
	if (w->field == HTTP_HOST)
		w->host = w->value;
	else if (w->field == HTTP_CONTENT_LENGTH)
		w->length = w->value;
	else if (w->field == HTTP_TRANSFER_ENCODING)
		w->coding = w->value;
	else if (w->field == HTTP_CONNECTION && http_listed(w) == HTTP_AT_BAD)
		return HTTP_AT_BAD;
	return HTTP_AT_LF;
}

#define HTTP_WORD(a, b, c, d, e, f, g, h) HTTP_ROW(h, g, f, e, d, c, b, a)
#define HTTP_TAIL(word, n) ((word) & ~0ULL >> (64 - (n)*8))

/*
 * Does the value of Upgrade, whose last bytes these are, name a protocol that hides requests or
 * hellos: HTTP/2 and its kind, TLS, a tunnel (connect-udp)? The word counts wherever it stands in
 * the value, because each server searches the value in its own way.
 */
ALONE int http_is_never(__u64 word)
{
	__u64 two = HTTP_TAIL(word, 2), three = HTTP_TAIL(word, 3), four = HTTP_TAIL(word, 4);

	return two == HTTP_WORD(0, 0, 0, 0, 0, 0, 'h', '2') ||
	       two == HTTP_WORD(0, 0, 0, 0, 0, 0, 'h', '3') ||
	       three == HTTP_WORD(0, 0, 0, 0, 0, 't', 'l', 's') ||
	       three == HTTP_WORD(0, 0, 0, 0, 0, 's', 's', 'l') ||
	       four == HTTP_WORD(0, 0, 0, 0, 'h', 't', 't', 'p') ||
	       four == HTTP_WORD(0, 0, 0, 0, 's', 'p', 'd', 'y') ||
	       HTTP_TAIL(word, 7) == HTTP_WORD(0, 'c', 'o', 'n', 'n', 'e', 'c', 't');
}

/* All Upgrade lines form one list, and a server may pick any entry of it (RFC 9110 7.8). */
PURE void http_upgrade_byte(struct http_walk *w, __u32 c)
{
	w->asked = w->asked << 8 | http_lower(c);
	if (http_is_never(w->asked))
		w->upgrade = HTTP_UPGRADE_NEVER;
	else if (w->upgrade == HTTP_UPGRADE_NONE)
		w->upgrade = HTTP_UPGRADE_OTHER;
}

PURE __u32 http_value_byte(struct http_walk *w, __u32 c)
{
	if (c == '\r')
		return http_value_end(w);
	if (c == '\t' && w->field & HTTP_FRAMING) /* some read it as part of the value */
		return HTTP_AT_BAD;
	if (c == ' ' || c == '\t')
		return w->field == HTTP_CONNECTION ? http_listed(w) : HTTP_AT_VALUE;
	if (c < ' ' || c == 0x7f)
		return HTTP_AT_BAD;
	if (w->value.end == 0)
		w->value.off = w->in.off;
	w->value.end = w->in.off + 1;
	if (w->field == HTTP_CONNECTION) {
		if (c == ',')
			return http_listed(w);
		http_token_byte(w, c);
	} else if (w->field == HTTP_UPGRADE) {
		http_upgrade_byte(w, c);
	}
	return HTTP_AT_VALUE;
}

PURE __u32 http_line_byte(struct http_walk *w, __u32 c)
{
	if (w->state == HTTP_AT_LINE)
		http_token_begin(w);
	else if (c == ':')
		return http_name_end(w);
	if (!http_is_token(c))
		return HTTP_AT_BAD;
	http_token_byte(w, c);
	return HTTP_AT_NAME;
}

/*
 * RFC 9112 2.2: old clients send an empty line after a body, which servers ignore or answer with an
 * error. So it is carried with the request that follows, and moves no boundary.
 */
PURE __u32 http_method_byte(struct http_walk *w, __u32 c)
{
	__u32 at = w->in.off, n = at - w->start;

	if (c == ' ' && n) {
		w->method_end = at;
		return HTTP_AT_TARGET;
	}
	if (c == '\r' && n == 0 && at - w->begin < 2 * HTTP_EMPTY_MAX)
		return HTTP_AT_EMPTY_LF;
	return http_is_method(c) ? HTTP_AT_METHOD : HTTP_AT_BAD;
}

/*
 * Method, target and version: visible characters with one space between the parts and a CR at the
 * end. A target may also have bytes from 0x80 up, which clients do not always encode.
 */
PURE __u32 http_request_byte(struct http_walk *w, __u32 c)
{
	__u32 at = w->in.off;

	if (w->state == HTTP_AT_METHOD)
		return http_method_byte(w, c);
	if (w->state == HTTP_AT_EMPTY_LF) {
		w->start = at + 1;
		return c == '\n' ? HTTP_AT_METHOD : HTTP_AT_BAD;
	}
	if (c > ' ' && c < 0x7f)
		return w->state;
	if (w->state == HTTP_AT_TARGET) {
		if (c > 0x7f)
			return HTTP_AT_TARGET;
		if (c == ' ' && at > w->method_end + 1) {
			w->target_end = at;
			return HTTP_AT_VERSION;
		}
	} else if (c == '\r') {
		w->version_end = at;
		return HTTP_AT_LF;
	}
	return HTTP_AT_BAD;
}

static long http_byte(__u32 i, void *ctx)
{
	struct http_walk *w = ctx;
	__u32 c, state = w->state;

	(void)i;
	if (w->in.off >= w->in.end)
		return LOOP_END;
	c = rd_at(&w->in, w->in.off);
	if (state <= HTTP_AT_VERSION)
		state = http_request_byte(w, c);
	else if (state == HTTP_AT_LF)
		state = c == '\n' ? HTTP_AT_LINE : HTTP_AT_BAD;
	else if (state == HTTP_AT_LINE && c == '\r')
		state = HTTP_AT_LAST_LF;
	else if (state == HTTP_AT_LINE || state == HTTP_AT_NAME)
		state = http_line_byte(w, c);
	else if (state == HTTP_AT_VALUE)
		state = http_value_byte(w, c);
	else
		state = c == '\n' ? HTTP_AT_END : HTTP_AT_BAD;
	w->state = state;
	w->in.off++;
	return state >= HTTP_AT_END ? LOOP_END : LOOP_NEXT;
}

/* Sets r, over the same bytes, to the span. */
PURE void http_at(struct rd *r, const struct http_span *span)
{
	r->off = span->off;
	r->end = span->end;
}

/* Up to 18 bytes as a short word and as a decimal number. */
struct http_short {
	struct rd in;
	__u64 word; /* the last eight bytes, the first of them on top; 0: there are more */
	__u64 value;
	__u32 bad; /* 1: not a number */
};

#define HTTP_FOLD 0x2020202020202020ULL /* of visible bytes, `word | FOLD` folds letters alone */

static long http_short_byte(__u32 i, void *ctx)
{
	struct http_short *n = ctx;
	__u32 c;

	(void)i;
	if (n->in.off >= n->in.end)
		return LOOP_END;
	c = rd_at(&n->in, n->in.off);
	n->in.off++;
	n->word = n->word << 8 | c;
	n->value = n->value * 10 + (c - '0');
	if (c - '0' > 9)
		n->bad = 1;
	return LOOP_NEXT;
}

/* n->in holds the bytes. */
PURE void http_short(struct http_short *n)
{
	__u32 len = rd_left(&n->in);

	n->word = LOOP_ZERO;
	n->value = LOOP_ZERO;
	n->bad = LOOP_ZERO;
	if (len == 0 || len > 18)
		n->bad = 1;
	else
		loop(18, http_short_byte, n);
	if (len > 8)
		n->word = 0;
}

struct http_authority {
	struct rd in;
	__u32 first;
	__u32 colon;   /* offset of the port's colon; 0: none */
	__u32 literal; /* 1: inside brackets, 2: after them */
	__u32 port;
	__u32 bad;
	__u32 pad;
};

/* The next digit: 1 to 65535, and no leading zeros, which some read as octal. */
PURE void http_port_byte(struct http_authority *a, __u32 c)
{
	a->port = a->port * 10 + (c - '0');
	if (c - '0' > 9 || a->port == 0 || a->port > 65535)
		a->bad = 1;
}

static long http_authority_byte(__u32 i, void *ctx)
{
	struct http_authority *a = ctx;
	__u32 at = a->in.off, c;

	(void)i;
	if (at >= a->in.end)
		return LOOP_END;
	c = rd_at(&a->in, at);
	a->in.off++;
	if (a->colon) {
		http_port_byte(a, c);
	} else if (a->literal == 1) {
		if (c == ']')
			a->literal = 2;
		else if (http_lower(c) - 'a' > 5 && c - '0' > 10 && c != '.') /* digits and ':' */
			a->bad = 1;
	} else if (c == ':') {
		a->colon = at;
	} else if (c == '[' && at == a->first) {
		a->literal = 1;
	} else if (a->literal == 2 || !http_is_host(c)) {
		a->bad = 1;
	}
	return LOOP_NEXT;
}

/* host [":" [port]], without a user. `in` is over the same bytes as the span. */
PART int http_authority(const struct rd *in, const struct http_span *span, struct http *h)
{
	struct http_authority a = {
		.in = *in,
		.first = span->off,
		.colon = LOOP_ZERO,
		.literal = LOOP_ZERO,
		.port = LOOP_ZERO,
		.bad = LOOP_ZERO,
	};
	__u32 end = span->end;

	http_at(&a.in, span);
	if (end - span->off > HTTP_AUTHORITY_MAX)
		return PARSE_BAD;
	loop(HTTP_AUTHORITY_MAX, http_authority_byte, &a);
	if (a.colon)
		end = a.colon;
	if (a.bad || a.literal == 1 || end <= span->off)
		return PARSE_BAD;
	h->port = a.port;
	h->host.off = span->off;
	h->host.end = end;
	h->has_host = 1;
	return PARSE_OK;
}

struct http_same {
	struct rd in;
	__u32 end, other; /* in this order, see rd.h */
	__u32 differ;
};

/* Compares the rest of `in` with the bytes from `other`, ignoring case. */
static long http_same_byte(__u32 i, void *ctx)
{
	struct http_same *s = ctx;

	(void)i;
	if (s->in.off >= s->in.end || s->other >= s->end)
		return LOOP_END;
	if (http_lower(rd_at(&s->in, s->in.off)) != http_lower(rd_at(&s->in, s->other))) {
		s->differ = 1;
		return LOOP_END;
	}
	s->in.off++;
	s->other++;
	return LOOP_NEXT;
}

PART int http_same(const struct rd *in, const struct http_span *a, const struct http_span *b)
{
	struct http_same s = { .in = *in, .other = b->off, .end = b->end };

	s.differ = LOOP_ZERO;
	if (a->end - a->off != b->end - b->off)
		return 0;
	http_at(&s.in, a);
	loop(HTTP_AUTHORITY_MAX, http_same_byte, &s);
	return !s.differ;
}

struct http_scheme {
	struct rd in;
	__u64 word; /* the first seven bytes */
	__u32 n, pad;
};

static long http_scheme_byte(__u32 i, void *ctx)
{
	struct http_scheme *s = ctx;
	__u32 c;

	(void)i;
	if (s->in.off >= s->in.end)
		return LOOP_END;
	c = rd_at(&s->in, s->in.off);
	if (s->n < HTTP_SCHEME_LEN) {
		s->word = s->word << 8 | c;
		s->n++;
	} else if (c == '/') {
		return LOOP_END;
	}
	s->in.off++;
	return LOOP_NEXT;
}

/* The authority of an absolute http:// target: all of it, or more bytes than any authority has. */
PART int http_absolute(struct http_walk *w)
{
	struct http_scheme s = { .in = w->in, .word = LOOP_ZERO, .n = LOOP_ZERO };

	s.in.off = w->method_end + 1;
	s.in.end = w->target_end ? w->target_end : w->in.off;
	loop(HTTP_SCHEME_LEN + HTTP_AUTHORITY_MAX + 1, http_scheme_byte, &s);
	w->authority.off = w->method_end + 1 + HTTP_SCHEME_LEN;
	w->authority.end = s.in.off;
	if (s.n < HTTP_SCHEME_LEN ||
	    (s.word | HTTP_FOLD) != HTTP_WORD(' ', 'h', 't', 't', 'p', ':', '/', '/'))
		return PARSE_BAD;
	return w->authority.end > w->authority.off ? PARSE_OK : PARSE_BAD;
}

/* Method and version. */
PART int http_judge_request(const struct http_walk *w, struct http *h)
{
	struct http_short n = { .in = w->in };
	__u32 target = w->method_end + 1;

	n.in.off = w->start;
	n.in.end = w->method_end;
	http_short(&n);
	if (n.word == HTTP_WORD(0, 'C', 'O', 'N', 'N', 'E', 'C', 'T')) /* a tunnel for anything */
		return PARSE_BAD;
	h->head = n.word == HTTP_WORD(0, 0, 0, 0, 'H', 'E', 'A', 'D');
	if (rd_at(&n.in, target) == '*' &&
	    (w->target_end - target != 1 ||
	     n.word != HTTP_WORD(0, 'O', 'P', 'T', 'I', 'O', 'N', 'S')))
		return PARSE_BAD;
	n.in.off = w->target_end + 1;
	n.in.end = w->version_end;
	http_short(&n);
	if (n.word == HTTP_WORD('H', 'T', 'T', 'P', '/', '1', '.', '1'))
		h->minor = 1;
	else if (n.word != HTTP_WORD('H', 'T', 'T', 'P', '/', '1', '.', '0'))
		return PARSE_BAD;
	return PARSE_OK;
}

/* Is the part complete now, and was it not before? */
PURE int http_due(struct http_walk *w, __u32 complete, __u32 part)
{
	if (!complete || w->judged & part)
		return 0;
	w->judged |= part;
	return 1;
}

/* The host: from the Host header, or from an absolute target, with which Host must then agree. */
PURE int http_judge_host(struct http_walk *w, struct http *h)
{
	__u32 first = rd_at(&w->in, w->method_end + 1);
	struct http_span authority = w->host;

	if (first != '/' && first != '*') {
		if (http_due(w, w->host.end, HTTP_PART_HOST) && w->judged & HTTP_PART_AUTHORITY)
			return http_same(&w->in, &w->authority, &w->host) ? PARSE_OK : PARSE_BAD;
		if (!http_due(w, 1, HTTP_PART_AUTHORITY))
			return PARSE_OK;
		if (http_absolute(w) != PARSE_OK ||
		    (w->host.end && !http_same(&w->in, &w->authority, &w->host)))
			return PARSE_BAD;
		authority = w->authority;
	} else if (!http_due(w, w->host.end, HTTP_PART_HOST)) {
		return PARSE_OK;
	}
	if (authority.end == authority.off)
		return PARSE_OK;
	return http_authority(&w->in, &authority, h);
}

/* Where the body ends: given in exactly one way, or it is bad. */
PART int http_judge_body(const struct http_walk *w, struct http *h)
{
	struct http_short n = { .in = w->in };

	if (w->coding.end) {
		http_at(&n.in, &w->coding);
		http_short(&n);
		if ((n.word | HTTP_FOLD) != HTTP_WORD(' ', 'c', 'h', 'u', 'n', 'k', 'e', 'd') ||
		    h->minor == 0 || w->length.end)
			return PARSE_BAD;
		h->body = HTTP_BODY_CHUNKED;
	} else if (w->length.end) {
		http_at(&n.in, &w->length);
		if (rd_at(&n.in, n.in.off) == '0' && rd_left(&n.in) > 1) /* some read it as octal */
			return PARSE_BAD;
		http_short(&n);
		if (n.bad)
			return PARSE_BAD;
		h->body = n.value ? HTTP_BODY_LENGTH : HTTP_BODY_NONE;
		h->body_len = n.value;
	}
	return PARSE_OK;
}

PURE void http_span_begin(struct http_span *s)
{
	s->off = LOOP_ZERO;
	s->end = LOOP_ZERO;
}

PURE void http_begin(struct http_walk *w, const struct rd *in)
{
	w->in = *in;
	w->state = LOOP_ZERO + HTTP_AT_METHOD;
	w->alive = LOOP_ZERO;
	w->seen = LOOP_ZERO;
	w->field = LOOP_ZERO;
	w->listed = LOOP_ZERO;
	w->asked = LOOP_ZERO;
	w->upgrade = LOOP_ZERO + HTTP_UPGRADE_NONE;
	w->row = LOOP_ZERO;
	w->underscore = LOOP_ZERO;
	w->judged = LOOP_ZERO;
	w->begin = in->off;
	w->start = in->off;
	w->method_end = LOOP_ZERO;
	w->target_end = LOOP_ZERO;
	w->version_end = LOOP_ZERO;
	http_span_begin(&w->authority);
	http_span_begin(&w->value);
	http_span_begin(&w->host);
	http_span_begin(&w->length);
	http_span_begin(&w->coding);
}

/* Longer than such a part may be, which is known without waiting for more of it. */
PURE int http_too_long(const struct http_walk *w)
{
	__u32 method = w->method_end ? w->method_end : w->in.off;

	return w->in.off - w->begin > HTTP_HEAD_MAX || method - w->start > HTTP_METHOD_MAX ||
	       (w->field == HTTP_HOST && w->value.end - w->value.off > HTTP_AUTHORITY_MAX);
}

/* The end of a target's authority is known after the line, or once the authority is too long. */
PURE int http_target_known(const struct http_walk *w)
{
	return w->version_end ||
	       (w->method_end &&
		w->in.off - w->method_end > 1 + HTTP_SCHEME_LEN + HTTP_AUTHORITY_MAX);
}

/*
 * Judges the parts that have become complete since the last call, even if the head is not, and none
 * of them twice: a client that sends single bytes must not make us go over the whole head for each.
 */
PURE int http_judge(struct http_walk *w, struct http *h)
{
	if (http_due(w, w->version_end, HTTP_PART_LINE) && http_judge_request(w, h) != PARSE_OK)
		return PARSE_BAD;
	if (http_target_known(w) && http_judge_host(w, h) != PARSE_OK)
		return PARSE_BAD;
	if (http_due(w, w->length.end, HTTP_PART_LENGTH) |
	    http_due(w, w->coding.end, HTTP_PART_CODING))
		return http_judge_body(w, h);
	return PARSE_OK;
}

/*
 * Goes on from where the walk stopped to the end of w->in, which has what it had before and perhaps
 * more. As http_parse(), but *h, all zero at first, keeps what is known so far and is also written
 * to on failure.
 */
PURE int http_go_on(struct http_walk *w, struct http *h)
{
	loop(LOOP_INPUT, http_byte, w);
	if (w->state == HTTP_AT_BAD || http_too_long(w) || http_judge(w, h) != PARSE_OK)
		return PARSE_BAD;
	if (w->state != HTTP_AT_END)
		return PARSE_MORE;
	h->host.buf = w->in.buf;
	h->used = w->in.off - w->begin;
	h->upgrade = h->minor ? w->upgrade : HTTP_UPGRADE_NONE; /* RFC 9110 7.8 */
	h->connection_close = w->listed & HTTP_CLOSE ||
			      (!h->minor && !(w->listed & HTTP_KEEP_ALIVE));
	return PARSE_OK;
}

/* Is it a request at all, good or bad? */
PURE int http_begun(const struct http_walk *w)
{
	return w->method_end && w->method_end - w->start <= HTTP_METHOD_MAX;
}

PART int http_head(const struct rd *in, struct http *h)
{
	struct http_walk w;

	http_begin(&w, in);
	return http_go_on(&w, h);
}

/*
 * Input: bytes from the start of a request.
 * PARSE_OK:   *out is filled; bytes after out->used are not looked at.
 * PARSE_MORE: the head's end is not there yet and nothing before it is bad. *out untouched.
 * PARSE_BAD:  not a request, one that can be read in two ways, or one that we will not carry
 *             (CONNECT). *out untouched.
 */
PURE int http_parse(struct rd in, struct http *out)
{
	struct http h = { .used = 0 };
	int rc;

	if (in.bad)
		return PARSE_BAD;
	if (rd_left(&in) == 0)
		return PARSE_MORE;
	rc = http_head(&in, &h);
	if (rc == PARSE_OK)
		*out = h;
	return rc;
}

#endif
