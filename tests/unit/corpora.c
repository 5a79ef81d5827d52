// SPDX-License-Identifier: GPL-2.0-or-later
// For corpora_test: reads lines "tls HEX", "message HEX" and "http HEX", answers one line each:
// "ok|more|bad" and, when ok, what was found.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/hello.h"
#include "bpf/http.h"

static const char *const words[] = { "ok", "more", "bad" };

static void print_bytes(const struct rd *r)
{
	for (__u32 i = r->off; i < r->end; i++)
		printf("%02x", r->buf[i]);
}

static void answer_hello(struct rd in, int bare)
{
	struct hello h = { .used = 0 };
	int rc = bare ? hello_message(in, &h) : hello_parse(in, &h);

	printf("%s", words[rc]);
	if (rc == PARSE_OK) {
		printf(" %u %x ", h.used, h.max_version);
		if (h.has_name)
			print_bytes(&h.name);
		else
			printf("-");
	}
	putchar('\n');
}

static void answer_http(struct rd in)
{
	struct http h = { .used = 0 };
	int rc = http_parse(in, &h);

	printf("%s", words[rc]);
	if (rc == PARSE_OK) {
		printf(" %u %u %llu %u ", h.used, h.body, (unsigned long long)h.body_len, h.port);
		if (h.has_host)
			print_bytes(&h.host);
		else
			printf("-");
	}
	putchar('\n');
}

static size_t from_hex(const char *hex, uint8_t *out)
{
	size_t n = 0;
	unsigned v;

	for (; sscanf(hex, "%2x", &v) == 1 && hex[0] != '\n'; hex += 2)
		out[n++] = (uint8_t)v;
	return n;
}

int main(void)
{
	static char line[300000];
	uint8_t *bytes;
	struct rd in;
	char *hex;

	while (fgets(line, sizeof(line), stdin)) {
		hex = strchr(line, ' ');
		if (!hex)
			return 1;
		bytes = malloc(strlen(hex));
		if (!bytes)
			return 1;
		rd_init(&in, bytes, (__u32)from_hex(hex + 1, bytes));
		if (strncmp(line, "http ", 5) == 0)
			answer_http(in);
		else
			answer_hello(in, line[0] == 'm');
		free(bytes);
	}
	return 0;
}
