/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The access log, one line for each connection or denial; sluiced(8), "Access log", has its fields.
 * Lines are handed to a writer thread through a bounded buffer: a slow disk, a dead syslog or a
 * reader that does not read costs lines, which are counted, but never an event loop's time. The
 * daemon's own log reports once that lines are being lost, and once that logging works again.
 */
#ifndef SLUICE_SLOWPATH_REPORT_ACCESS_LOG_H
#define SLUICE_SLOWPATH_REPORT_ACCESS_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "slowpath/report/log_line.h"

struct access_log;

/* 0 or -errno; err says which file and why. */
int access_log_open(struct access_log **out, const struct conf *conf, char *err, size_t err_len);
void access_log_write(struct access_log *log, const struct access_entry *e); /* any thread */
int access_log_reopen(struct access_log *log); /* SIGUSR1; on failure the old file stays */
uint64_t access_log_lost(const struct access_log *log);
/*
 * Writes what is left, but waits for a reader only about a second; then the rest is lost. Returns
 * how many lines were lost in all.
 */
uint64_t access_log_close(struct access_log *log);

#endif
