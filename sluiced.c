// SPDX-License-Identifier: GPL-2.0-or-later
// The daemon's command line; what it does is in slowpath/daemon/daemon.c.
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "slowpath/daemon/daemon.h"

static int usage(FILE *to, int status)
{
	fputs("usage: sluiced [-f FILE] [-r | -t] [-V]\n"
	      "  -f FILE  configuration, default " DEFAULT_CONF "\n"
	      "  -r       replace the sluiced that runs: take over its sockets, then it drains\n"
	      "  -t       check the configuration and exit: 0 good, 1 bad\n"
	      "  -V       print the version\n",
	      to);
	return status;
}

int main(int argc, char **argv)
{
	const char *conf = DEFAULT_CONF;
	bool check = false, replace = false;
	int opt;

	while ((opt = getopt(argc, argv, "f:rtVh")) != -1) {
		switch (opt) {
		case 'f':
			conf = optarg;
			break;
		case 'r':
			replace = true;
			break;
		case 't':
			check = true;
			break;
		case 'V':
			puts("sluiced " PACKAGE_VERSION);
			return 0;
		case 'h':
			return usage(stdout, 0);
		default:
			return usage(stderr, 2);
		}
	}
	if (optind != argc || (check && replace))
		return usage(stderr, 2);
	return check ? daemon_check(conf) : daemon_run(conf, PACKAGE_VERSION, replace);
}
