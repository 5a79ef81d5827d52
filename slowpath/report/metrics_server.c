// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * evhttp speaks HTTP; the bounds that it lacks are kept here. It asks us for the bufferevent of
 * each connection, and we keep a second reference to it. A bufferevent that evhttp has released has
 * no callbacks any more, and its descriptor is closed when we release it as well. So there is
 * exactly one seat for each descriptor. When all seats are taken the listeners are disabled. A
 * connection that is out of time is shut down, which evhttp sees as its end.
 */
#include "slowpath/report/metrics_server.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "slowpath/address/address.h"
#include "slowpath/report/exposition.h"

#define BACKLOG 16
#define LOOKS 20 /* how often to look at the seats within the time limit */
#define PATH "/metrics"

/* All but CONNECT; we refuse those that are not GET or HEAD ourselves. */
#define METHODS                                                                                    \
	(EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | \
	 EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE | EVHTTP_REQ_PATCH)

struct seat {
	struct bufferevent *bev; /* a reference; NULL: free */
	uint64_t until_ms;
};

struct metrics {
	struct evhttp *http;
	struct evconnlistener **listeners; /* they belong to http, once it has them */
	size_t n_listeners;
	struct seat seats[METRICS_CLIENTS];
	unsigned taken, limit_ms;
	struct event *look;
	metrics_writer fn;
	void *arg;
	struct evbuffer *page; /* as made at page_ms; empty: never made */
	uint64_t page_ms;
};

/* ---- the seats ---- */

static bool let_go(struct bufferevent *bev)
{
	bufferevent_event_cb on_event;

	bufferevent_getcb(bev, NULL, NULL, &on_event, NULL);
	return !on_event;
}

static void free_seat(struct metrics *m, struct seat *s)
{
	bufferevent_decref(s->bev);
	s->bev = NULL;
	m->taken--;
}

static void free_seats(struct metrics *m)
{
	bool full = m->taken == METRICS_CLIENTS;

	for (struct seat *s = m->seats; s < m->seats + METRICS_CLIENTS; s++)
		if (s->bev && let_go(s->bev))
			free_seat(m, s);
	if (full && m->taken < METRICS_CLIENTS)
		for (size_t i = 0; i < m->n_listeners; i++)
			evconnlistener_enable(m->listeners[i]);
}

static void take_seat(struct metrics *m, struct bufferevent *bev)
{
	struct timeval pause = { .tv_sec = m->limit_ms / LOOKS / 1000,
				 .tv_usec = m->limit_ms * 1000 / LOOKS % 1000000 };
	struct seat *s = m->seats;

	if (m->taken == METRICS_CLIENTS)
		abort(); /* a disabled listener has accepted */
	while (s->bev)
		s++;
	bufferevent_incref(bev);
	*s = (struct seat){ .bev = bev, .until_ms = clock_ms() + m->limit_ms };
	if (m->taken++ == 0)
		event_add(m->look, &pause);
	if (m->taken == METRICS_CLIENTS)
		for (size_t i = 0; i < m->n_listeners; i++)
			evconnlistener_disable(m->listeners[i]);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct metrics *m = arg;
	uint64_t now = clock_ms();

	(void)fd;
	(void)what;
	free_seats(m);
	for (struct seat *s = m->seats; s < m->seats + METRICS_CLIENTS; s++)
		if (s->bev && s->until_ms <= now)
			shutdown(bufferevent_getfd(s->bev), SHUT_RDWR);
	if (m->taken == 0)
		event_del(m->look);
}

/* Called by evhttp, and only while the listeners are enabled, so there is a free seat. If there is
   no memory for this bufferevent, evhttp has none for its own either. */
static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
	struct metrics *m = arg;
	struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);

	free_seats(m);
	if (bev)
		take_seat(m, bev);
	return bev;
}

/* ---- requests ---- */

static bool make_page(struct metrics *m)
{
	uint64_t now = clock_ms();

	if (evbuffer_get_length(m->page) && now - m->page_ms < METRICS_FRESH_MS)
		return true;
	evbuffer_drain(m->page, evbuffer_get_length(m->page));
	m->fn(m->arg, m->page);
	m->page_ms = now;
	return evbuffer_get_length(m->page) > 0;
}

static void reply(struct metrics *m, struct evhttp_request *req, bool body)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
	struct evbuffer *out = evhttp_request_get_output_buffer(req);
	size_t len = evbuffer_get_length(m->page);
	char text[24];

	snprintf(text, sizeof(text), "%zu", len);
	evhttp_add_header(headers, "Content-Type", EXPOSITION_TYPE);
	evhttp_add_header(headers, "Content-Length", text);
	evhttp_add_header(headers, "Connection", "close");
	if (body && evbuffer_add(out, evbuffer_pullup(m->page, -1), len) != 0)
		evhttp_send_error(req, HTTP_INTERNAL, NULL);
	else
		evhttp_send_reply(req, HTTP_OK, "OK", NULL);
}

