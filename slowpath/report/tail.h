/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `sluicectl tail`: passes events on to followers while they happen. Workers have the events, the
 * main thread has the followers. In between is one buffer of TAIL_BYTES (in fact two that change
 * places): the worker formats an event, only if some follower's selection wants it, and puts it
 * there. If there is no room the event is lost, and each follower is told how many it missed. A
 * worker takes one lock, which nobody holds for longer than a copy; if nobody follows it only reads
 * one word.
 *
 * There is one for the process. All but tail_listening() and tail_event() belongs to the main
 * thread.
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
/* Passes on what is left. To be called after the workers have ended, and before the control socket
   and base are closed. */
void tail_close(void);

/* Does the work of the control verb: CONTROL_STREAM, or CONTROL_ERROR with a line in call->out. */
enum control_result tail_follow(struct control_call *call, const struct selection *f);

/* Something that the daemon did: kind is one word, such as "reload" or "change"; text is one line.
   It goes to those who follow without a selection, because it is about no client and no name. */
void tail_note(const char *kind, const char *text);

extern _Atomic unsigned tail_followers;

/* Whether it is worth putting an event together. */
static inline bool tail_listening(void)
{
	return atomic_load_explicit(&tail_followers, memory_order_relaxed) != 0;
}

/* e->event: "open", "deny", "end". Any thread. */
void tail_event(const struct access_entry *e);

#endif
