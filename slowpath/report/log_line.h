/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A line of the access log (sluiced(8), "Access log"): text from what is known of a connection. */
#ifndef SLUICE_SLOWPATH_REPORT_LOG_LINE_H
#define SLUICE_SLOWPATH_REPORT_LOG_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "conf/conf.h"
#include "slowpath/address/address.h"

#define LOG_TIME 40
#define LOG_LINE_LEN 8192 /* the longest name, every byte escaped, and room to spare */

struct access_entry {
	struct timespec end; /* CLOCK_REALTIME: when it ended */
	uint64_t duration_ms;
	struct endpoint_addr client;
	struct endpoint_addr dst; /* what we connected to; for a denial what was asked for */
	bool connected;		  /* a destination was reached */
	const char *group;
	const char *name; /* normalised, or "" */
	uint16_t port;
	unsigned proto; /* PROTO_* */
	bool allowed;
	bool enforced;	 /* false: would have been denied, enforce = no */
	unsigned reason; /* REASON_* */
	const char *rule;
	const char *path; /* "kernel", "user", "mixed" */
	uint64_t bytes_up, bytes_down;
	uint64_t requests; /* HTTP heads judged; 0 for other protocols */
	const char *event; /* for `sluicectl tail`; NULL in the access log */
};

/*
 * One line with its newline, whatever bytes the strings have; its length, or 0 if it does not
 * fit.
 */
size_t log_line(enum conf_log_format format, const struct access_entry *e, char *line, size_t size);

/* The same for people who follow with `sluicectl tail`. */
size_t log_line_event(const struct access_entry *e, char *line, size_t size);

bool log_is_denied(const struct access_entry *e); /* or would have been, but for enforce = no */
/* Percent-encodes what could end a field or a line; cuts off what does not fit. Returns out. */
char *log_escape(const char *s, char *out, size_t size);
char *log_time(const struct timespec *ts, char out[LOG_TIME]); /* UTC, ISO 8601; returns out */

const char *reason_word(unsigned reason); /* "?" if out of range */
const char *proto_word(unsigned proto);	  /* "tls", "http"; "none" for anything else */

#endif
