// SPDX-License-Identifier: GPL-2.0-or-later
// The service manager, through libsystemd. A message that does not reach it is no reason to stop
// serving.
#include "slowpath/daemon/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "common/clock.h"

#define STORED_AS "listen"
#define AT_ONCE 128 /* descriptors per message; the kernel allows 253 */

bool notify_present(void)
{
	return getenv("NOTIFY_SOCKET") != NULL;
}

int notify_passed(struct passed *out, char *err, size_t err_len)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names);

	if (n < 0) {
		snprintf(err, err_len, "LISTEN_FDS: %s", strerror(-n));
		return n;
	}
	if (n == 0) {
		free(names);
		return 0;
	}
	out->names = names;
	out->fds = calloc((size_t)n, sizeof(*out->fds));
	if (!out->fds)
		return -ENOMEM;
	for (int i = 0; i < n; i++)
		out->fds[i] = SD_LISTEN_FDS_START + i;
	out->n = (size_t)n;
	return 0;
}

void notify_ready(const char *status)
{
	sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void notify_reloading(void)
{
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reloading", clock_us());
}

void notify_stopping(const char *status)
{
	sd_notifyf(0, "STOPPING=1\nSTATUS=%s", status);
}

void notify_alive(void)
{
	sd_notify(0, "WATCHDOG=1");
}

uint64_t notify_watchdog_usec(void)
{
	uint64_t usec = 0;

	return sd_watchdog_enabled(0, &usec) > 0 ? usec : 0;
}

void notify_store(const int *fds, size_t n, bool forget)
{
	if (forget)
		sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=" STORED_AS);
	for (size_t i = 0; i < n; i += AT_ONCE)
		sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDNAME=" STORED_AS, fds + i,
				       (unsigned)(n - i < AT_ONCE ? n - i : AT_ONCE));
}
