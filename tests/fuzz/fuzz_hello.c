// SPDX-License-Identifier: GPL-2.0-or-later
// Any bytes as a client's first flight: what we call a hello OpenSSL must read the same way, and
// neither may read past the end.
#include <stdint.h>

#include "bpf/wire/hello.h"
#include "tests/fuzz/tls_repair.h"
#include "tests/unit/openssl_hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	return repair_mutate(data, size, max, seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static SSL_CTX *ctx;
	struct hello h;
	struct rd r;

	if (!ctx)
		ctx = openssl_context();
	rd_init(&r, data, (__u32)size);
	if (hello_parse(r, &h) == PARSE_OK && !openssl_agrees(ctx, data, size, &h))
		abort();
	hello_message(r, &h);
	return 0;
}
