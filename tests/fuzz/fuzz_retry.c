// SPDX-License-Identifier: GPL-2.0-or-later
// Any bytes, as a server's answer and as what a client says behind its hello: whole, and cut in
// two where the first byte says, they come to the same.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/wire/retry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct rd reader(const uint8_t *data, size_t size)
{
	struct rd r;

	rd_init(&r, data, (__u32)size);
	return r;
}

static void answer(const uint8_t *data, size_t size, size_t cut)
{
	struct tls_answer whole = { 0 }, parts = { 0 };

	tls_answer_feed(&whole, reader(data, size));
	tls_answer_feed(&parts, reader(data, cut));
	if (parts.word != TLS_ANSWER_UNKNOWN && parts.word != whole.word)
		abort();
	tls_answer_feed(&parts, reader(data + cut, size - cut));
	if (memcmp(&whole, &parts, sizeof(whole)) != 0)
		abort();
}

/* How far it gets, and why no farther. */
static int follow(struct tls_follow *f, const uint8_t *data, size_t size, __u32 word, size_t *off)
{
	int said = TLS_FOLLOW_PASS;
	__u32 n;

	while (*off < size && said == TLS_FOLLOW_PASS) {
		n = 0;
		said = tls_follow(f, reader(data + *off, size - *off), word, &n);
		if ((said == TLS_FOLLOW_PASS) != (n > 0) || n > size - *off)
			abort();
		*off += n;
	}
	return said;
}

static void client(const uint8_t *data, size_t size, size_t cut, __u32 word)
{
	struct tls_follow whole = { 0 }, parts = { 0 };
	size_t all = 0, some = 0;
	int said = follow(&whole, data, size, word, &all),
	    first = follow(&parts, data, cut, word, &some);

	if (first == TLS_FOLLOW_PASS || first == TLS_FOLLOW_MORE)
		first = follow(&parts, data, size, word, &some);
	if (first != said || some != all || memcmp(&whole, &parts, sizeof(whole)) != 0)
		abort();
	/* nothing that begins like a handshake record passes before the server has spoken */
	if (word != TLS_ANSWER_FINAL && size > 1 && data[0] == TLS_HANDSHAKE &&
	    data[1] == TLS_MAJOR && all)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t cut;
	__u32 word;

	if (size == 0)
		return 0;
	word = data[0] % 3;
	cut = (size_t)(data[0] / 3) * (size - 1) / 86;
	answer(data + 1, size - 1, cut < size - 1 ? cut : size - 1);
	client(data + 1, size - 1, cut < size - 1 ? cut : size - 1, word);
	return 0;
}
