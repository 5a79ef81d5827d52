// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Checks that whatever is between a client and a server carries every byte, in order, and every
 * end: FIN where one is due, RST where one is due, nothing else. What a connection does, its
 * number says: see plan.h.
 *
 *   stream serve ADDRESS PORT DOMAIN [-t SECONDS]
 *   stream drive ADDRESS PORT DOMAIN [-n COUNT] [-i FIRST] [-c CONCURRENT] [-s SEED]
 *                [-t SECONDS] [-b SOURCE]... [-o SCENARIO]...
 *
 * One process, one thread, epoll. A connection on which nothing moves for SECONDS is stuck, and
 * that is an error. Both print one line of JSON; the server says "listening" first, and that line
 * when it gets SIGTERM and its connections have ended. Both end with 1 if there was an error. A
 * line on stderr tells each of the first errors, and how to have that connection alone: drive -s
 * SEED -i NUMBER -n 1 -o SCENARIO.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/net/plan.h"

enum {
	BUFFER = 64 * 1024,
	TURN = 256 * 1024, /* bytes, then others have their turn */
	EVENTS = 256,
	SOURCES_MAX = 16,
	FAILURES_MAX = 20, /* then no new connection is begun */
	FAILURES_TOLD = 3, /* in the JSON */
	FAILURE_TEXT = 256,
	SMALL_PIECES = 500, /* of one connection; then it goes on with big ones */
	ACK_LOOK_US = 50,
};

#define SECOND_NS 1000000000u

enum stage { CONNECTING, PREFACE, OPEN };

struct connection {
	int fd, end; /* CLIENT or SERVER */
	enum stage stage;
	struct plan plan;
	struct cursor out, in;
	unsigned pieces;		 /* that were sent */
	uint64_t send_at_ns, read_at_ns; /* rests until then */
	uint64_t send_burst, read_burst; /* bytes since the last rest */
	uint64_t progress_ns;
	bool writable, readable, broken; /* what epoll said */
	bool unacknowledged;		 /* the next piece waits for that of the last one */
	bool ended, peer_ended;
	bool queued;
	struct connection *next, **prev; /* of all */
	struct connection *next_queued;
};

struct tally {
	uint64_t connections, sent, received;
};

static struct {
	struct sockaddr_storage to, from[SOURCES_MAX];
	socklen_t size;
	int sources, epoll, listener;
	const char *domain;
	uint64_t seed, first;
	long concurrent, count, seconds;
	enum scenario scenarios[SCENARIOS];
	unsigned n_scenarios;

	struct connection *all, *queue, **queue_end;
	long begun, open;
	uint64_t now_ns;
	struct tally tally[SCENARIOS];
	uint64_t unnamed; /* reset before the server knew what they were */
	long errors, stuck;
	char failures[FAILURES_TOLD][FAILURE_TEXT];
} d = { .concurrent = 64, .count = 1000, .seconds = 10, .listener = -1, .queue_end = &d.queue };

static volatile sig_atomic_t terminated;
static uint8_t sending[BUFFER], receiving[BUFFER], expected[BUFFER];

static void die(const char *what)
{
	fprintf(stderr, "stream: %s: %s\n", what, strerror(errno));
	exit(2);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static socklen_t address_of(const char *text, int port, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		return sizeof(*v4);
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		return sizeof(*v6);
	}
	errno = EINVAL;
	die(text);
	return 0;
}

static void set(int fd, int level, int option, int value)
{
	if (setsockopt(fd, level, option, &value, sizeof(value)))
		die("setsockopt");
}

static int error_of(int fd)
{
	int error = 0;
	socklen_t size = sizeof(error);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	return error;
}

/* ---- connections ---- */

static void enqueue(struct connection *c)
{
	if (c->queued)
		return;
	c->queued = true;
	c->next_queued = NULL;
	*d.queue_end = c;
	d.queue_end = &c->next_queued;
}

static struct connection *connection_new(int fd, int end, enum stage stage)
{
	struct connection *c = calloc(1, sizeof(*c));
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
				  .data.ptr = c };

	if (!c)
		die("memory");
	c->fd = fd;
	c->end = end;
	c->stage = stage;
	c->progress_ns = d.now_ns;
	c->next = d.all;
	c->prev = &d.all;
	if (c->next)
		c->next->prev = &c->next;
	d.all = c;
	d.open++;
	if (epoll_ctl(d.epoll, EPOLL_CTL_ADD, fd, &ev))
		die("epoll_ctl");
	return c;
}

