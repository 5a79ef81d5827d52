// SPDX-License-Identifier: GPL-2.0-or-later
// The words of a question, read as strictly as the configuration.
#include "slowpath/daemon/explain.h"

#include <string.h>

#include "bpf/wire/name.h"
#include "conf/value.h"
#include "slowpath/proxy/verdict.h"

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

/* An address as a client would send it, or an IPv6 address without brackets. */
static bool parse_literal(const char *name, struct subject *out)
{
	struct subject about = verdict_subject(name, strlen(name));
	struct cidr c;

	if (about.kind != SUBJECT_ADDRESS) {
		if (cidr_parse(name, &c) != 0 || c.bits != 128)
			return false;
		about = subject_address(c.addr);
	}
	*out = about;
	return true;
}

static bool parse_name(char *name, struct subject *out)
{
	uint8_t normal[NAME_BUF];
	uint32_t len = 0, numeric = 0;
	struct rd in;

	rd_init(&in, (const uint8_t *)name, (uint32_t)strlen(name));
	if (name_normalise(in, normal, &len, &numeric) != PARSE_OK || numeric)
		return false;
	memcpy(name, normal, len); /* never longer than the text it was made of */
	name[len] = '\0';
	*out = subject_name(name, len);
	return true;
}

const char *explain_parse(const char *client, char *name, struct explain_question *out)
{
	struct explain_question q = { .port = 0 };

	if (cidr_parse(client, &q.client) != 0 || q.client.bits != 128)
		return "CLIENT is not an address";
	if (!parse_port(name, &q.port))
		return "the port is not 1 to 65535";
	if (!parse_literal(name, &q.about) && !parse_name(name, &q.about))
		return "NAME is not a host name";
	*out = q;
	return NULL;
}
