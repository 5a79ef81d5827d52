/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The access log of DESIGN section 6, one line a connection or denial. Lines are handed to a
 * writer thread through a bounded buffer: a slow disk or a dead syslog costs lines (counted),
 * never a loop's time.
 */
#ifndef SLUICE_SLOWPATH_ACCESS_LOG_H
#define SLUICE_SLOWPATH_ACCESS_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "conf/conf.h"
#include "slowpath/address.h"

struct access_log;

struct access_entry {
	struct timespec end;	   /* CLOCK_REALTIME: when it ended */
	uint64_t duration_ms;
	struct endpoint_addr client;
	struct endpoint_addr dst;  /* what we connected to; for a denial what was asked for */
	bool connected;		   /* a destination was reached */
	const char *group;
	const char *name;	   /* normalised, or "" */
	uint16_t port;
	unsigned proto;		   /* PROTO_* */
	bool allowed;
	bool enforced;		   /* false: would have been denied, enforce = no */
	unsigned reason;	   /* REASON_* */
	const char *rule;
	const char *path;	   /* "kernel", "user", "mixed" */
	uint64_t bytes_up, bytes_down;
	uint64_t requests;	   /* HTTP heads judged; 0 for other protocols */
};

/* 0 or -errno; err says which file and why. */
int access_log_open(struct access_log **out, const struct conf *conf, char *err, size_t err_len);
void access_log_write(struct access_log *log, const struct access_entry *e); /* any thread */
int access_log_reopen(struct access_log *log); /* SIGUSR1; on failure the old file stays */
uint64_t access_log_lost(const struct access_log *log);
void access_log_close(struct access_log *log); /* writes what is left */

const char *reason_word(unsigned reason); /* "?" if out of range */
const char *proto_word(unsigned proto);	  /* "tls", "http"; "none" for anything else */

#endif
