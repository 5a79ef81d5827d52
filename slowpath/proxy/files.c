// SPDX-License-Identifier: GPL-2.0-or-later
// Counts descriptors: those that are open at start, and those that may yet be.
#include "slowpath/proxy/files.h"

#include <dirent.h>
#include <stddef.h>
#include <sys/resource.h>

#include "slowpath/control/control.h"
#include "slowpath/report/metrics_server.h"

#define CONNECTION_FDS                                                                             \
	2 /* its two sockets; before there is a second, a DNS query over TCP takes its place */
#define PIPE_FDS 2
/* Opened later: by a load (a list, the other generation's maps), the watch of files, a log that is
   reopened, a message to a service manager, an answer that looks into /proc. */
#define LATER_FDS 64
/* The same for each worker: a second set of name servers while the first is in use, and clients
   that are refused. */
#define LATER_WORKER_FDS 16
#define UNKNOWN_FDS 512 /* open at start, where /proc does not say */

int64_t files_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int64_t n = -3; /* ".", ".." and the folder itself */

	if (!dir)
		return -1;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

void files_raise(struct files *f)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
			getrlimit(RLIMIT_NOFILE, &limit);
	}
	f->limit = limit.rlim_cur;
}

void files_divide(struct files *f, unsigned max_connections, unsigned workers)
{
	int64_t open = files_open();

	f->connections = (uint64_t)max_connections * CONNECTION_FDS;
	f->daemon = (uint64_t)(open < 0 ? UNKNOWN_FDS : open) + CONTROL_CLIENTS + METRICS_CLIENTS +
		    LATER_FDS + (uint64_t)workers * LATER_WORKER_FDS;
	f->pipes = f->limit > files_wanted(f) ? f->limit - files_wanted(f) : 0;
	f->pipes_left = (int64_t)(f->pipes / PIPE_FDS);
}

bool files_take_pipe(struct files *f)
{
	int64_t left = f->pipes_left;

	while (left > 0)
		if (atomic_compare_exchange_weak(&f->pipes_left, &left, left - 1))
			return true;
	return false;
}

void files_give_pipe(struct files *f)
{
	f->pipes_left++;
}
