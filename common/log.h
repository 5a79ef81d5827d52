/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon's own messages (not the access log): one line each to stderr. Thread-safe, and no
 * caller waits for the reader: a message for which there is no room is lost and counted, and the
 * next one that gets through reports how many were lost. Library code does not log; the caller that
 * knows the connection does, once.
 */
#ifndef SLUICE_COMMON_LOG_H
#define SLUICE_COMMON_LOG_H

#include <stdint.h>

#define PRINTF(f, a) __attribute__((format(printf, f, a)))

void log_open(void); /* early, while we have the rights; otherwise the first message opens it */
void log_error(const char *fmt, ...) PRINTF(1, 2);
void log_warn(const char *fmt, ...) PRINTF(1, 2);
void log_info(const char *fmt, ...) PRINTF(1, 2);
uint64_t log_messages_lost(void);

#endif
