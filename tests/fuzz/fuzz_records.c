// SPDX-License-Identifier: GPL-2.0-or-later
// Any bytes behind a hello: an answer that holds for whole inputs, and a state that is only
// touched when there is one.
#include <stdint.h>
#include <stdlib.h>

#include "bpf/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	__u32 before, state, answer;
	struct rd r;

	if (size == 0)
		return 0;
	state = before = data[0] & 3;
	rd_init(&r, data + 1, (__u32)size - 1);
	answer = (__u32)tls_records(r, &state);
	if (answer > TLS_LOOK || (answer == TLS_LOOK && state != before) ||
	    (state & before) != before)
		abort();
	/* in the clear, a hello at the front is always noticed */
	if (before == 0 && size > 6 && data[1] == TLS_HANDSHAKE && data[6] == HELLO_TYPE &&
	    answer != TLS_LOOK && (data[4] || data[5]))
		abort();
	return 0;
}
