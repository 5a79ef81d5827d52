// SPDX-License-Identifier: GPL-2.0-or-later
// One binary search for each prefix length in use: some dozen steps with ten thousand networks,
// once per connection.
#include "fastpath/policy/prefix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int prefix_alloc(struct prefix_table *t, size_t n)
{
	t->at = calloc(n ? n : 1, sizeof(*t->at));
	return t->at ? 0 : -ENOMEM;
}

void prefix_add(struct prefix_table *t, const struct cidr *c, uint32_t value)
{
	t->at[t->n++] = (struct prefix){ .cidr = *c, .value = value };
}

static int compare(const void *a, const void *b)
{
	const struct prefix *x = a, *y = b;
	int c;

	if (x->cidr.bits != y->cidr.bits)
		return x->cidr.bits < y->cidr.bits ? -1 : 1;
	c = memcmp(x->cidr.addr, y->cidr.addr, sizeof(x->cidr.addr));
	if (c)
		return c;
	return x->value < y->value ? -1 : x->value > y->value;
}

void prefix_ready(struct prefix_table *t)
{
	size_t i = 0;

	qsort(t->at, t->n, sizeof(*t->at), compare);
	for (unsigned bits = 0; bits <= PREFIX_LONGEST + 1; bits++) {
		while (i < t->n && t->at[i].cidr.bits < bits)
			i++;
		t->first[bits] = (uint32_t)i;
	}
}

void prefix_free(struct prefix_table *t)
{
	free(t->at);
	*t = (struct prefix_table){ 0 };
}

static const struct prefix *find_length(const struct prefix_table *t, const uint8_t addr[16],
					unsigned bits, size_t *n)
{
	uint32_t low = t->first[bits], high = t->first[bits + 1], end = high, mid;
	struct cidr wanted = { .bits = (uint8_t)bits };

	if (low == high)
		return NULL;
	memcpy(wanted.addr, addr, sizeof(wanted.addr));
	cidr_mask(wanted.addr, bits);
	while (low < high) {
		mid = low + (high - low) / 2;
		if (memcmp(t->at[mid].cidr.addr, wanted.addr, sizeof(wanted.addr)) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (high = low; high < end; high++)
		if (memcmp(t->at[high].cidr.addr, wanted.addr, sizeof(wanted.addr)) != 0)
			break;
	/* cidr_has() checks more than the bits */
	if (low == high || !cidr_has(&wanted, addr))
		return NULL;
	*n = high - low;
	return &t->at[low];
}

const struct prefix *prefix_find(const struct prefix_table *t, const uint8_t addr[16], int bits,
				 size_t *n)
{
	const struct prefix *found = NULL;

	for (; bits >= 0 && !found; bits--)
		found = find_length(t, addr, (unsigned)bits, n);
	return found;
}
