// SPDX-License-Identifier: GPL-2.0-or-later
// Any bytes as the administrator's page and the client's name: the answer is one HTTP response
// for another parser, the name brings no markup into it, and what is no placeholder stays.
#include <http_parser.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/abi/name.h"
#include "slowpath/proxy/deny.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct response {
	size_t body_len;
	const char *body;
	unsigned complete;
};

static int on_body(http_parser *p, const char *at, size_t len)
{
	struct response *r = p->data;

	if (!r->body)
		r->body = at;
	r->body_len += len;
	return 0;
}

static int on_complete(http_parser *p)
{
	struct response *r = p->data;

	r->complete++;
	return 0;
}

static size_t count(const char *p, size_t len, char c)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += p[i] == c;
	return n;
}

static void check_response(const char *text, size_t len, const char *page)
{
	http_parser_settings settings;
	struct response r = { .body_len = 0 };
	http_parser p;

	http_parser_settings_init(&settings);
	settings.on_body = on_body;
	settings.on_message_complete = on_complete;
	http_parser_init(&p, HTTP_RESPONSE);
	p.data = &r;
	if (http_parser_execute(&p, &settings, text, len) != len || r.complete != 1 ||
	    p.status_code < 403 || http_should_keep_alive(&p))
		abort();
	if (page && (count(r.body, r.body_len, '<') != count(page, strlen(page), '<') ||
		     count(r.body, r.body_len, '\n') != count(page, strlen(page), '\n')))
		abort();
	if (page && !strchr(page, '%') &&
	    (r.body_len != strlen(page) || (r.body && memcmp(r.body, page, r.body_len) != 0)))
		abort();
}

/* The reason, the name to the first NUL, the page to the next. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf conf = { .deny_page_text = NULL };
	size_t name_len, len = 0;
	char *name, *page, *text;

	if (size < 1)
		return 0;
	name_len = strnlen((const char *)data + 1, size - 1);
	name = strndup((const char *)data + 1, name_len < NAME_MAX_LEN ? name_len : NAME_MAX_LEN);
	page = 1 + name_len < size ?
		       strndup((const char *)data + 2 + name_len, size - 2 - name_len) :
		       strdup("");
	if (!page)
		abort();
	conf.deny_page_text = page;
	text = name ? deny_http(&conf, name, data[0], &len) : NULL;
	if (!text)
		abort();
	check_response(text, len, page);
	free(text);
	free(name);
	free(page);
	return 0;
}
