// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A TLS server that bears witness to what reached it, one line a connection, when that has ended:
 *
 *   witness ADDRESS PORT CERTIFICATE KEY
 *
 *   BYTES SHA256 EVENT...   what came, until the client's end, whether OpenSSL read it or not
 *
 * Events: a name that OpenSSL acts on ("-": it was asked for none), once for each hello that it
 * takes; +retry, it answered with a HelloRetryRequest; +hello, with a ServerHello; !reason, how it
 * refused. It takes X25519 and no other group, so a hello without a share of that is retried.
 *
 * What the client is asked for also says how it is answered: in the first label -pN sends the first
 * bytes of an answer in pieces of N, -aN puts N warning alerts before them. Ends with its standard
 * input.
 */
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/net/tls_server.h"

#define THREADS 64
#define PATIENCE_S 30 /* with a client that says nothing more */
#define BLOCK 65536
#define IN_PIECES 160 /* bytes: a HelloRetryRequest, and what tells a ServerHello from one */
#define ALERTS_MAX 4096
#define SERVER_HELLO 2
#define RANDOM_AT 6 /* in a ServerHello */

struct visit {
	int fd;
	SSL *ssl;
	BIO *in, *out;
	EVP_MD_CTX *digest;
	uint64_t bytes;
	FILE *events;
	unsigned piece, alerts;
};

/* RFC 8446 4.1.3 */
static const uint8_t retry_random[32] = {
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
	0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
	0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
};
/* ---- what OpenSSL does ---- */

static unsigned option(const char *name, const char *key)
{
	const char *end = strchr(name, '.'), *at = strstr(name, key);

	return at && end && at < end ? (unsigned)atoi(at + strlen(key)) : 0;
}

/* Where a server decides which certificate to show; OpenSSL calls it for each hello. */
static int on_name(SSL *ssl, int *alert, void *arg)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	struct visit *v = SSL_get_app_data(ssl);

	(void)alert;
	(void)arg;
	fprintf(v->events, " %s", name ? name : "-");
	if (name) {
		v->piece = option(name, "-p");
		v->alerts = option(name, "-a");
	}
	return SSL_TLSEXT_ERR_OK;
}

static void on_message(int sent, int version, int type, const void *data, size_t len, SSL *ssl,
		       void *arg)
{
	struct visit *v = SSL_get_app_data(ssl);
	const uint8_t *message = data;
	bool retry;

	(void)version;
	(void)arg;
	if (!sent || type != SSL3_RT_HANDSHAKE || len < RANDOM_AT + sizeof(retry_random) ||
	    message[0] != SERVER_HELLO)
		return;
	retry = memcmp(message + RANDOM_AT, retry_random, sizeof(retry_random)) == 0;
	fputs(retry ? " +retry" : " +hello", v->events);
}

/* ---- a connection ---- */

static ssize_t receive(struct visit *v, uint8_t *data)
{
	ssize_t n = recv(v->fd, data, BLOCK, 0);

	if (n > 0) {
		EVP_DigestUpdate(v->digest, data, (size_t)n);
		v->bytes += (uint64_t)n;
	}
	return n;
}

static void say(const struct visit *v, const uint8_t *data, size_t len)
{
	ssize_t n;

	for (size_t off = 0; off < len; off += (size_t)n) {
		size_t most = v->piece && off < IN_PIECES ? v->piece : len;

		n = send(v->fd, data + off, most < len - off ? most : len - off, 0);
		if (n <= 0)
			return;
	}
}

/* unrecognized_name, a warning: what servers said to names that they did not know. */
static void say_alerts(struct visit *v)
{
	static const uint8_t alert[] = { 21, 3, 3, 0, 2, 1, 112 };
	unsigned count = v->alerts < ALERTS_MAX ? v->alerts : ALERTS_MAX;

	v->alerts = 0;
	while (count--)
		say(v, alert, sizeof(alert));
}

static void answer(struct visit *v, uint8_t *data)
{
	int n = BIO_read(v->out, data, BLOCK);

	if (n > 0)
		say_alerts(v);
	for (; n > 0; n = BIO_read(v->out, data, BLOCK))
		say(v, data, (size_t)n);
}

static void talk(struct visit *v)
{
	static __thread uint8_t data[BLOCK];
	ssize_t n;
	int rc;

	for (;;) {
		rc = SSL_accept(v->ssl);
		answer(v, data);
		if (rc == 1 || SSL_get_error(v->ssl, rc) != SSL_ERROR_WANT_READ)
			break;
		n = receive(v, data);
		if (n <= 0)
			break;
		BIO_write(v->in, data, (int)n);
	}
	if (ERR_peek_error())
		fprintf(v->events, " !%s", ERR_reason_error_string(ERR_peek_error()));
	shutdown(v->fd, SHUT_WR);
	while (receive(v, data) > 0)
		;
}

static void bear_witness(struct visit *v, char **events)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	fclose(v->events);
	EVP_DigestFinal_ex(v->digest, sum, &len);
	flockfile(stdout);
	printf("%llu ", (unsigned long long)v->bytes);
	for (unsigned i = 0; i < len; i++)
		printf("%02x", sum[i]);
	printf("%s\n", *events);
	funlockfile(stdout);
	free(*events);
}

static void serve(SSL_CTX *ctx, int fd)
{
	struct timeval patience = { .tv_sec = PATIENCE_S };
	struct visit v = { .fd = fd, .ssl = SSL_new(ctx), .digest = EVP_MD_CTX_new() };
	char *events = NULL;
	size_t size;
	int one = 1;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	v.in = BIO_new(BIO_s_mem());
	v.out = BIO_new(BIO_s_mem());
	v.events = open_memstream(&events, &size);
	if (!v.ssl || !v.in || !v.out || !v.events || !v.digest ||
	    EVP_DigestInit_ex(v.digest, EVP_sha256(), NULL) != 1)
		die("memory");
	SSL_set_bio(v.ssl, v.in, v.out);
	SSL_set_app_data(v.ssl, &v);
	talk(&v);
	bear_witness(&v, &events);
	EVP_MD_CTX_free(v.digest);
	SSL_free(v.ssl);
	ERR_clear_error();
	close(fd);
}

static void set_up(SSL_CTX *ctx)
{
	if (SSL_CTX_set1_groups_list(ctx, "X25519") != 1)
		die("groups");
	SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
	SSL_CTX_set_msg_callback(ctx, on_message);
}

int main(int argc, char **argv)
{
	struct tls_server s = {
		.name = "witness", .threads = THREADS, .set_up = set_up, .serve = serve
	};

	return tls_server_main(&s, argc, argv);
}
