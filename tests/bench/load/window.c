// SPDX-License-Identifier: GPL-2.0-or-later
// The time in which is measured, and what the whole machine did in it.
#include "tests/bench/load/load.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/*
 * The kernel samples what a busy CPU does, at a few hundred hertz, which a paced load can fall
 * in step with. How long a CPU was idle it measures. So busy is what was not idle. Time that the
 * host took from a CPU that had work is neither.
 */
static void read_cpus(double *idle, double *stolen)
{
	static int fd = -1;
	char text[512];
	unsigned long long user, nice, kernel, idle_ticks, wait, hard, soft, steal;
	if (fd < 0)
		fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	if (n <= 0)
		die("/proc/stat");
	text[n] = 0;
	if (sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &kernel,
		   &idle_ticks, &wait, &hard, &soft, &steal) != 8)
		die("/proc/stat");
	double hertz = (double)sysconf(_SC_CLK_TCK);
	*idle = (double)(idle_ticks + wait) / hertz;
	*stolen = (double)steal / hertz;
}

void window_start(struct window *w)
{
	w->start = now_ns();
}

bool window_moved(struct window *w, uint64_t now)
{
	if (!w->start)
		return false;
	if (!w->began && now >= w->start + w->warm_ns) {
		read_cpus(&w->idle_began, &w->stolen_began);
		w->began = now_ns();
		return true;
	}
	if (w->began && !w->ended && now >= w->began + w->length_ns) {
		read_cpus(&w->idle_ended, &w->stolen_ended);
		w->ended = now_ns();
		return true;
	}
	return false;
}

bool window_open(const struct window *w)
{
	return w->began && !w->ended;
}

double window_seconds(const struct window *w)
{
	return w->ended ? (double)(w->ended - w->began) / 1e9 : 0;
}

double window_stolen(const struct window *w)
{
	return w->ended ? w->stolen_ended - w->stolen_began : 0;
}

double window_busy(const struct window *w)
{
	if (!w->ended)
		return 0;
	return window_seconds(w) * (double)sysconf(_SC_NPROCESSORS_ONLN) -
	       (w->idle_ended - w->idle_began) - window_stolen(w);
}
