/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads other than the main one; only the main thread takes signals. */
#ifndef SLUICE_COMMON_THREAD_H
#define SLUICE_COMMON_THREAD_H

#include <pthread.h>

/* Starts a thread with every signal blocked. 0 or -errno. */
int thread_start(pthread_t *out, void *(*fn)(void *arg), void *arg);

#endif
