/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sends lines to a syslog daemon on this machine, as syslog(3) does (RFC 3164 over an AF_UNIX
 * socket), but without waiting, and it reports what is lost. Belongs to one thread.
 */
#ifndef SLUICE_SLOWPATH_REPORT_SYSLOG_SINK_H
#define SLUICE_SLOWPATH_REPORT_SYSLOG_SINK_H

#include <stddef.h>

#define SYSLOG_PATH "/dev/log"

struct syslog_sink;

/* 0 or -errno. Connects with the first line, because the daemon may start later, and may
   restart. */
int syslog_sink_open(struct syslog_sink **out, const char *path, const char *ident);
/*
 * One line, without its newline. 0: it was sent completely. -EAGAIN: wait until syslog_sink_fd() is
 * writable, then call again with the same line. Any other -errno: the line is lost; -EMSGSIZE: it
 * was too long, but others may fit.
 */
int syslog_sink_send(struct syslog_sink *s, const char *line, size_t len);
int syslog_sink_fd(const struct syslog_sink *s); /* -1: not connected */
void syslog_sink_reset(struct syslog_sink *s);	 /* forgets a line being sent, and connects anew */
void syslog_sink_close(struct syslog_sink *s);

#endif
