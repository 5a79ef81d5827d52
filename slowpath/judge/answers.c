// SPDX-License-Identifier: GPL-2.0-or-later
// Heads and the lines of chunks are read a byte at a time, bodies by their length.
#include "slowpath/judge/answers.h"

#include <string.h>

#define STATUS_SWITCHING 101
#define STATUS_NO_CONTENT 204
#define STATUS_NOT_MODIFIED 304
#define FRAMING (HTTP_CONTENT_LENGTH | HTTP_TRANSFER_ENCODING)

static const char version[] = "HTTP/1.";

/* Offsets in the status line. */
enum {
	PLACE_MINOR = sizeof(version) - 1,
	PLACE_SPACE,
	PLACE_STATUS,
	PLACE_REASON = PLACE_STATUS + 3,
};

enum {
	AT_STATUS, /* all up to the digits and one byte after them */
	AT_REASON,
	AT_LF,
	AT_LINE, /* first byte of a field line */
	AT_NAME,
	AT_VALUE,
	AT_LAST_LF,
	AT_BODY, /* with a length */
	AT_CHUNKS,
	AT_UNFOLLOWED, /* in this state and those below nothing more is looked at */
	AT_UNTIL_CLOSE = AT_UNFOLLOWED,
	AT_SWITCHED,
	AT_LOST,
};

/* The answer is complete. */
static unsigned answered(struct answers *a)
{
	a->heads >>= 1;
	a->grants >>= 1;
	a->nevers >>= 1;
	a->waiting--;
	a->left = 0;
	memset(&a->head, 0, sizeof(a->head));
	return AT_STATUS;
}

/* ---- the status line ---- */

/* Not if another request follows: the server would read it as part of the other protocol. */
static bool may_switch(const struct answers *a)
{
	return a->grants & 1 && a->waiting == 1 && a->head.minor;
}

/* The other 1xx answers only precede the one that counts. */
static unsigned status_end(struct answers *a, uint8_t b)
{
	unsigned status = a->head.status;

	if ((b != ' ' && b != '\r') || status < 100)
		return AT_LOST;
	if (status == STATUS_SWITCHING && !may_switch(a) && !(a->nevers & 1))
		return AT_LOST;
	if (status >= 200)
		a->grants &= ~(uint64_t)1;
	else if (!a->head.minor)
		return AT_LOST; /* RFC 9110 15.2: HTTP/1.0 has none */
	return b == '\r' ? AT_LF : AT_REASON;
}

static unsigned status_byte(struct answers *a, uint8_t b)
{
	struct answers_head *h = &a->head;
	unsigned place = h->len - 1;

	if (a->waiting == 0) /* an answer without a request */
		return AT_LOST;
	if (place < PLACE_MINOR)
		return (uint8_t)version[place] == b ? AT_STATUS : AT_LOST;
	if (place == PLACE_MINOR) {
		h->minor = b == '1';
		return b == '0' || b == '1' ? AT_STATUS : AT_LOST;
	}
	if (place == PLACE_SPACE)
		return b == ' ' ? AT_STATUS : AT_LOST;
	if (place == PLACE_REASON)
		return status_end(a, b);
	h->status = (uint16_t)(h->status * 10 + (b - '0'));
	return b >= '0' && b <= '9' ? AT_STATUS : AT_LOST;
}

/* ---- fields ---- */

static unsigned text_byte(uint8_t b, unsigned here)
{
	if (b == '\r')
		return AT_LF;
	return (b < ' ' && b != '\t') || b == 0x7f ? AT_LOST : here;
}

static unsigned name_end(struct answers_field *f)
{
	token_byte(&f->name, 0);
	f->what = f->name.alive & FRAMING;
	f->over = false;
	f->len = 0;
	/* CONTENT_LENGTH, as some gateways spell it */
	return f->what && f->name.underscore ? AT_LOST : AT_VALUE;
}

static unsigned name_byte(struct answers *a, uint8_t b)
{
	struct answers_field *f = &a->field;

	if (a->state == AT_LINE)
		token_begin(&f->name);
	else if (b == ':')
		return name_end(f);
	if (!http_is_token(b))
		return AT_LOST;
	token_byte(&f->name, b);
	return AT_NAME;
}

static unsigned take_length(struct answers *a, const struct http_short *n)
{
	const struct answers_field *f = &a->field;

	if (n->bad || (f->value[0] == '0' && f->len > 1) || /* some read it as octal */
	    (a->head.has_length && a->left != n->value))
		return AT_LOST;
	a->head.has_length = true;
	a->left = n->value;
	return AT_LF;
}

static unsigned take_coding(struct answers_head *h, const struct http_short *n)
{
	if ((n->word | HTTP_FOLD) != HTTP_WORD(' ', 'c', 'h', 'u', 'n', 'k', 'e', 'd') ||
	    h->chunked || !h->minor)
		return AT_LOST;
	h->chunked = true;
	return AT_LF;
}

static unsigned framing_end(struct answers *a)
{
	struct http_short n;

	rd_init(&n.in, a->field.value, a->field.len);
	http_short(&n);
	return a->field.what == HTTP_CONTENT_LENGTH ? take_length(a, &n) :
						      take_coding(&a->head, &n);
}

static unsigned framing_byte(struct answers *a, uint8_t b)
{
	struct answers_field *f = &a->field;

	if (b == '\r')
		return framing_end(a);
	if (b == ' ') {
		f->over = f->len > 0;
		return AT_VALUE;
	}
	/* some read a tab as part of the value */
	if (b < ' ' || f->over || f->len == ANSWERS_VALUE_MAX)
		return AT_LOST;
	f->value[f->len++] = b;
	return AT_VALUE;
}

