// SPDX-License-Identifier: GPL-2.0-or-later
// Any text as an address, a network, a port, a duration: what is read is written and read again
// as the same, and never what the C library would not read.
#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/value.h"
#include "slowpath/address/address.h"

#define TEXT_MAX 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_network(const char *text)
{
	struct cidr c, loose, again;
	char printed[64];

	if (cidr_parse(text, &c) != 0)
		return;
	if (cidr_parse_loose(text, &loose) != 0 || memcmp(&c, &loose, sizeof(c)) != 0)
		abort();
	cidr_print(&c, printed, sizeof(printed));
	if (c.bits > 128 || cidr_parse(printed, &again) != 0 || memcmp(&c, &again, sizeof(c)) != 0)
		abort();
	/* only an IPv6 network that would hold all of IPv4 has not got its own address */
	if (!cidr_has(&c, c.addr) && c.bits >= 96)
		abort();
}

static void check_literal(const char *text, size_t len)
{
	struct endpoint_addr a = { .port = 443 };
	struct sockaddr_storage ss;
	struct in6_addr again;
	char printed[ADDRESS_TEXT];

	if (address_literal(text, len, &a.ip) != 0)
		return;
	address_print(&a, true, printed);
	if (value_address(printed, &ss) != 0)
		abort();
	*strrchr(printed, ':') = '\0';
	if (address_literal(printed, strlen(printed), &again) != 0 ||
	    memcmp(&again, &a.ip, sizeof(again)) != 0)
		abort();
}

static void check_address(const char *text)
{
	struct sockaddr_storage ss;
	struct endpoint_addr a;
	char printed[ADDRESS_TEXT];

	if (value_address(text, &ss) != 0)
		return;
	if (value_server(text) != 0)
		abort();
	address_from_sockaddr(&a, (struct sockaddr *)&ss);
	if (a.port == 0 || value_address(address_print(&a, true, printed), &ss) != 0)
		abort();
}

static void check_numbers(const char *text)
{
	struct port_range range = { 0 };
	uint32_t n;
	unsigned ms;

	if (value_ports(text, &range) == 0 && (range.first == 0 || range.last < range.first))
		abort();
	if (value_number(text, false, &n) == 0 && strtoull(text, NULL, 10) != n)
		abort();
	if (value_number(text, true, &n) == 0 && strncasecmp(text, "0x", 2) == 0 &&
	    strtoull(text, NULL, 16) != n)
		abort();
	value_duration(text, &ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size > TEXT_MAX)
		return 0;
	text = strndup((const char *)data, size);
	if (!text)
		abort();
	check_literal((const char *)data, size);
	check_network(text);
	check_address(text);
	check_numbers(text);
	free(text);
	return 0;
}
