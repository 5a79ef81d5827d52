// SPDX-License-Identifier: GPL-2.0-or-later
// The words of a refusal. The page is the administrator's; the name in it is the client's, and
// therefore escaped.
#include "slowpath/proxy/deny.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/abi/reason.h"
#include "common/cleanup.h"
#include "slowpath/report/log_line.h"

const uint8_t deny_tls_alert[DENY_TLS_LEN] = {
	21,	    /* alert */
	0x03, 0x03, /* legacy_record_version */
	0x00, 0x02, /* length */
	2,	    /* fatal */
	49,	    /* access_denied */
};

static void put_text(FILE *f, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c >= 0x7f || strchr("&<>\"'", c))
			fprintf(f, "&#%u;", c < 0x20 || c >= 0x7f ? '?' : c);
		else
			putc(c, f);
	}
}

/* %h, %r and %%; any other percent sign is the page's own ("width: 100%"). */
static void put_page(FILE *f, const char *page, const char *name, unsigned reason)
{
	for (; *page; page++) {
		if (*page != '%' || !page[1] || !strchr("hr%", page[1])) {
			putc(*page, f);
			continue;
		}
		page++;
		if (*page == 'h')
			put_text(f, name);
		else if (*page == 'r')
			put_text(f, reason_word(reason));
		else
			putc('%', f);
	}
}

static char *make_body(const struct conf *conf, const char *name, unsigned reason, size_t *len)
{
	AUTO_FREE char *body = NULL;
	FILE *f = open_memstream(&body, len);
	bool bad;

	if (!f)
		return NULL;
	put_page(f, conf->deny_page_text, name, reason);
	bad = ferror(f);
	if (fclose(f) != 0 || bad)
		return NULL;
	return TAKE(body);
}

/* RFC 9110 15.5.4, 15.6.3 to 15.6.5. */
static const char *status(unsigned reason)
{
	switch (reason) {
	case REASON_LIMIT:
		return "503 Service Unavailable";
	case REASON_UPSTREAM_REFUSED:
	case REASON_UPSTREAM_RESET:
		return "502 Bad Gateway";
	case REASON_UPSTREAM_TIMEOUT:
		return "504 Gateway Timeout";
	}
	return "403 Forbidden";
}

char *deny_http(const struct conf *conf, const char *name, unsigned reason, size_t *len)
{
	AUTO_FREE char *body = NULL;
	char head[512];
	size_t body_len = 0;
	size_t head_len;
	char *all;

	body = make_body(conf, name, reason, &body_len);
	if (!body)
		return NULL;
	head_len = (size_t)snprintf(head, sizeof(head),
				    "HTTP/1.1 %s\r\n"
				    "Content-Type: text/html; charset=utf-8\r\n"
				    "Content-Length: %zu\r\n"
				    "Cache-Control: no-store\r\n"
				    "X-Sluice-Reason: %s\r\n"
				    "Connection: close\r\n"
				    "\r\n",
				    status(reason), body_len, reason_word(reason));
	all = malloc(head_len + body_len + 1);
	if (!all)
		return NULL;
	memcpy(all, head, head_len);
	memcpy(all + head_len, body, body_len);
	all[head_len + body_len] = '\0';
	*len = head_len + body_len;
	return all;
}
