/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What OpenSSL makes of a client's first bytes, and whether our parser may say PARSE_OK to them. */
#ifndef SLUICE_TESTS_UNIT_OPENSSL_HELLO_H
#define SLUICE_TESTS_UNIT_OPENSSL_HELLO_H

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/wire/hello.h"

struct openssl_hello {
	int reached; /* the callback was called */
	int has_name;
	unsigned max_version; /* as hello_parse() counts it */
	size_t len;
	unsigned char ext[65536]; /* body of server_name */
};

/* By hand, with none of our own code: the highest version up to 1.3; drafts are 1.3. */
static inline unsigned openssl_version(const unsigned char *list, size_t len)
{
	unsigned max = 0;

	for (size_t i = 1; i + 1 < len; i += 2) {
		unsigned v = list[i] * 256u + list[i + 1];

		if (list[i] == 0x7f)
			v = TLS1_3_VERSION;
		if (v >= SSL3_VERSION && v <= TLS1_3_VERSION && v > max)
			max = v;
	}
	return max;
}

static inline int openssl_on_hello(SSL *ssl, int *alert, void *arg)
{
	struct openssl_hello *h = SSL_get_app_data(ssl);
	const unsigned char *ext;
	size_t len;

	(void)alert;
	(void)arg;
	h->reached = 1;
	h->max_version = SSL_client_hello_get0_legacy_version(ssl);
	if (h->max_version > TLS1_2_VERSION)
		h->max_version = TLS1_2_VERSION;
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_supported_versions, &ext, &len))
		h->max_version = openssl_version(ext, len);
	h->has_name = SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &len);
	if (h->has_name) {
		h->len = len;
		memcpy(h->ext, ext, len);
	}
	return SSL_CLIENT_HELLO_ERROR;
}

static inline SSL_CTX *openssl_context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (!ctx)
		abort();
	SSL_CTX_set_client_hello_cb(ctx, openssl_on_hello, NULL);
	return ctx;
}

static inline void openssl_read(SSL_CTX *ctx, const void *bytes, size_t len,
				struct openssl_hello *h)
{
	SSL *ssl = SSL_new(ctx);
	BIO *in = BIO_new_mem_buf(bytes, (int)len), *out = BIO_new(BIO_s_mem());

	if (!ssl || !in || !out)
		abort();
	h->reached = h->has_name = 0;
	SSL_set_app_data(ssl, h);
	SSL_set_bio(ssl, in, out);
	SSL_accept(ssl);
	SSL_free(ssl);
	ERR_clear_error();
}

/* Our PARSE_OK with *ours must be its answer too. 1: it is. */
static inline int openssl_agrees(SSL_CTX *ctx, const unsigned char *bytes, size_t len,
				 const struct hello *ours)
{
	static struct openssl_hello h;
	size_t name = ours->has_name ? ours->name.end - ours->name.off : 0;

	openssl_read(ctx, bytes, len, &h);
	if (!h.reached)
		return 0;
	if (h.max_version != ours->max_version || h.has_name != (int)ours->has_name)
		return 0;
	/* list length, type 0, name length, name */
	return !h.has_name || (h.len == name + 5 && h.ext[2] == 0 &&
			       memcmp(h.ext + 5, ours->name.buf + ours->name.off, name) == 0);
}

#endif
