/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `sluicectl explain CLIENT NAME[:PORT]` asks. An address in place of the name asks the
 * address rules.
 */
#ifndef SLUICE_SLOWPATH_DAEMON_EXPLAIN_H
#define SLUICE_SLOWPATH_DAEMON_EXPLAIN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "bpf/abi/name.h"
#include "conf/conf.h"

struct explain_question {
	struct cidr client;
	uint8_t name[NAME_BUF]; /* normalised, zeros behind it */
	uint32_t len;
	struct in6_addr literal;
	bool is_literal;
	uint16_t port; /* 443 if none is given */
};

/* NULL, or what is wrong. Cuts the port off `name`. *out untouched on failure. */
const char *explain_parse(const char *client, char *name, struct explain_question *out);

#endif
