// SPDX-License-Identifier: GPL-2.0-or-later
// Any bytes as a name: what comes out is a name, and comes out the same the second time.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/wire/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int normalise(const uint8_t *data, size_t size, uint8_t *out, __u32 *len)
{
	__u32 numeric;
	struct rd r;

	rd_init(&r, data, (__u32)size);
	return name_normalise(r, out, len, &numeric);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t name[NAME_BUF], again[NAME_BUF];
	__u32 len, len_again;

	if (normalise(data, size, name, &len) != PARSE_OK)
		return 0;
	if (len == 0 || len > NAME_MAX_LEN || memchr(name, 0, len) || name[len - 1] == '.')
		abort();
	if (normalise(name, len, again, &len_again) != PARSE_OK || len != len_again ||
	    memcmp(name, again, len) != 0)
		abort();
	return 0;
}
