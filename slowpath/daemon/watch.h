/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reports when a file that the configuration was read from has changed: was written to, replaced,
 * removed, or is reached by another way (a symlink or a folder on its path). Several changes close
 * together are reported as one, and none while a writer still has its file open. All of it belongs
 * to the thread of the event base.
 */
#ifndef SLUICE_SLOWPATH_DAEMON_WATCH_H
#define SLUICE_SLOWPATH_DAEMON_WATCH_H

struct conf;
struct event_base;
struct watch;

#define WATCH_QUIET_MS 500 /* report once nothing more has changed for this long */

/* changed(arg) is called once it has been quiet for quiet_ms; it may call watch_follow(). NULL
   without memory. */
struct watch *watch_open(struct event_base *base, unsigned quiet_ms, void (*changed)(void *arg),
			 void *arg);
/*
 * Follows the files of c and no others; none if its watch_lists is false. A file that is no longer
 * what was read counts as a change. What cannot be followed is logged.
 */
void watch_follow(struct watch *w, const struct conf *c);
void watch_close(struct watch *w); /* before base is freed; NULL is fine */

#endif