static void refuse_method(struct evhttp_request *req)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);

	evhttp_add_header(headers, "Allow", "GET, HEAD");
	evhttp_add_header(headers, "Connection", "close");
	evhttp_send_reply(req, HTTP_BADMETHOD, "Method Not Allowed", NULL);
}

static void on_request(struct evhttp_request *req, void *arg)
{
	struct metrics *m = arg;
	enum evhttp_cmd_type method = evhttp_request_get_command(req);
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;

	if (!path || strcmp(path, PATH) != 0) {
		evhttp_send_error(req, HTTP_NOTFOUND, NULL);
	} else if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD) {
		refuse_method(req);
	} else if (!make_page(m)) {
		evhttp_send_error(req, HTTP_INTERNAL, NULL);
	} else {
		reply(m, req, method == EVHTTP_REQ_GET);
	}
}

/* ---- life ---- */

/*
 * A port that others have is an error. But a process that replaces us must have the port at the
 * same time as we do, until it tells us to end. So the port is shared: normally after the bind()
 * that has made sure that it is ours, but in the replacing process before its bind().
 */
static int take_port(int fd, const struct sockaddr_storage *at, socklen_t len, bool beside)
{
	int one = 1;

	if (beside && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) != 0)
		return -1;
	if (bind(fd, (const struct sockaddr *)at, len) != 0)
		return -1;
	return beside ? 0 : setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
}

static int listen_at(const struct sockaddr_storage *at, bool beside)
{
	bool v6 = at->ss_family == AF_INET6;
	socklen_t len = v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	int fd = socket(at->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	int one = 1, err;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
	    (!v6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) == 0) &&
	    take_port(fd, at, len, beside) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static bool is_loopback(const struct in6_addr *ip)
{
	return address_is_v4(ip) ? ip->s6_addr[12] == 127 : IN6_IS_ADDR_LOOPBACK(ip);
}

static int open_listener(struct metrics *m, struct event_base *base,
			 const struct sockaddr_storage *at, bool beside, char *err, size_t err_len)
{
	struct evconnlistener *l;
	struct endpoint_addr a;
	char text[ADDRESS_TEXT];
	int fd = listen_at(at, beside);

	address_from_sockaddr(&a, (const struct sockaddr *)at);
	address_print(&a, true, text);
	if (fd < 0) {
		snprintf(err, err_len, "[metrics] cannot listen at %s: %s", text, strerror(-fd));
		return fd;
	}
	l = evconnlistener_new(base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0,
			       fd);
	if (!l) {
		close(fd);
		return -ENOMEM;
	}
	if (!evhttp_bind_listener(m->http, l)) {
		evconnlistener_free(l);
		return -ENOMEM;
	}
	m->listeners[m->n_listeners++] = l;
	if (is_loopback(&a.ip))
		log_info("metrics at http://%s" PATH, text);
	else
		log_warn("metrics at http://%s" PATH ": whoever reaches this address can read them",
			 text);
	return 0;
}

static int prepare(struct metrics *m, struct event_base *base, size_t n)
{
	m->http = evhttp_new(base);
	m->page = evbuffer_new();
	m->listeners = calloc(n, sizeof(struct evconnlistener *));
	m->look = event_new(base, -1, EV_PERSIST, on_look, m);
	if (!m->http || !m->page || !m->listeners || !m->look)
		return -ENOMEM;
	evhttp_set_allowed_methods(m->http, METHODS);
	evhttp_set_max_headers_size(m->http, METRICS_HEAD_MAX);
	evhttp_set_max_body_size(m->http, METRICS_BODY_MAX);
	evhttp_set_bevcb(m->http, on_connection, m);
	evhttp_set_gencb(m->http, on_request, m);
	return 0;
}

int metrics_open(struct metrics **out, struct event_base *base, const struct conf_metrics *conf,
		 bool beside, unsigned limit_ms, metrics_writer fn, void *arg, char *err,
		 size_t err_len)
{
	struct metrics *m = calloc(1, sizeof(*m));
	int r;

	snprintf(err, err_len, "no memory for [metrics]");
	if (!m)
		return -ENOMEM;
	m->limit_ms = limit_ms;
	m->fn = fn;
	m->arg = arg;
	r = prepare(m, base, conf->n);
	for (size_t i = 0; i < conf->n && !r; i++)
		r = open_listener(m, base, &conf->at[i], beside, err, err_len);
	if (r)
		metrics_close(m);
	else
		*out = m;
	return r;
}

void metrics_close(struct metrics *m)
{
	if (!m)
		return;
	if (m->http)
		evhttp_free(m->http); /* frees the listeners too */
	for (struct seat *s = m->seats; s < m->seats + METRICS_CLIENTS; s++)
		if (s->bev)
			free_seat(m, s);
	if (m->look)
		event_free(m->look);
	if (m->page)
		evbuffer_free(m->page);
	free(m->listeners);
	free(m);
}
