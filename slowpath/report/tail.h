/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `sluicectl tail`: what happens, told to those who follow while it happens. Workers have events,
 * the main thread has the followers. In between is one buffer of TAIL_BYTES (two, that change
 * places): an event is formatted by the worker, only if some follower's selection wants it, and
 * left there; if there is no room it is lost, and each follower told how many it missed. A worker
 * takes one lock, which nobody holds for longer than a copy, and if nobody follows it reads one
 * word.
 *
 * One for the process. All but tail_listening() and tail_event() belongs to the main thread.
 */
#ifndef SLUICE_SLOWPATH_REPORT_TAIL_H
#define SLUICE_SLOWPATH_REPORT_TAIL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "slowpath/control/control.h"
#include "slowpath/report/log_line.h"
#include "slowpath/report/selection.h"

#define TAIL_BYTES (256 * 1024)

struct event_base;

/* 0 or -errno. Before the workers start. */
int tail_open(struct event_base *base);
/* After the workers have ended, and before the control socket and base go: what is left is passed
   on. */
void tail_close(void);

/* A control verb's work: CONTROL_STREAM, or CONTROL_ERROR with a line in call->out. */
enum control_result tail_follow(struct control_call *call, const struct selection *f);

/* Something the daemon did: kind is one word, as "reload" or "change"; text one line. Goes to those
   that follow without a selection: it is about no client and no name. */
void tail_note(const char *kind, const char *text);

extern _Atomic unsigned tail_followers;

/* Whether an event is worth being put together. */
static inline bool tail_listening(void)
{
	return atomic_load_explicit(&tail_followers, memory_order_relaxed) != 0;
}

/* e->event: "open", "deny", "end". Any thread. */
void tail_event(const struct access_entry *e);

#endif
