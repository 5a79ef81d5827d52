/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The listeners of [metrics]: GET /metrics over HTTP, nothing else. Those who connect are
 * strangers, so everything is bounded: METRICS_CLIENTS connections at a time, each for one request
 * and at most `limit_ms`; further ones wait in the kernel's backlog. The caller makes the page, at
 * most once in METRICS_FRESH_MS however often it is requested.
 */
#ifndef SLUICE_SLOWPATH_REPORT_METRICS_SERVER_H
#define SLUICE_SLOWPATH_REPORT_METRICS_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"

#define METRICS_CLIENTS 16
#define METRICS_HEAD_MAX 8192 /* of a request */
#define METRICS_BODY_MAX 1024
#define METRICS_LIMIT_MS 10000
#define METRICS_FRESH_MS 100

struct evbuffer;
struct event_base;
struct metrics;

/* Writes the text of the page to out. */
typedef void (*metrics_writer)(void *arg, struct evbuffer *out);

/* Listens at conf's addresses, on base's loop; beside: the process that we replace has them too. 0,
   or -errno and a line in err. */
int metrics_open(struct metrics **out, struct event_base *base, const struct conf_metrics *conf,
		 bool beside, unsigned limit_ms, metrics_writer fn, void *arg, char *err,
		 size_t err_len);
void metrics_close(struct metrics *m); /* before base is freed; NULL is fine */

#endif
