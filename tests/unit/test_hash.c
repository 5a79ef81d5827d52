// SPDX-License-Identifier: GPL-2.0-or-later
// SipHash-2-4 against the vectors of its authors (key 00 01 .. 0f, input 00 01 .. n-1), and
// that a value taken on the way does not disturb what follows.
#include "bpf/wire/hash.h"
#include "tests/unit/test.h"

static const __u64 vectors[] = {
	0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
	0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
	0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
	0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5,
};

static void vectors_and_long_input(void)
{
	struct sip s, fresh;

	sip_init(&s, 0x0706050403020100, 0x0f0e0d0c0b0a0908);
	for (unsigned i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		CHECK(sip_value(&s) == vectors[i]);
		CHECK(sip_value(&s) == vectors[i]);
		sip_byte(&s, (__u8)i);
	}
	for (unsigned i = 16; i < 600; i++) { /* past the point where the length wraps */
		sip_byte(&s, (__u8)i);
		sip_value(&s);
	}
	sip_init(&fresh, 0x0706050403020100, 0x0f0e0d0c0b0a0908);
	for (unsigned i = 0; i < 600; i++)
		sip_byte(&fresh, (__u8)i);
	CHECK(sip_value(&fresh) == sip_value(&s));
}

int main(void)
{
	RUN(vectors_and_long_input);
	TEST_DONE("test_hash");
}
