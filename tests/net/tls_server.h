/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the TLS servers of the tests have in common: threads that serve one connection after the
 * other, at an address of either family, until standard input ends. They say "ready" first.
 */
#ifndef SLUICE_TESTS_NET_TLS_SERVER_H
#define SLUICE_TESTS_NET_TLS_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct tls_server {
	const char *name;
	unsigned threads;
	void (*set_up)(SSL_CTX *ctx); /* what it wants of OpenSSL */
	void (*serve)(SSL_CTX *ctx, int fd);
	SSL_CTX *ctx;
	int listener;
};

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static inline void *serve_all(void *arg)
{
	struct tls_server *s = arg;
	int fd;

	for (;;) {
		fd = accept(s->listener, NULL, NULL);
		if (fd < 0)
			die("accept");
		s->serve(s->ctx, fd);
	}
	return NULL;
}

/* Of whatever version and strength: what a client may be is not for these servers to say. */
static inline void set_up_tls(struct tls_server *s, const char *cert, const char *key)
{
	s->ctx = SSL_CTX_new(TLS_server_method());
	if (!s->ctx || SSL_CTX_use_certificate_file(s->ctx, cert, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_use_PrivateKey_file(s->ctx, key, SSL_FILETYPE_PEM) != 1)
		die("certificate");
	SSL_CTX_set_min_proto_version(s->ctx, 0);
	SSL_CTX_set_security_level(s->ctx, 0);
	s->set_up(s->ctx);
}

static inline void set_up_listener(struct tls_server *s, const char *address, int port)
{
	struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	char mapped[INET6_ADDRSTRLEN + 8];
	int one = 1;

	snprintf(mapped, sizeof(mapped), "%s%s", strchr(address, ':') ? "" : "::ffff:", address);
	if (inet_pton(AF_INET6, mapped, &at.sin6_addr) != 1)
		die(address);
	s->listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (s->listener < 0 || bind(s->listener, (struct sockaddr *)&at, sizeof(at)) != 0 ||
	    listen(s->listener, 1024) != 0)
		die(address);
}

/* main(): the program's arguments are ADDRESS PORT CERTIFICATE KEY. */
static inline int tls_server_main(struct tls_server *s, int argc, char **argv)
{
	struct pollfd in = { .fd = STDIN_FILENO };
	pthread_t thread;

	if (argc != 5) {
		fprintf(stderr, "usage: %s ADDRESS PORT CERTIFICATE KEY\n", s->name);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN); /* a client that has gone is no reason to end */
	set_up_tls(s, argv[3], argv[4]);
	set_up_listener(s, argv[1], atoi(argv[2]));
	for (unsigned i = 0; i < s->threads; i++)
		if (pthread_create(&thread, NULL, serve_all, s) != 0)
			die("thread");
	puts("ready");
	poll(&in, 1, -1);
	fflush(stdout);
	_exit(0);
}

#endif
