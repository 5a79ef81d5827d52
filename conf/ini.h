/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From sluice.ini and the lists it names to struct conf. */
#ifndef SLUICE_CONF_INI_H
#define SLUICE_CONF_INI_H

#include <stddef.h>

#include "conf/conf.h"

/*
 * Reads `path` and every list it names. NULL on any error; then err holds one line,
 * `file:line: what is wrong` (`file: ...` if the file cannot be read at all). The first error
 * ends the reading; nothing is kept.
 */
struct conf *conf_read(const char *path, char *err, size_t err_len);

/* conf_read() that reports how far it is; progress or its fn may be NULL. */
struct conf *conf_read_shown(const char *path, const struct conf_progress *progress, char *err,
			     size_t err_len);

#endif
