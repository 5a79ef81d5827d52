// SPDX-License-Identifier: GPL-2.0-or-later
// A TLS server that writes down which name it was asked for, one line a connection:
//   oracle ADDRESS PORT CERTIFICATE KEY
// The name as OpenSSL gives it to a server's callback, %XX for what is no printable ASCII; "-" for
// none, "!" and why if OpenSSL refused the hello before it came to that. Ends with its standard input.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/net/listener.h"

#define THREADS 8
#define PATIENCE_S 10 /* with a client that says nothing more */

static SSL_CTX *ctx;
static int listener;

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static void write_name(FILE *out, const char *name)
{
	for (; *name; name++) {
		if (*name > ' ' && *name < 127 && *name != '%')
			putc(*name, out);
		else
			fprintf(out, "%%%02X", (unsigned char)*name);
	}
}

/* Where a server decides which certificate to show: what it reads here is whom it is taken for. */
static int on_name(SSL *ssl, int *alert, void *arg)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	bool *asked = SSL_get_app_data(ssl);

	(void)alert;
	(void)arg;
	if (*asked)
		return SSL_TLSEXT_ERR_OK;
	*asked = true;
	flockfile(stdout);
	write_name(stdout, name ? name : "-");
	putchar('\n');
	funlockfile(stdout);
	return SSL_TLSEXT_ERR_OK;
}

static void serve(int fd)
{
	struct timeval patience = { .tv_sec = PATIENCE_S };
	bool asked = false;
	SSL *ssl = SSL_new(ctx);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (!ssl || SSL_set_fd(ssl, fd) != 1)
		die("SSL_new");
	SSL_set_app_data(ssl, &asked);
	SSL_accept(ssl);
	if (!asked)
		printf("!%s\n", ERR_reason_error_string(ERR_peek_error()));
	SSL_free(ssl);
	ERR_clear_error();
	close(fd);
}

static void *serve_all(void *arg)
{
	int fd;

	for (;;) {
		fd = accept(listener, NULL, NULL);
		if (fd < 0)
			die("accept");
		serve(fd);
	}
	return arg;
}

static void set_up_tls(const char *cert, const char *key)
{
	ctx = SSL_CTX_new(TLS_server_method());
	if (!ctx || SSL_CTX_use_certificate_file(ctx, cert, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		die("certificate");
	SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
	SSL_CTX_set_min_proto_version(ctx, 0);
	SSL_CTX_set_security_level(ctx, 0);
}

int main(int argc, char **argv)
{
	struct pollfd in = { .fd = STDIN_FILENO };
	pthread_t thread;

	if (argc != 5) {
		fprintf(stderr, "usage: oracle ADDRESS PORT CERTIFICATE KEY\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN); /* a client that has gone is no reason to end */
	set_up_tls(argv[3], argv[4]);
	listener = listener_open(argv[1], atoi(argv[2]));
	if (listener < 0)
		die(argv[1]);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, serve_all, NULL) != 0)
			die("thread");
	puts("ready");
	poll(&in, 1, -1);
	fflush(stdout);
	_exit(0);
}
