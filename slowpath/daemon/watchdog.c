// SPDX-License-Identifier: GPL-2.0-or-later
// A main loop that still runs must not hide a worker that hangs.
#include "slowpath/daemon/watchdog.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "slowpath/daemon/notify.h"
#include "slowpath/proxy/worker.h"

#define SHARES 2 /* notify this often within the time that the manager waits */
#define TICKS 8	 /* and a worker turns this often */
#define TICK_MAX_MS 1000
#define TICK_MIN_MS 10

struct watchdog {
	struct event *timer;
	struct worker *workers;
	unsigned n_workers;
	uint64_t limit_ms;
	bool said;
};

bool watchdog_stuck(uint64_t now_ms, uint64_t seen_ms, uint64_t limit_ms)
{
	/* seen_ms may be the later one: the loop may turn between the two looks at the clock. */
	return seen_ms < now_ms && now_ms - seen_ms > limit_ms;
}

unsigned watchdog_tick_ms(uint64_t usec)
{
	uint64_t ms = usec / 1000 / TICKS;

	if (!usec)
		return 0;
	return ms > TICK_MAX_MS ? TICK_MAX_MS : ms < TICK_MIN_MS ? TICK_MIN_MS : (unsigned)ms;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct watchdog *w = arg;
	uint64_t now = clock_ms();

	(void)fd;
	(void)what;
	for (unsigned i = 0; i < w->n_workers; i++) {
		if (!watchdog_stuck(now, w->workers[i].seen_ms, w->limit_ms))
			continue;
		if (!w->said)
			log_error("worker %u does not answer; the service manager is not told that "
				  "all is well",
				  i);
		w->said = true;
		return;
	}
	if (w->said)
		log_warn("every worker answers again");
	w->said = false;
	notify_alive();
}

int watchdog_open(struct watchdog **out, struct event_base *base, struct worker *workers,
		  unsigned n_workers, uint64_t usec)
{
	uint64_t share = usec / SHARES;
	struct timeval every = { .tv_sec = (time_t)(share / 1000000),
				 .tv_usec = (suseconds_t)(share % 1000000) };
	struct watchdog *w;

	*out = NULL;
	if (!usec)
		return 0;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	*w = (struct watchdog){ .workers = workers,
				.n_workers = n_workers,
				.limit_ms = share / 1000 };
	w->timer = event_new(base, -1, EV_PERSIST, on_timer, w);
	if (!w->timer || event_add(w->timer, &every) != 0) {
		watchdog_close(w);
		return -ENOMEM;
	}
	*out = w;
	return 0;
}

void watchdog_close(struct watchdog *w)
{
	if (!w)
		return;
	if (w->timer)
		event_free(w->timer);
	free(w);
}
