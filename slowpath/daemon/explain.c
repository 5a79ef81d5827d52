// SPDX-License-Identifier: GPL-2.0-or-later
// The words of a question, read as strictly as the configuration.
#include "slowpath/daemon/explain.h"

#include <string.h>

#include "bpf/wire/name.h"
#include "conf/value.h"
#include "slowpath/address/address.h"

#define DEFAULT_PORT 443

/* An IPv6 address without brackets is all colons and has no port. */
static bool parse_port(char *name, uint16_t *port)
{
	char *colon = strrchr(name, ':');
	uint32_t n;

	*port = DEFAULT_PORT;
	if (!colon || (strchr(name, ':') != colon && colon[-1] != ']'))
		return true;
	if (value_number(colon + 1, false, &n) != 0 || n < 1 || n > UINT16_MAX)
		return false;
	*colon = '\0';
	*port = (uint16_t)n;
	return true;
}

static bool parse_literal(const char *name, struct in6_addr *out)
{
	struct cidr c;

	if (address_literal(name, strlen(name), out) == 0)
		return true;
	if (cidr_parse(name, &c) != 0 || c.bits != 128)
		return false;
	memcpy(out, c.addr, sizeof(*out));
	return true;
}

const char *explain_parse(const char *client, char *name, struct explain_question *out)
{
	struct explain_question q = { .len = 0 };
	uint32_t numeric = 0;
	struct rd in;

	if (cidr_parse(client, &q.client) != 0 || q.client.bits != 128)
		return "CLIENT is not an address";
	if (!parse_port(name, &q.port))
		return "the port is not 1 to 65535";
	q.is_literal = parse_literal(name, &q.literal);
	if (!q.is_literal) {
		rd_init(&in, (const uint8_t *)name, (uint32_t)strlen(name));
		if (name_normalise(in, q.name, &q.len, &numeric) != PARSE_OK || numeric)
			return "NAME is not a host name";
	}
	*out = q;
	return NULL;
}
