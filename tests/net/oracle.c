// SPDX-License-Identifier: GPL-2.0-or-later
// A TLS server that writes down which name it was asked for, one line a connection:
//   oracle ADDRESS PORT CERTIFICATE KEY
// The name as OpenSSL gives it to a server's callback, %XX for what is no printable ASCII; "-" for
// none, "!" and why if OpenSSL refused the hello before it came to that. Ends with its standard
// input.
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/net/tls_server.h"

#define THREADS 8
#define PATIENCE_S 10 /* with a client that says nothing more */

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

static void serve(SSL_CTX *ctx, int fd)
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

static void set_up(SSL_CTX *ctx)
{
	SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
}

int main(int argc, char **argv)
{
	struct tls_server s = {
		.name = "oracle", .threads = THREADS, .set_up = set_up, .serve = serve
	};

	return tls_server_main(&s, argc, argv);
}
