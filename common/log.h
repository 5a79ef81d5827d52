/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon's own messages (not the access log): one line each to stderr, or to syslog once
 * log_to_syslog() was called. Thread-safe. Library code does not log; the caller that knows
 * the connection does, once.
 */
#ifndef SLUICE_COMMON_LOG_H
#define SLUICE_COMMON_LOG_H

#define PRINTF(f, a) __attribute__((format(printf, f, a)))

void log_to_syslog(const char *ident);
void log_error(const char *fmt, ...) PRINTF(1, 2);
void log_warn(const char *fmt, ...) PRINTF(1, 2);
void log_info(const char *fmt, ...) PRINTF(1, 2);

#endif
