// SPDX-License-Identifier: GPL-2.0-or-later
// The service manager of a build without libsystemd (./configure --with-systemd=no): it is told
// nothing, and sockets that it passes are refused rather than left with clients waiting in them.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "slowpath/daemon/notify.h"

bool notify_present(void)
{
	return false;
}

int notify_passed(struct passed *out, char *err, size_t err_len)
{
	const char *pid = getenv("LISTEN_PID");

	(void)out;
	if (!pid || strtol(pid, NULL, 10) != getpid())
		return 0;
	snprintf(err, err_len,
		 "sockets were passed (LISTEN_FDS), but this sluiced was built "
		 "without systemd");
	return -ENOTSUP;
}

void notify_ready(const char *status)
{
	(void)status;
}

void notify_reloading(void)
{
}

void notify_stopping(const char *status)
{
	(void)status;
}

void notify_alive(void)
{
}

uint64_t notify_watchdog_usec(void)
{
	return 0;
}

void notify_store(const int *fds, size_t n, bool forget)
{
	(void)fds;
	(void)n;
	(void)forget;
}