static void connection_free(struct connection *c, bool reset)
{
	struct linger now = { .l_onoff = 1 };

	if (reset)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(c->fd);
	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	d.open--;
	c->fd = -1;
	if (!c->queued) /* else run_queue() frees it */
		free(c);
}

/* It ended as it should. */
static void done(struct connection *c, bool reset)
{
	struct tally *t = &d.tally[c->plan.scenario];

	t->connections++;
	t->sent += c->out.at;
	t->received += c->in.at;
	connection_free(c, reset);
}

static const char *stage_text(const struct connection *c)
{
	if (c->stage == CONNECTING)
		return "connecting";
	if (c->stage == PREFACE)
		return "before the preface";
	if (c->ended)
		return c->peer_ended ? "after both ends" : "after its end";
	return c->peer_ended ? "after the other's end" : "open";
}

/* Always false: what failed is gone. */
__attribute__((format(printf, 2, 3))) static bool fail(struct connection *c, const char *format,
						       ...)
{
	char what[128], text[FAILURE_TEXT];
	struct sockaddr_storage own = { 0 };
	socklen_t size = sizeof(own);
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	getsockname(c->fd, (struct sockaddr *)&own, &size);
	snprintf(text, sizeof(text),
		 "%s of connection %llu, %s, port %u, %s: %s; sent %llu of %llu, "
		 "received %llu of %llu",
		 c->end == CLIENT ? "client" : "server", (unsigned long long)c->plan.number,
		 scenario_name(c->plan.scenario), ntohs(((struct sockaddr_in *)&own)->sin_port),
		 stage_text(c), what, (unsigned long long)c->out.at,
		 (unsigned long long)c->plan.size[c->end], (unsigned long long)c->in.at,
		 (unsigned long long)c->plan.size[!c->end]);
	if (d.errors < FAILURES_TOLD)
		snprintf(d.failures[d.errors], FAILURE_TEXT, "%s", text);
	if (d.errors++ < FAILURES_MAX)
		fprintf(stderr, "%s\n", text);
	connection_free(c, true);
	return false;
}

/* ---- resets ---- */

static const struct manner *own(const struct connection *c)
{
	return &c->plan.manner[c->end];
}

static const struct manner *other(const struct connection *c)
{
	return &c->plan.manner[!c->end];
}

static bool reset_is_due(const struct connection *c)
{
	const struct manner *m = own(c);

	return m->resets && c->out.at >= m->reset_sent && c->in.at >= m->reset_received &&
	       (c->ended || m->ending == END_NEVER);
}

/* The socket has an error. Always false. */
static bool broken(struct connection *c, const char *where, int error)
{
	if (error != ECONNRESET && error != EPIPE)
		return fail(c, "%s: %s", where, strerror(error));
	if (!other(c)->resets)
		return fail(c, "%s: a reset that nobody sent", where);
	if (c->out.at < other(c)->reset_received)
		return fail(c, "%s: a reset before its time", where);
	done(c, false);
	return false;
}

/* ---- sending ---- */

/* Whether the other side has said all that goes before the present message. */
static bool in_turn(const struct connection *c)
{
	const struct plan *p = &c->plan;

	if (c->out.index < p->prologue || own(c)->gate == SEND_IN_TURN)
		return c->in.index >= c->out.index + (c->end == SERVER);
	return c->in.index >= p->prologue;
}

/* How many bytes of the present message may go. */
static uint64_t sendable(const struct connection *c)
{
	const struct manner *m = own(c);
	const struct message *now = &c->out.message;
	uint64_t until = now->begin + now->size;

	if (c->out.index == c->plan.messages || !in_turn(c))
		return 0;
	if (m->gate == SEND_AFTER_END && !c->peer_ended && c->out.index >= c->plan.prologue)
		until = c->end == CLIENT && c->out.index == 0 ? c->plan.preface : 0;
	if (m->resets && c->out.at < m->reset_sent && m->reset_sent < until)
		until = m->reset_sent;
	return until > c->out.at ? until - c->out.at : 0;
}

