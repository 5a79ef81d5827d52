/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Single values of the INI file, from text. Pure functions. Each returns 0, or -EINVAL with its
 * output untouched.
 */
#ifndef SLUICE_CONF_VALUE_H
#define SLUICE_CONF_VALUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "bpf/abi/name.h"
#include "conf/conf.h"

struct word {
	const char *text;
	int value;
};

extern const struct word value_yes_no[]; /* yes no on off true false */

/* Decimal digits; hex with 0x as well if `hex`. */
int value_number(const char *text, bool hex, uint32_t *out);
/* "500ms" "5s" "2m" "1h" "1d", or a bare number of seconds. */
int value_duration(const char *text, unsigned *out_ms);
/* One of `words`, which end with a { NULL }. */
int value_word(const char *text, const struct word *words, int *out);
/* "192.0.2.1:3129", "[2001:db8::1]:3129"; the port is 1 to 65535. */
int value_address(const char *text, struct sockaddr_storage *out);
/* The same with or without a port; without one, an IPv6 address needs no brackets. */
int value_server(const char *text);
/*
 * A rule's entry: "example.com", ".example.com", "*.example.com". name: normalised and
 * NUL-terminated, len bytes; kind: enum name_kind; numeric: 1 if it can only be an address, which
 * is not a name even though it was read as one.
 */
int value_entry(const char *text, char name[NAME_BUF], uint32_t *len, uint8_t *kind,
		uint32_t *numeric);
/* The prefix of such an entry before its name: "", "." or "*.". kind: enum name_kind. */
const char *value_prefix(unsigned kind);
/* "443", "8000-8100" */
int value_ports(const char *text, struct port_range *out);
/* Like cidr_parse(), but host bits are cut off. */
int cidr_parse_loose(const char *text, struct cidr *out);

#endif
