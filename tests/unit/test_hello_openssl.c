// SPDX-License-Identifier: GPL-2.0-or-later
// hello_parse() against OpenSSL's ClientHello callback: whatever we say yes to, it must read the
// same way. Where we say no, user space asks it.
#include "tests/unit/openssl_hello.h"
#include "tests/unit/sample.h"
#include "tests/unit/test.h"

#define ROUNDS 40000

static void show(const struct sample *s)
{
	for (size_t i = 0; i < s->len; i++)
		fprintf(stderr, "%02x", s->bytes[i]);
	fputc('\n', stderr);
}

int main(void)
{
	struct samples corpus = sample_folder("hello");
	SSL_CTX *ctx = openssl_context();
	unsigned good = 0, named = 0, failures;
	static struct sample s;
	struct hello h;
	struct rd r;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		sample_any(&s, &corpus, i, sample_hello);
		rd_init(&r, s.bytes, (__u32)s.len);
		if (hello_parse(r, &h) != PARSE_OK)
			continue;
		good++;
		named += h.has_name;
		failures = test_failures;
		CHECK(openssl_agrees(ctx, s.bytes, s.len, &h));
		if (test_failures != failures)
			show(&s);
	}
	printf("# test_hello_openssl: %d hellos, %u good, %u with a name\n", ROUNDS, good, named);
	CHECK(good > ROUNDS / 10 && named > ROUNDS / 40);
	SSL_CTX_free(ctx);
	free(corpus.at);
	TEST_DONE("test_hello_openssl");
}