/* ---- the body ---- */

/*
 * Clients disagree about a length after 204 or 304: some wait for that body, although there is
 * none. With HEAD they know, because they asked for it themselves.
 */
static bool contradicts(const struct answers *a, bool bodiless, bool asked_head)
{
	const struct answers_head *h = &a->head;

	if (h->chunked && h->has_length)
		return true;
	return bodiless && (!asked_head || h->status < 200) && (h->chunked || a->left);
}

/* The end of an interim answer, which comes before the one that counts. */
static unsigned interim_end(struct answers *a)
{
	if (a->head.status == STATUS_SWITCHING)
		return a->nevers & 1 ? answered(a) : AT_SWITCHED;
	memset(&a->head, 0, sizeof(a->head));
	return AT_STATUS;
}

static unsigned head_end(struct answers *a)
{
	const struct answers_head *h = &a->head;
	bool interim = h->status < 200, asked_head = a->heads & 1;
	bool bodiless = interim || h->status == STATUS_NO_CONTENT ||
			h->status == STATUS_NOT_MODIFIED;

	if (contradicts(a, bodiless, asked_head))
		return AT_LOST;
	if (interim)
		return interim_end(a);
	if (bodiless || asked_head)
		return answered(a);
	if (h->chunked) {
		http_chunks_init(&a->chunks);
		return AT_CHUNKS;
	}
	return !h->has_length ? AT_UNTIL_CLOSE : a->left ? AT_BODY : answered(a);
}

static unsigned take_left(struct answers *a, uint64_t n)
{
	a->left -= n;
	return a->left ? AT_BODY : answered(a);
}

static size_t feed_body(struct answers *a, const uint8_t *data, size_t len)
{
	size_t n = len < a->left ? len : (size_t)a->left;

	if (a->state == AT_BODY) {
		a->state = take_left(a, n);
		return n;
	}
	switch (http_chunks_feed(&a->chunks, data, len, &n)) {
	case PARSE_OK:
		a->state = answered(a);
		break;
	case PARSE_BAD:
		a->state = AT_LOST;
	}
	return n;
}

/* ---- the machine ---- */

/* Passes over text that means nothing to us, which is most of a head. */
static size_t pass_text(struct answers *a, const uint8_t *data, size_t len)
{
	size_t n = 0;

	if (a->state != AT_REASON && (a->state != AT_VALUE || a->field.what))
		return 0;
	while (n < len && a->head.len + n < HTTP_HEAD_MAX && data[n] >= ' ' && data[n] != 0x7f)
		n++;
	a->head.len += (unsigned)n;
	return n;
}

static unsigned step(struct answers *a, uint8_t b)
{
	if (++a->head.len > HTTP_HEAD_MAX)
		return AT_LOST;
	switch (a->state) {
	case AT_STATUS:
		return status_byte(a, b);
	case AT_REASON:
		return text_byte(b, AT_REASON);
	case AT_LF:
		return b == '\n' ? AT_LINE : AT_LOST;
	case AT_LINE:
		return b == '\r' ? AT_LAST_LF : name_byte(a, b);
	case AT_NAME:
		return name_byte(a, b);
	case AT_VALUE:
		return a->field.what ? framing_byte(a, b) : text_byte(b, AT_VALUE);
	case AT_LAST_LF:
		return b == '\n' ? head_end(a) : AT_LOST;
	}
	return AT_LOST;
}

static size_t feed_head(struct answers *a, const uint8_t *data, size_t len)
{
	size_t n = pass_text(a, data, len);

	if (n < len)
		a->state = step(a, data[n++]);
	return n;
}

enum answers_word answers_feed(struct answers *a, const uint8_t *data, size_t len, size_t *used)
{
	size_t off = 0;

	*used = len;
	if (a->state >= AT_UNFOLLOWED)
		return ANSWERS_GO_ON;
	while (off < len && a->state < AT_UNFOLLOWED) {
		if (a->state == AT_BODY || a->state == AT_CHUNKS)
			off += feed_body(a, data + off, len - off);
		else
			off += feed_head(a, data + off, len - off);
	}
	if (a->state == AT_SWITCHED) {
		*used = off;
		return ANSWERS_SWITCHED;
	}
	return ANSWERS_GO_ON;
}

void answers_expect(struct answers *a, bool head, unsigned upgrade)
{
	if (a->waiting == ANSWERS_WAITING_MAX) {
		answers_lose(a);
		return;
	}
	a->heads |= (uint64_t)head << a->waiting;
	a->grants |= (uint64_t)(upgrade == HTTP_UPGRADE_OTHER) << a->waiting;
	a->nevers |= (uint64_t)(upgrade == HTTP_UPGRADE_NEVER) << a->waiting;
	a->waiting++;
}

bool answers_open(const struct answers *a)
{
	return a->state != AT_STATUS || a->head.len != 0;
}

unsigned answers_missing(const struct answers *a)
{
	return a->waiting;
}

bool answers_between(const struct answers *a)
{
	return !answers_open(a) && a->waiting == 0;
}

bool answers_undecided(const struct answers *a)
{
	return a->state < AT_UNFOLLOWED && a->grants;
}

uint64_t answers_skippable(const struct answers *a)
{
	if (a->state >= AT_UNFOLLOWED)
		return ANSWERS_SKIP_ALL;
	return a->state == AT_BODY ? a->left : 0;
}

void answers_skip(struct answers *a, uint64_t n)
{
	if (n > answers_skippable(a))
		answers_lose(a);
	else if (a->state == AT_BODY)
		a->state = take_left(a, n);
}

void answers_lose(struct answers *a)
{
	a->state = AT_LOST;
}
