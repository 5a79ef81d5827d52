// SPDX-License-Identifier: GPL-2.0-or-later
// Any bytes as an entry made at run time: what is taken for one is written as one that reads the
// same, and its name is one that the daemon may ask its tables for.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/wire/name.h"
#include "slowpath/daemon/change_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const struct policy_change *c)
{
	uint8_t name[NAME_BUF];
	uint32_t len = 0, numeric = 0;
	struct rd in;

	rd_init(&in, (const uint8_t *)c->name, (uint32_t)strlen(c->name));
	if (name_normalise(in, name, &len, &numeric) != PARSE_OK || numeric ||
	    len != strlen(c->name) || memcmp(name, c->name, len) != 0 || c->kind > NAME_BELOW)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size), *again, line[CHANGE_TEXT];
	struct policy_change c = { .kind = NAME_HOST }, d = { .kind = NAME_HOST };

	again = text ? strdup(text) : NULL;
	if (!again)
		abort();
	if (change_parse_name(text, &c) == 0)
		check_name(&c);
	memset(&c, 0, sizeof(c));
	if (change_parse(again, &c) == 0) {
		check_name(&c);
		change_print(&c, line);
		line[strcspn(line, "\n")] = '\0';
		if (change_parse(line, &d) != 0 || memcmp(&c, &d, sizeof(c)) != 0)
			abort();
	}
	free(text);
	free(again);
	return 0;
}
