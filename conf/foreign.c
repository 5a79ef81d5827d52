// SPDX-License-Identifier: GPL-2.0-or-later
// Someone who picks the wrong one of the five files that a blocklist is published as should be told
// so, and not that some line in it is not a host name.
#include "conf/foreign.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define BLANKS " \t"

static const char adblock[] = "an AdBlock filter list";
static const char zone[] = "a DNS zone (RPZ)";

/* Formats recognised by how a line begins. */
static const struct {
	const char *begin, *format;
} beginnings[] = {
	{ "||", adblock },
	{ "@@", adblock },
	{ "!", adblock },
	{ "[", adblock },
	{ "address=", "a dnsmasq configuration" },
	{ "server=", "a dnsmasq configuration" },
	{ "local=", "a dnsmasq configuration" },
	{ "server:", "an unbound configuration" },
	{ "local-zone:", "an unbound configuration" },
	{ "local-data:", "an unbound configuration" },
	{ "$", zone },
	{ "@", zone },
	{ "http://", "a list of URLs" },
	{ "https://", "a list of URLs" },
	{ "<", "an HTML page" },
	{ "^", "a list of regular expressions" },
	{ "(", "a list of regular expressions" },
	{ "/", "a list of regular expressions" },
};

static bool is_word(const char *text, size_t len, const char *word)
{
	return len == strlen(word) && strncasecmp(text, word, len) == 0;
}

/* NAME [TTL] [IN] TYPE ... */
static bool is_record(const char *rest)
{
	static const char *const words[] = { "IN", "CNAME", "SOA" };

	for (int field = 0; field < 2 && *rest; field++) {
		size_t len = strcspn(rest, BLANKS);

		for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
			if (is_word(rest, len, words[i]))
				return true;
		rest += len;
		rest += strspn(rest, BLANKS);
	}
	return false;
}

const char *foreign_format(const char *first, const char *rest)
{
	if (is_record(rest))
		return zone;
	for (size_t i = 0; i < sizeof(beginnings) / sizeof(*beginnings); i++)
		if (strncasecmp(first, beginnings[i].begin, strlen(beginnings[i].begin)) == 0)
			return beginnings[i].format;
	return NULL;
}

/* example.com##.banner and its kin hide part of a page; they do not block the name. */
const char *foreign_hash(const char *line, const char *hash)
{
	if (hash == line || strchr(BLANKS, hash[-1]))
		return NULL;
	return hash[1] && strchr("#@?$%", hash[1]) ? adblock : NULL;
}
