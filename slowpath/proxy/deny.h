/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a denied client is sent (sluiced(8), "Answers"). Bytes only; conn.c sends them and closes.
 */
#ifndef SLUICE_SLOWPATH_PROXY_DENY_H
#define SLUICE_SLOWPATH_PROXY_DENY_H

#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"

#define DENY_TLS_LEN 7

/* A fatal access_denied alert (RFC 8446 6, number 49) in a record of its own. */
extern const uint8_t deny_tls_alert[DENY_TLS_LEN];

/*
 * 403 (502 or 504 when the upstream did not answer) with the deny page, `%h` (HTML-escaped
 * name) and `%r` (reason word) filled in, Connection: close, X-Sluice-Reason. Every configuration
 * that was read has a page. malloc'ed, for the caller to free; NULL when there is no memory.
 */
char *deny_http(const struct conf *conf, const char *name, unsigned reason, size_t *len);

#endif
