/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sockets that connections come from: those that were open before us (passed by a service
 * manager, or handed over by the process we replace) and those opened here, dealt out to the
 * workers.
 *
 * A connection that waits in a socket's queue is lost when the last descriptor of that socket is
 * closed. So a process that goes on serving an address takes every socket of it, and adds none to
 * those of a service manager, which would not keep the new one.
 */
#ifndef SLUICE_SLOWPATH_PROXY_LISTEN_H
#define SLUICE_SLOWPATH_PROXY_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"

#define LISTEN_BACKLOG 4096
#define LISTEN_PASSED_MAX 4096 /* more are refused */

struct passed {
	int *fds;
	char **names; /* what the service manager calls them, or NULL */
	size_t n;
	bool whole; /* all that the process before us had: others may be opened beside them */
};

struct listen_socket {
	int fd;
	unsigned worker; /* whose it is */
	bool passed;
	bool shared; /* a second descriptor of a socket that is in the set already */
	bool bare;   /* connections in its queue have not inherited our options */
};

struct listen_set {
	struct listen_socket *at;
	size_t n;
	size_t unused; /* passed ones that no [listener] names: closed and logged */
};

/*
 * Opens every address of conf, with at least one socket for each worker. New sockets are bound, so
 * that nobody else gets the address, but do not listen before worker_accept(). 0, or -errno and a
 * line in err. Takes the descriptors of `passed`, whether they are used or not.
 */
int listen_open(struct listen_set *set, const struct conf *conf, unsigned workers,
		struct passed *passed, char *err, size_t err_len);
/* Sets the options that a connection inherits from its listener, or should have inherited from a
   `bare` one. */
void listen_dress(int fd);
/* Puts each socket once into fds, which has room for set->n; returns how many there are. all:
   passed ones as well. */
size_t listen_fds(const struct listen_set *set, bool all, int *fds);
/* The address of a socket, for messages. */
const char *listen_print(int fd, char *text, size_t len);
void listen_free(struct listen_set *set); /* not the descriptors, which are the workers' */
void passed_free(struct passed *p);	  /* also closes what nobody took */

#endif
