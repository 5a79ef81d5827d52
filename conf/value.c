// SPDX-License-Identifier: GPL-2.0-or-later
// Values from text: signs, blanks and left-over characters are rejected everywhere.
#include "conf/value.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "bpf/wire/name.h"

#define DIGITS "0123456789"
#define ADDRESS_MAX 64 /* of an address with brackets and port */

const struct word value_yes_no[] = {
	{ "yes", true },  { "no", false },    { "on", true }, { "off", false },
	{ "true", true }, { "false", false }, { 0 },
};

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 99;
}

int value_number(const char *text, bool hex, uint32_t *out)
{
	int base = 10;
	uint64_t n = 0;

	if (hex && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		base = 16;
		text += 2;
	}
	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (digit(*text) >= base)
			return -EINVAL;
		n = n * (unsigned)base + (unsigned)digit(*text);
		if (n > UINT32_MAX)
			return -EINVAL;
	}
	*out = (uint32_t)n;
	return 0;
}

int value_duration(const char *text, unsigned *out_ms)
{
	static const struct {
		const char *name;
		unsigned ms;
	} units[] = { { "ms", 1 },	{ "s", 1000 },	   { "m", 60000 },
		      { "h", 3600000 }, { "d", 86400000 }, { "", 1000 } };
	size_t n = strspn(text, DIGITS);
	uint32_t count;
	char number[11];

	if (n >= sizeof(number))
		return -EINVAL;
	memcpy(number, text, n);
	number[n] = '\0';
	if (value_number(number, false, &count) != 0)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(text + n, units[i].name) != 0)
			continue;
		if ((uint64_t)count * units[i].ms > UINT32_MAX)
			return -EINVAL;
		*out_ms = count * units[i].ms;
		return 0;
	}
	return -EINVAL;
}

int value_word(const char *text, const struct word *words, int *out)
{
	for (; words->text; words++) {
		if (strcmp(text, words->text) != 0)
			continue;
		*out = words->value;
		return 0;
	}
	return -EINVAL;
}

static int parse_port(const char *text, uint16_t *out)
{
	uint32_t port;

	if (value_number(text, false, &port) != 0 || port == 0 || port > UINT16_MAX)
		return -EINVAL;
	*out = (uint16_t)port;
	return 0;
}

/* Splits in place; *port is NULL if there is none. */
static int split_address(char *text, char **host, char **port)
{
	char *end;

	*host = text;
	if (*text == '[') {
		*host = text + 1;
		end = strchr(text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		*port = end[1] ? end + 2 : NULL;
		*end = '\0';
		return strchr(*host, ':') ? 0 : -EINVAL;
	}
	end = strchr(text, ':');
	*port = end ? end + 1 : NULL;
	if (end && strchr(end + 1, ':')) /* IPv6 without brackets */
		*port = NULL;
	else if (end)
		*end = '\0';
	return 0;
}

static int parse_address(const char *text, struct sockaddr_storage *out, bool *with_port)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	char copy[ADDRESS_MAX], *host, *port;
	uint16_t number = 0;

	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, text);
	if (split_address(copy, &host, &port) != 0 || (port && parse_port(port, &number) != 0))
		return -EINVAL;
	v4.sin_port = v6.sin6_port = htons(number);
	if (inet_pton(AF_INET, host, &v4.sin_addr) != 1 &&
	    inet_pton(AF_INET6, host, &v6.sin6_addr) != 1)
		return -EINVAL;
	memset(out, 0, sizeof(*out));
	if (strchr(host, ':'))
		memcpy(out, &v6, sizeof(v6));
	else
		memcpy(out, &v4, sizeof(v4));
	*with_port = port != NULL;
	return 0;
}

int value_address(const char *text, struct sockaddr_storage *out)
{
	struct sockaddr_storage ss;
	bool with_port;

	if (parse_address(text, &ss, &with_port) != 0 || !with_port)
		return -EINVAL;
	*out = ss;
	return 0;
}

int value_server(const char *text)
{
	struct sockaddr_storage ss;
	bool with_port;

	return parse_address(text, &ss, &with_port);
}

int value_entry(const char *text, char name[NAME_BUF], uint32_t *len, uint8_t *kind,
		uint32_t *numeric)
{
	uint8_t normal[NAME_BUF], what = NAME_HOST;
	uint32_t n = 0, is_numeric = 0;
	struct rd in;

	if (strncmp(text, "*.", 2) == 0) {
		what = NAME_BELOW;
		text += 2;
	} else if (*text == '.') {
		what = NAME_TREE;
		text++;
	}
	rd_init(&in, (const uint8_t *)text, (uint32_t)strlen(text));
	if (name_normalise(in, normal, &n, &is_numeric) != PARSE_OK)
		return -EINVAL;
	memcpy(name, normal, n);
	name[n] = '\0';
	*len = n;
	*kind = what;
	*numeric = is_numeric;
	return 0;
}

const char *value_prefix(unsigned kind)
{
	return kind == NAME_TREE ? "." : kind == NAME_BELOW ? "*." : "";
}

int value_ports(const char *text, struct port_range *out)
{
	struct port_range range;
	char first[6];
	size_t n = strcspn(text, "-");

	if (n >= sizeof(first))
		return -EINVAL;
	memcpy(first, text, n);
	first[n] = '\0';
	if (parse_port(first, &range.first) != 0)
		return -EINVAL;
	range.last = range.first;
	if (text[n] == '-' && parse_port(text + n + 1, &range.last) != 0)
		return -EINVAL;
	if (range.last < range.first)
		return -EINVAL;
	*out = range;
	return 0;
}
