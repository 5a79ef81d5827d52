// SPDX-License-Identifier: GPL-2.0-or-later
// For corpora_test: reads lines "tls HEX", "message HEX" and "http HEX", answers one line each:
// "ok|more|bad" and, when ok, what was found. "flow HEX HEX ..." are the segments of a client, for
// the slow path's judgement: every name in turn ("-": none), and what it all ended with.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/wire/hello.h"
#include "bpf/wire/http.h"
#include "slowpath/judge/stream.h"
#include "slowpath/report/access_log.h"

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
	static const char digits[] = "0123456789abcdef";
	size_t n = 0;

	for (; *hex > ' '; hex += 2)
		out[n++] = (uint8_t)((strchr(digits, hex[0]) - digits) << 4 |
				     (strchr(digits, hex[1]) - digits));
	return n;
}

/* Goes on behind another name, which on a connection would be its end. */
static enum judge_word feed(struct judge *j, const uint8_t *data, size_t len, size_t *cleared)
{
	enum judge_word word = judge_feed(j, data, len, cleared);
	size_t more;

	if (word != JUDGE_BAD || j->reason != REASON_NAME_CHANGED)
		return word;
	judge_init(j);
	word = judge_feed(j, data + *cleared, len - *cleared, &more);
	*cleared += more;
	return word;
}

/* The captures have the client's half alone: the server takes what it is offered. */
static void server_says(struct judge *j)
{
	static const uint8_t hello[43] = { TLS_HANDSHAKE, 3, 3, 0, 38, 2, 0, 0, 34, 3, 3 };

	if (j->state == JUDGE_RECORDS)
		judge_answered(j, hello, sizeof(hello));
	else if (j->state == JUDGE_UPGRADE)
		judge_answered(j, (const uint8_t *)"HTTP/1.1 101 x\r\n\r\n", 18);
}

static void answer_flow(const char *hex)
{
	size_t len = 0, done = 0, cleared;
	uint8_t *bytes = malloc(strlen(hex) + 1);
	enum judge_word word = JUDGE_MORE;
	struct judge j;

	if (!bytes)
		exit(1);
	judge_init(&j);
	for (; hex && word != JUDGE_BAD; hex = strchr(hex + 1, ' ')) {
		len += from_hex(hex + 1, bytes + len);
		do {
			word = feed(&j, bytes + done, len - done, &cleared);
			done += cleared;
			if (word == JUDGE_NAMED) {
				printf("%s ", j.missing ? "-" : j.name);
				done += judge_go_on(&j);
			}
			server_says(&j);
		} while (word == JUDGE_NAMED && done < len);
	}
	puts(word == JUDGE_BAD ? reason_word(j.reason) : done < len ? "more" : "end");
	free(bytes);
}

int main(void)
{
	size_t room = 0;
	char *line = NULL;
	uint8_t *bytes;
	struct rd in;
	char *hex;

	if (judge_setup() != 0)
		return 1;
	while (getline(&line, &room, stdin) > 0) {
		hex = strchr(line, ' ');
		if (!hex)
			return 1;
		if (line[0] == 'f') {
			answer_flow(hex);
			continue;
		}
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
	free(line);
	judge_cleanup();
	return 0;
}
