/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `sluicectl explain CLIENT NAME[:PORT]` asks. An address in place of the name asks the
 * address rules.
 */
#ifndef SLUICE_SLOWPATH_DAEMON_EXPLAIN_H
#define SLUICE_SLOWPATH_DAEMON_EXPLAIN_H

#include <stdint.h>

#include "conf/conf.h"
#include "fastpath/policy/subject.h"

struct explain_question {
	struct cidr client;
	struct subject about; /* a name or an address */
	uint16_t port;	      /* 443 if none is given */
};

/* NULL, or what is wrong. Cuts the port off `name` and normalises it in place; a name in out->about
   is that one. *out untouched on failure. */
const char *explain_parse(const char *client, char *name, struct explain_question *out);

#endif