static size_t piece_size(const struct connection *c)
{
	static const uint32_t mixed[] = { 1, 100, 1460, 5000, 16384, BUFFER };
	const struct manner *m = own(c);
	uint64_t size = m->piece ? m->piece : mixed[(c->plan.number + c->pieces * 7) % 6];
	uint64_t may = sendable(c);

	if (c->out.at < m->alone_from)
		size = m->alone_from - c->out.at;
	else if (c->out.at < m->alone_until)
		size = m->alone_piece;
	else if (size < 1460 && c->pieces > SMALL_PIECES)
		size = BUFFER;
	return size < may ? size : may;
}

static void rest(uint64_t *burst, uint64_t n, uint32_t limit, uint32_t rest_us, uint64_t *until_ns)
{
	*burst += n;
	if (!limit || *burst < limit)
		return;
	*burst = 0;
	*until_ns = now_ns() + rest_us * 1000u;
}

static void sent(struct connection *c, size_t n)
{
	const struct manner *m = own(c);

	c->pieces++;
	c->unacknowledged = c->out.at >= m->alone_from && c->out.at < m->alone_until;
	cursor_advance(&c->out, &c->plan, c->end, n);
	c->progress_ns = d.now_ns;
	rest(&c->send_burst, n, m->send_burst, m->send_rest_us, &c->send_at_ns);
}

/* The last piece has been acknowledged, or is not waited for. */
static bool acknowledged(struct connection *c)
{
	int queued = 0;

	if (!c->unacknowledged)
		return true;
	if (ioctl(c->fd, SIOCOUTQ, &queued) == 0 && queued) {
		c->send_at_ns = now_ns() + ACK_LOOK_US * 1000u;
		return false;
	}
	c->unacknowledged = false;
	return true;
}

static bool may_end(const struct connection *c)
{
	const struct manner *m = own(c);

	if (c->ended || c->out.index < c->plan.messages)
		return false;
	switch (m->ending) {
	case END_AT_ONCE:
		return true;
	case END_AT_MARK:
		return c->in.at >= m->end_mark;
	case END_AFTER_END:
		return c->peer_ended;
	case END_NEVER:
		return false;
	}
	return false;
}

/* One piece. false: gone. */
static bool send_piece(struct connection *c, size_t size)
{
	const struct manner *m = own(c);
	size_t n = cursor_fill(&c->out, &c->plan, c->end, sending, size);
	bool last = c->out.at + n == c->plan.size[c->end];
	ssize_t got = send(c->fd, sending, n,
			   MSG_NOSIGNAL | (m->cork || (m->fin_with_data && last) ? MSG_MORE : 0));

	if (got > 0)
		sent(c, (size_t)got);
	else if (got < 0 && errno == EAGAIN)
		c->writable = false;
	else if (got < 0 && errno != EINTR)
		return broken(c, "send", errno);
	return true;
}

static bool send_turn(struct connection *c)
{
	uint64_t begin = c->out.at;
	size_t size;

	while (c->writable && d.now_ns >= c->send_at_ns && acknowledged(c) &&
	       (size = piece_size(c)) > 0) {
		if (!send_piece(c, size))
			return false;
		if (reset_is_due(c))
			return true;
		if (c->out.at - begin >= TURN) {
			enqueue(c);
			break;
		}
	}
	if (may_end(c)) {
		/* ENOTCONN: a reset has come, and recv() will tell it */
		if (shutdown(c->fd, SHUT_WR) && errno != ENOTCONN)
			return broken(c, "shutdown", errno);
		c->ended = true;
		c->progress_ns = d.now_ns;
	}
	return true;
}

/* ---- receiving ---- */

/* Compares what came. false: gone. */
static bool check(struct connection *c, size_t size)
{
	size_t at = 0, n;

	while (at < size) {
		n = cursor_fill(&c->in, &c->plan, !c->end, expected, size - at);
		if (!n)
			return fail(c, "%zu bytes more than there are", size - at);
		if (memcmp(receiving + at, expected, n)) {
			for (n = 0; receiving[at + n] == expected[n]; n++)
				c->in.at++;
			return fail(c, "other bytes than were sent");
		}
		cursor_advance(&c->in, &c->plan, !c->end, n);
		at += n;
	}
	return true;
}

static bool take_end(struct connection *c)
{
	if (c->in.at != c->plan.size[!c->end])
		return fail(c, "the end comes too early");
	if (other(c)->ending == END_NEVER)
		return fail(c, "FIN where RST was sent");
	c->peer_ended = true;
	c->progress_ns = d.now_ns;
	return true;
}

