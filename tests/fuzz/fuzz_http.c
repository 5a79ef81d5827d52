// SPDX-License-Identifier: GPL-2.0-or-later
// Any bytes as a request head: what is good has no bare line ends or NULs in it, its host and
// length are found in it, and the head cut anywhere is still to come.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/wire/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int parse(const uint8_t *data, size_t size, struct http *h)
{
	struct rd r;

	rd_init(&r, data, (__u32)size);
	return http_parse(r, h);
}

static void check_bytes(const uint8_t *data, size_t used)
{
	for (size_t i = 0; i < used; i++)
		if (data[i] == 0 || (data[i] == '\r') != (i + 1 < used && data[i + 1] == '\n'))
			abort();
	if (memcmp(data + used - 4, "\r\n\r\n", 4) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http h, part;

	if (size == 0 || size > HTTP_HEAD_MAX || parse(data, size, &h) != PARSE_OK)
		return 0;
	if (h.used > size || h.minor > 1 || (h.body == HTTP_BODY_LENGTH) != (h.body_len > 0) ||
	    (h.has_host && (h.host.end > h.used || h.host.off >= h.host.end)))
		abort();
	check_bytes(data, h.used);
	if (parse(data, h.used, &part) != PARSE_OK || part.used != h.used)
		abort();
	if (parse(data, data[size - 1] % h.used, &part) != PARSE_MORE)
		abort();
	return 0;
}
