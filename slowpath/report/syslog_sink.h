/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines for a syslog daemon on this machine, RFC 3164 over a socket of AF_UNIX as syslog(3) sends
 * them; but nothing waits, and what is lost is known. Belongs to one thread.
 */
#ifndef SLUICE_SLOWPATH_REPORT_SYSLOG_SINK_H
#define SLUICE_SLOWPATH_REPORT_SYSLOG_SINK_H

#include <stddef.h>

#define SYSLOG_PATH "/dev/log"

struct syslog_sink;

/* 0 or -errno. Connects with the first line: the daemon may come later, and may come again. */
int syslog_sink_open(struct syslog_sink **out, const char *path, const char *ident);
/*
 * One line, without its newline. 0: it was sent whole. -EAGAIN: wait until syslog_sink_fd() takes
 * more, then call with the same line again. Any other -errno: the line is lost; -EMSGSIZE: it was
 * too long, others may do.
 */
int syslog_sink_send(struct syslog_sink *s, const char *line, size_t len);
int syslog_sink_fd(const struct syslog_sink *s); /* -1: not connected */
void syslog_sink_reset(struct syslog_sink *s);	 /* forgets a line under way; connects anew */
void syslog_sink_close(struct syslog_sink *s);

#endif