/* One read. false: gone. */
static bool receive_piece(struct connection *c)
{
	const struct manner *m = own(c);
	ssize_t got = recv(c->fd, receiving, m->bite, 0);

	if (got == 0)
		return take_end(c);
	if (got < 0 && errno == EAGAIN) {
		c->readable = false;
		return true;
	}
	if (got < 0)
		return errno == EINTR || broken(c, "recv", errno);
	if (!check(c, (size_t)got))
		return false;
	c->progress_ns = d.now_ns;
	rest(&c->read_burst, (uint64_t)got, m->read_burst, m->read_rest_us, &c->read_at_ns);
	return true;
}

static bool receive_turn(struct connection *c)
{
	uint64_t begin = c->in.at;

	while (c->readable && !c->peer_ended && d.now_ns >= c->read_at_ns) {
		if (!receive_piece(c))
			return false;
		if (reset_is_due(c))
			return true;
		if (c->in.at - begin >= TURN) {
			enqueue(c);
			break;
		}
	}
	return true;
}

/* ---- the stages ---- */

static void open_stage(struct connection *c)
{
	const struct manner *m = own(c);

	c->stage = OPEN;
	if (m->nodelay)
		set(c->fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (c->end == SERVER && m->receive_buffer)
		set(c->fd, SOL_SOCKET, SO_RCVBUF, m->receive_buffer);
	cursor_begin(&c->out, &c->plan, c->end);
	cursor_begin(&c->in, &c->plan, !c->end);
	c->progress_ns = d.now_ns;
}

/* Grows with everything that happens. */
static uint64_t moved(const struct connection *c)
{
	return c->in.at + c->out.at + c->ended + c->peer_ended;
}

/* Carries in both directions, in each to where it has to wait. */
static void carry(struct connection *c)
{
	uint64_t before;
	int error;

	do {
		if (reset_is_due(c)) {
			done(c, true);
			return;
		}
		before = moved(c);
		if (!send_turn(c) || !receive_turn(c))
			return;
	} while (!c->queued && before != moved(c));
	error = c->broken && c->peer_ended ? error_of(c->fd) : 0; /* recv() tells none behind FIN */
	if (error)
		broken(c, "error", error);
	else if (c->ended && c->peer_ended && !own(c)->resets && !other(c)->resets)
		done(c, false);
}

/* The server looks which plan it is; the bytes stay, to be checked with all others. */
static void look_for_plan(struct connection *c)
{
	ssize_t got = recv(c->fd, receiving, PLAN_PREFACE_MAX, MSG_PEEK);
	int error = got < 0 ? errno : 0;

	if (got == 0) {
		fail(c, "the end");
		return;
	}
	if (got > 0) {
		switch (plan_find(&c->plan, receiving, (size_t)got, d.domain)) {
		case PLAN_FOUND:
			open_stage(c);
			carry(c);
			return;
		case PLAN_BAD:
			fail(c, "bytes that no client sends");
			return;
		case PLAN_MORE:
			error = c->broken ? error_of(c->fd) : 0; /* recv() has bytes to show */
			break;
		}
	}
	if (error == ECONNRESET || error == EPIPE) {
		d.unnamed++; /* by a client that resets early; whether there is one, others count */
		connection_free(c, false);
	} else if (error && error != EAGAIN) {
		fail(c, "%s", strerror(error));
	}
}

static void look_whether_connected(struct connection *c)
{
	int error;

	if (!c->writable)
		return;
	error = error_of(c->fd);
	if (error) {
		fail(c, "connect: %s", strerror(error));
		return;
	}
	open_stage(c);
	carry(c);
}

static void turn(struct connection *c)
{
	switch (c->stage) {
	case CONNECTING:
		look_whether_connected(c);
		return;
	case PREFACE:
		look_for_plan(c);
		return;
	case OPEN:
		carry(c);
		return;
	}
}

/* ---- beginning ---- */

static void begin_one(void)
{
	uint64_t number = d.first + (uint64_t)d.begun++;
	struct connection *c;
	int fd = socket(d.to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	c = connection_new(fd, CLIENT, CONNECTING);
	plan_make(&c->plan, d.seed, number, d.scenarios[number % d.n_scenarios], d.domain);
	if (own(c)->receive_buffer)
		set(fd, SOL_SOCKET, SO_RCVBUF, own(c)->receive_buffer);
	if (d.sources) {
		set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
		if (bind(fd, (struct sockaddr *)&d.from[number % (unsigned)d.sources], d.size))
			die("bind");
	}
	if (connect(fd, (struct sockaddr *)&d.to, d.size) && errno != EINPROGRESS)
		die("connect"); /* of this machine, not of what is tested */
}

static void begin_clients(void)
{
	while (d.begun < d.count && d.open < d.concurrent && d.errors < FAILURES_MAX)
		begin_one();
}

static void accept_all(void)
{
	int fd;

	while ((fd = accept4(d.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		connection_new(fd, SERVER, PREFACE);
	if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		die("accept");
}

/* ---- the loop ---- */

static void mark(struct connection *c, uint32_t events)
{
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		c->readable = true;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		c->writable = true;
	if (events & (EPOLLHUP | EPOLLERR))
		c->broken = true;
	enqueue(c);
}

static void run_queue(void)
{
	struct connection *c = d.queue, *next;

	d.queue = NULL;
	d.queue_end = &d.queue;
	for (; c; c = next) {
		next = c->next_queued;
		c->queued = false;
		if (c->fd < 0)
			free(c);
		else
			turn(c);
	}
}

static void wake_one(struct connection *c, uint64_t *at_ns, uint64_t *next_ns)
{
	if (!*at_ns)
		return;
	if (*at_ns <= d.now_ns) {
		*at_ns = 0;
		enqueue(c);
	} else if (*at_ns - d.now_ns < *next_ns) {
		*next_ns = *at_ns - d.now_ns;
	}
}

/* Those whose rest is over have a turn. Nanoseconds until the next. */
static uint64_t wake(void)
{
	uint64_t next_ns = SECOND_NS / 5;

	for (struct connection *c = d.all; c; c = c->next) {
		wake_one(c, &c->send_at_ns, &next_ns);
		wake_one(c, &c->read_at_ns, &next_ns);
	}
	return next_ns;
}

static void find_stuck(void)
{
	static uint64_t looked_ns;
	struct connection *c, *next;

	if (d.now_ns - looked_ns < SECOND_NS / 4)
		return;
	looked_ns = d.now_ns;
	for (c = d.all; c; c = next) {
		next = c->next;
		if (c->queued || d.now_ns - c->progress_ns < (uint64_t)d.seconds * SECOND_NS)
			continue;
		d.stuck++;
		fail(c, "stuck");
	}
}

static void wait_for_events(uint64_t limit_ns)
{
	struct epoll_event events[EVENTS];
	struct timespec limit = { .tv_nsec = (long)limit_ns };
	sigset_t none;
	int n;

	sigemptyset(&none);
	n = epoll_pwait2(d.epoll, events, EVENTS, &limit, &none);
	if (n < 0 && errno != EINTR)
		die("epoll_wait");
	d.now_ns = now_ns();
	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr)
			mark(events[i].data.ptr, events[i].events);
		else
			accept_all();
	}
}

static void loop_once(void)
{
	uint64_t limit = wake();

	wait_for_events(d.queue ? 0 : limit);
	run_queue();
	find_stuck();
}

/* ---- the verdict ---- */

static void print_tally(void)
{
	const char *comma = "";

	printf("\"scenarios\": {");
	for (int s = 0; s < SCENARIOS; s++) {
		const struct tally *t = &d.tally[s];

		if (!t->connections)
			continue;
		printf("%s\"%s\": {\"connections\": %llu, \"sent\": %llu, \"received\": %llu}",
		       comma, scenario_name((enum scenario)s), (unsigned long long)t->connections,
		       (unsigned long long)t->sent, (unsigned long long)t->received);
		comma = ", ";
	}
	printf("}");
}

static int verdict(void)
{
	struct tally all = { 0 };

	for (int s = 0; s < SCENARIOS; s++) {
		all.connections += d.tally[s].connections;
		all.sent += d.tally[s].sent;
		all.received += d.tally[s].received;
	}
	printf("{\"connections\": %llu, \"errors\": %ld, \"stuck\": %ld, \"unnamed\": %llu, "
	       "\"sent\": %llu, \"received\": %llu, ",
	       (unsigned long long)all.connections, d.errors, d.stuck,
	       (unsigned long long)d.unnamed, (unsigned long long)all.sent,
	       (unsigned long long)all.received);
	print_tally();
	printf(", \"failures\": [");
	for (int i = 0; i < d.errors && i < FAILURES_TOLD; i++)
		printf("%s\"%s\"", i ? ", " : "", d.failures[i]);
	printf("]}\n");
	return d.errors != 0;
}

/* ---- the command line ---- */

static int serve(void)
{
	struct epoll_event ev = { .events = EPOLLIN };

	d.listener = socket(d.to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (d.listener < 0)
		die("socket");
	set(d.listener, SOL_SOCKET, SO_REUSEADDR, 1);
	if (bind(d.listener, (struct sockaddr *)&d.to, d.size) || listen(d.listener, 4096) ||
	    epoll_ctl(d.epoll, EPOLL_CTL_ADD, d.listener, &ev))
		die("listen");
	puts("listening");
	fflush(stdout);
	while (!terminated)
		loop_once();
	accept_all();
	close(d.listener);
	while (d.open)
		loop_once();
	return verdict();
}

static int drive(void)
{
	for (begin_clients(); d.open; begin_clients())
		loop_once();
	return verdict();
}

static int usage(void)
{
	fputs("usage: stream serve ADDRESS PORT DOMAIN [-t SECONDS]\n"
	      "       stream drive ADDRESS PORT DOMAIN [-n COUNT] [-i FIRST] [-c CONCURRENT]\n"
	      "                    [-s SEED] [-t SECONDS] [-b SOURCE]... [-o SCENARIO]...\n",
	      stderr);
	return 2;
}

static bool number(const char *text, long least, long most, long *out)
{
	char *end;

	*out = strtol(text, &end, 10);
	return *text && !*end && *out >= least && *out <= most;
}

static bool add_scenario(const char *name)
{
	enum scenario s = scenario_find(name);

	if (s == SCENARIOS || d.n_scenarios == SCENARIOS)
		return false;
	d.scenarios[d.n_scenarios++] = s;
	return true;
}

static bool add_source(const char *text)
{
	return d.sources < SOURCES_MAX && address_of(text, 0, &d.from[d.sources++]) == d.size;
}

static bool option(int c, const char *value)
{
	long n;

	switch (c) {
	case 'n':
		return number(value, 1, 10000000, &d.count);
	case 'c':
		return number(value, 1, 10000, &d.concurrent);
	case 't':
		return number(value, 1, 3600, &d.seconds);
	case 'i':
		d.first = number(value, 0, INT64_MAX, &n) ? (uint64_t)n : 0;
		return true;
	case 's':
		d.seed = number(value, 0, INT64_MAX, &n) ? (uint64_t)n : 0;
		return true;
	case 'b':
		return add_source(value);
	case 'o':
		return add_scenario(value);
	}
	return false;
}

static void on_term(int signal)
{
	(void)signal;
	terminated = 1;
}

static void prepare(void)
{
	struct sigaction act = { .sa_handler = on_term };
	struct rlimit files;
	sigset_t term;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL); /* it comes while we wait for events */
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	d.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (d.epoll < 0)
		die("epoll");
	d.now_ns = now_ns();
	sigaction(SIGTERM, &act, NULL);
}

int main(int argc, char **argv)
{
	bool serving = argc > 1 && !strcmp(argv[1], "serve");
	long port;

	if (argc < 5 || (!serving && strcmp(argv[1], "drive")) ||
	    !number(argv[3], 1, 65535, &port) || !*argv[4] || strlen(argv[4]) > HELLO_NAME_MAX - 32)
		return usage();
	d.size = address_of(argv[2], (int)port, &d.to);
	d.domain = argv[4];
	optind = 5;
	for (int c; (c = getopt(argc, argv, serving ? "t:" : "n:i:c:s:t:b:o:")) != -1;)
		if (!option(c, optarg))
			return usage();
	if (optind != argc)
		return usage();
	if (!d.n_scenarios)
		for (int s = 0; s < SCENARIOS; s++)
			d.scenarios[d.n_scenarios++] = (enum scenario)s;
	prepare();
	if (!serving)
		signal(SIGTERM, SIG_DFL);
	return serving ? serve() : drive();
}
