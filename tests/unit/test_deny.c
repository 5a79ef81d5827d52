// SPDX-License-Identifier: GPL-2.0-or-later
// The words of a refusal, byte for byte.
#include "slowpath/proxy/deny.h"

#include <stdlib.h>

#include "bpf/abi/flow.h"
#include "slowpath/report/log_line.h"
#include "tests/unit/test.h"

static void check_http(const char *page, const char *name, unsigned reason, const char *body)
{
	struct conf conf = { .deny_page_text = (char *)page };
	char want[4096];
	size_t len = 0;
	char *got = deny_http(&conf, name, reason, &len);

	snprintf(want, sizeof(want),
		 "HTTP/1.1 403 Forbidden\r\n"
		 "Content-Type: text/html; charset=utf-8\r\n"
		 "Content-Length: %zu\r\n"
		 "Cache-Control: no-store\r\n"
		 "X-Sluice-Reason: %s\r\n"
		 "Connection: close\r\n"
		 "\r\n"
		 "%s",
		 strlen(body), reason_word(reason), body);
	CHECK_STR(got, want);
	CHECK(len == strlen(want));
	free(got);
}

static void alert(void)
{
	static const uint8_t alert[] = { 21, 3, 3, 0, 2, 2, 49 };

	CHECK(memcmp(deny_tls_alert, alert, DENY_TLS_LEN) == 0);
}

static void pages(void)
{
	check_http("<b>%h</b> %r %h\n", "example.com", REASON_POLICY,
		   "<b>example.com</b> policy example.com\n");
	check_http("%h", "<script>\"'&\n\xff", REASON_BAD_NAME,
		   "&#60;script&#62;&#34;&#39;&#38;&#63;&#63;");
	check_http("%h", "%r%h", REASON_BAD_NAME, "%r%h");
	check_http("width: 100%; %%h %x %", "n", REASON_NO_HOST, "width: 100%; %h %x %");
	check_http("", "n", REASON_OK, "");
	check_http("%r", "n", REASON_COUNT, "?");
}

int main(void)
{
	RUN(alert);
	RUN(pages);
	TEST_DONE("deny");
}
