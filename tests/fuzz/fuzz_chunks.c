// SPDX-License-Identifier: GPL-2.0-or-later
// Any bytes as a chunked body: the same end whether they come at once or in two pieces.
#include <stdint.h>
#include <stdlib.h>

#include "bpf/wire/loop.h"
#include "slowpath/judge/chunks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_chunks c;
	size_t cut, used, first, second = 0;
	int whole, parts;

	if (size == 0)
		return 0;
	cut = data[0] % size;
	data++;
	size--;
	http_chunks_init(&c);
	whole = http_chunks_feed(&c, data, size, &used);
	if (used > size || (whole == PARSE_MORE && used != size))
		abort();
	http_chunks_init(&c);
	parts = http_chunks_feed(&c, data, cut, &first);
	if (parts == PARSE_MORE)
		parts = http_chunks_feed(&c, data + cut, size - cut, &second);
	if (parts != whole || first + second != used)
		abort();
	return 0;
}
