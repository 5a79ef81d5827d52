// SPDX-License-Identifier: GPL-2.0-or-later
// A new thread has the mask of the one that makes it: so that is set before, and set back.
#include "common/thread.h"

#include <signal.h>

int thread_start(pthread_t *out, void *(*fn)(void *arg), void *arg)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(out, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}
