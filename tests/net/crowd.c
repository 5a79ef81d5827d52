// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Many connections from one process: what Python is too slow for. One thread, epoll.
 *
 *   crowd serve ADDRESS PORT
 *   crowd drive ADDRESS PORT OPENING [-m stream|echo|reset|ends] [-n COUNT] [-c CONCURRENT]
 *               [-r PER_SECOND] [-u UP] [-d DOWN] [-s up|down] [-w WARM] [-z CUT] [-h] [-k KIND]
 *               [-p PIECE] [-b SOURCE]...
 *
 * A client sends OPENING (hex: whatever makes the flow an allowed one), then an order that says
 * what the connection is for. The server looks for the order in what comes, so it knows no
 * protocol, and answers it with one byte. Then UP bytes go up and DOWN bytes come down at the
 * same time; each side ends its stream with a FIN, and both compare every byte.
 *
 *   stream  that
 *   echo    UP bytes go up in messages of 200, each when the one before has come back
 *   reset   RST at one of four stages: at once; after half of OPENING; after all of it; after
 *           the server's answer
 *   ends    the first CUT bytes of OPENING, then whatever the other side does until it ends
 *
 * -s: who receives in this direction reads WARM bytes and then nothing, until it is told to.
 * -p: a client writes in pieces of this size, each a segment of its own.
 * -h: connections wait for "go" after the server's answer. -k: a number from 0 to 15 under which
 * the server counts.
 *
 * Both read commands, a line each, and answer "look" with one line of JSON:
 *   look      what has happened so far
 *   read N    stalled readers may read N bytes more
 *   wake      nobody is stalled any more, nor will be, until
 *   stall     those that come from now on are, if they want to
 *   go        connections that were held begin
 *   stop      drive opens no more of them
 * drive ends when its connections have, with a last line of JSON; both end with their stdin.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 65536
#define MESSAGE 200
#define OPENING_MAX 4096
#define KINDS 16
#define SOURCES 16
#define EVENTS 256
#define TICK_MS 10

enum { STALL_UP = 1, ECHO = 2 }; /* flags of an order */

struct order {
	uint8_t magic[16];
	uint64_t up, down, warm;
	uint32_t number, kind, flags, pad;
};

static const uint8_t magic[16] = "\x01\x93 crowd order ";

/* CLIENT: connecting, greeting, held, running. SERVER: ordering, running. */
enum stage { CONNECTING, ORDERING, GREETING, HELD, RUNNING };

struct flow {
	struct flow *next, **prev;
	int fd;
	enum stage stage;
	bool echo, shut, ended; /* ended: the other side's stream has */
	uint32_t mask, number, kind;
	uint64_t seed_out, seed_in;
	uint64_t sent, to_send, got, to_get;
	uint64_t budget;   /* of got: a stalled reader reads no more than this */
	uint64_t accepted; /* all bytes that send() took */
	uint32_t have;	   /* ORDERING: bytes in opening */
	uint8_t *opening;
};

struct kind {
	uint64_t in, out, done, cut;
};

static struct {
	bool client, hold, awake, stopped;
	enum { STREAM, ECHOES, RESET, ENDS } mode;
	int epoll, listener;
	struct flow *flows;
	struct sockaddr_storage to, from[SOURCES];
	socklen_t size;
	uint32_t sources;
	uint8_t opening[OPENING_MAX];
	size_t opening_len, cut;
	struct order order;
	bool stall_down;
	uint64_t count, concurrent, rate, piece;
	struct timespec begin;

	uint64_t started, open, greeted, done, fin, rst, refused, wrong, in, out, most;
	struct kind kinds[KINDS];
	char error[240];
} g = { .count = 1, .cut = SIZE_MAX, .piece = BLOCK };

static void die(const char *what)
{
	fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void set(int fd, int level, int option, int value)
{
	if (setsockopt(fd, level, option, &value, sizeof(value)) != 0)
		die("setsockopt");
}

/* 0: not even of errors and the end, which epoll would tell again and again. */
static void watch(struct flow *f, uint32_t mask)
{
	struct epoll_event e = { .events = mask, .data.ptr = f };
	int how = !mask ? EPOLL_CTL_DEL : f->mask ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (f->mask == mask)
		return;
	if (epoll_ctl(g.epoll, how, f->fd, &e) != 0)
		die("epoll_ctl");
	f->mask = mask;
}

static uint64_t elapsed_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)((now.tv_sec - g.begin.tv_sec) * 1000 +
			  (now.tv_nsec - g.begin.tv_nsec) / 1000000);
}

/* ---- the streams' bytes ---- */

/* n <= BLOCK bytes of the stream `seed` from `at` on: any place can be made by itself. */
static const uint8_t *bytes_of(uint64_t seed, uint64_t at, size_t n)
{
	static uint64_t words[BLOCK / 8 + 2];
	uint64_t first = at / 8;

	for (uint64_t i = 0; i * 8 < n + at % 8; i++) { /* splitmix64 */
		uint64_t x = seed + (first + i + 1) * 0x9e3779b97f4a7c15;

		x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
		x = (x ^ x >> 27) * 0x94d049bb133111eb;
		words[i] = x ^ x >> 31;
	}
	return (const uint8_t *)words + at % 8;
}

static void set_seeds(struct flow *f, bool client)
{
	uint64_t up = ((uint64_t)f->kind << 40 | (uint64_t)f->number << 1) * 0xd1342543de82ef95;
	uint64_t down = f->echo ? up : up ^ 0x6a09e667f3bcc909;

	f->seed_out = client ? up : down;
	f->seed_in = client ? down : up;
}

/* ---- a connection and its end ---- */

static struct flow *flow_new(int fd)
{
	struct flow *f = calloc(1, sizeof(*f));

	if (!f)
		die("memory");
	f->fd = fd;
	f->budget = UINT64_MAX;
	f->next = g.flows;
	f->prev = &g.flows;
	if (f->next)
		f->next->prev = &f->next;
	g.flows = f;
	g.open++;
	return f;
}

/* what: the counter it ends under. */
static void end(struct flow *f, uint64_t *what)
{
	++*what;
	if (what == &g.done)
		g.kinds[f->kind].done++;
	else
		g.kinds[f->kind].cut++;
	if (f->stage > GREETING)
		g.greeted--;
	close(f->fd);
	*f->prev = f->next;
	if (f->next)
		f->next->prev = f->prev;
	free(f->opening);
	free(f);
	g.open--;
}

static void complain(const struct flow *f, const char *what)
{
	if (!g.error[0])
		snprintf(g.error, sizeof(g.error),
			 "connection %u of kind %u: %s, %llu of %llu read, "
			 "%llu of %llu written",
			 f->number, f->kind, what, (unsigned long long)f->got,
			 (unsigned long long)f->to_get, (unsigned long long)f->sent,
			 (unsigned long long)f->to_send);
}

static void end_badly(struct flow *f, const char *what, uint64_t *counter)
{
	complain(f, what);
	end(f, counter);
}

static void end_with_rst(struct flow *f, uint64_t *what)
{
	struct linger now = { .l_onoff = 1 };

	setsockopt(f->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	end(f, what);
}

/* ---- moving bytes; false: the connection has ended ---- */

static bool send_raw(struct flow *f, const void *data, size_t n, size_t *taken)
{
	ssize_t sent = send(f->fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT);

	*taken = 0;
	if (sent < 0 && errno == EAGAIN)
		return true;
	if (sent < 0) {
		end_badly(f, strerror(errno), &g.rst);
		return false;
	}
	*taken = (size_t)sent;
	f->accepted += (uint64_t)sent;
	g.out += (uint64_t)sent;
	g.kinds[f->kind].out += (uint64_t)sent;
	if (f->accepted > g.most)
		g.most = f->accepted;
	return true;
}

/* 0: nothing more now, or the end came (*gone). */
static size_t recv_raw(struct flow *f, void *data, size_t room, bool *eof, bool *gone)
{
	ssize_t n = recv(f->fd, data, room, MSG_DONTWAIT);

	*eof = *gone = false;
	if (n > 0) {
		g.in += (uint64_t)n;
		g.kinds[f->kind].in += (uint64_t)n;
		return (size_t)n;
	}
	*eof = n == 0;
	if (n < 0 && errno != EAGAIN) {
		end_badly(f, strerror(errno), &g.rst);
		*gone = true;
	}
	return 0;
}

/* Up to here it may send now. */
static uint64_t may_send(const struct flow *f)
{
	uint64_t most = f->to_send;

	if (f->echo && g.client && most > f->got + MESSAGE)
		most = f->got + MESSAGE;
	if (f->echo && !g.client && most > f->got)
		most = f->got;
	return most;
}

static bool write_stream(struct flow *f)
{
	size_t n, taken = 0;

	do {
		if (f->sent == may_send(f))
			break;
		n = may_send(f) - f->sent < g.piece ? may_send(f) - f->sent : g.piece;
		if (!send_raw(f, bytes_of(f->seed_out, f->sent, n), n, &taken))
			return false;
		f->sent += taken;
	} while (taken && g.piece == BLOCK && f->sent < may_send(f));
	if (f->sent == f->to_send && !f->shut) {
		shutdown(f->fd, SHUT_WR);
		f->shut = true;
	}
	return true;
}

/* Tells lost bytes from repeated and foreign ones: where in the stream do these belong? */
static void complain_of_bytes(struct flow *f, const uint8_t *data, size_t n)
{
	const uint8_t *right = bytes_of(f->seed_in, f->got, n);
	const uint8_t *found = NULL;
	char what[100];
	uint64_t at;
	size_t i = 0;

	while (data[i] == right[i])
		i++;
	for (at = 0; n - i >= 16 && !found && at < f->to_get; at += BLOCK / 2) {
		right = bytes_of(f->seed_in, at, BLOCK);
		found = memmem(right, BLOCK, data + i, 16);
	}
	if (found)
		snprintf(what, sizeof(what), "at byte %llu comes what belongs to byte %llu",
			 (unsigned long long)(f->got + i),
			 (unsigned long long)(at - BLOCK / 2 + (uint64_t)(found - right)));
	else
		snprintf(what, sizeof(what), "at byte %llu comes what was never sent",
			 (unsigned long long)(f->got + i));
	complain(f, what);
}

static bool take(struct flow *f, const uint8_t *data, size_t n)
{
	if (n > f->to_get - f->got) {
		end_badly(f, "more came than was sent", &g.wrong);
		return false;
	}
	if (memcmp(data, bytes_of(f->seed_in, f->got, n), n) != 0) {
		complain_of_bytes(f, data, n);
		end(f, &g.wrong);
		return false;
	}
	f->got += n;
	return true;
}

/* A bounded share; level-triggered, so the rest is told again. */
static bool read_stream(struct flow *f)
{
	static uint8_t data[BLOCK];
	uint64_t room = f->got == f->to_get ? 1 : f->budget - f->got;
	bool eof, gone;
	size_t n = recv_raw(f, data, room < BLOCK ? room : BLOCK, &eof, &gone);

	if (gone)
		return false;
	if (n)
		return take(f, data, n);
	if (!eof)
		return true;
	if (f->got < f->to_get) {
		end_badly(f, "early end", &g.fin);
		return false;
	}
	if (f->shut) {
		end(f, &g.done);
		return false;
	}
	f->ended = true;
	return true;
}

static void run(struct flow *f)
{
	uint32_t mask = 0;

	if (!write_stream(f))
		return;
	if (f->ended && f->shut) {
		end(f, &g.done);
		return;
	}
	if (f->sent < may_send(f))
		mask |= EPOLLOUT;
	if (!f->ended && (f->got < f->budget || f->got == f->to_get))
		mask |= EPOLLIN;
	watch(f, mask);
}

static void on_running(struct flow *f, uint32_t events)
{
	if (f->mask & EPOLLIN && events & ~EPOLLOUT && !read_stream(f))
		return;
	run(f);
}

/* ---- the server ---- */

static void obey(struct flow *f, const struct order *o)
{
	f->stage = RUNNING;
	g.greeted++;
	f->number = o->number;
	f->kind = o->kind % KINDS;
	f->echo = o->flags & ECHO;
	f->to_get = o->up;
	f->to_send = o->down;
	if (o->flags & STALL_UP && !g.awake)
		f->budget = o->warm;
	set_seeds(f, false);
	/* What came before the order was counted under no kind. */
	g.kinds[0].in -= f->have;
	g.kinds[f->kind].in += f->have;
}

static void on_ordering(struct flow *f)
{
	struct order o;
	uint8_t *at;
	bool eof, gone;
	size_t n, rest;

	if (!f->opening && !(f->opening = malloc(OPENING_MAX)))
		die("memory");
	n = recv_raw(f, f->opening + f->have, OPENING_MAX - f->have, &eof, &gone);
	if (gone)
		return;
	if (!n) {
		if (eof)
			end(f, &g.fin);
		return;
	}
	f->have += (uint32_t)n;
	at = memmem(f->opening, f->have, magic, sizeof(magic));
	if (!at || f->have < (size_t)(at - f->opening) + sizeof(o)) {
		if (f->have == OPENING_MAX)
			end_badly(f, "no order", &g.wrong);
		return;
	}
	memcpy(&o, at, sizeof(o));
	obey(f, &o);
	if (!send_raw(f, "+", 1, &n))
		return;
	rest = f->have - (size_t)(at + sizeof(o) - f->opening);
	if (rest && !take(f, at + sizeof(o), rest))
		return;
	free(f->opening);
	f->opening = NULL;
	run(f);
}

static void on_listener(void)
{
	for (int i = 0; i < EVENTS; i++) {
		int fd = accept4(g.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct flow *f;

		if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED))
			return;
		if (fd < 0)
			die("accept");
		set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
		f = flow_new(fd);
		f->stage = ORDERING;
		g.started++;
		watch(f, EPOLLIN);
	}
}

/* ---- the client ---- */

static void open_one(void)
{
	int fd = socket(g.to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct flow *f;

	if (fd < 0)
		die("socket");
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	if (g.piece != BLOCK) /* writable only when all has been sent */
		set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 1);
	f = flow_new(fd);
	f->number = (uint32_t)g.started++;
	f->kind = g.order.kind;
	f->echo = g.mode == ECHOES;
	f->to_send = g.order.up;
	f->to_get = g.order.down;
	set_seeds(f, true);
	if (g.sources && bind(fd, (struct sockaddr *)&g.from[f->number % g.sources], g.size) != 0)
		die("bind");
	if (connect(fd, (struct sockaddr *)&g.to, g.size) != 0 && errno != EINPROGRESS)
		die("connect");
	watch(f, EPOLLOUT);
}

/* Sockets that the peer has reset already cannot be asked, and that is no error here. */
static void on_connected(struct flow *f)
{
	struct order o = g.order;
	uint8_t data[OPENING_MAX + sizeof(o)];
	unsigned stage = f->number % 4;
	size_t n = g.opening_len, taken;
	socklen_t len = sizeof(int);
	int error = 0;

	getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		end_badly(f, strerror(error), error == ECONNREFUSED ? &g.refused : &g.rst);
		return;
	}
	o.number = f->number;
	memcpy(data, g.opening, n);
	memcpy(data + n, &o, sizeof(o));
	n += sizeof(o);
	if (g.mode == RESET && stage < 3)
		n = g.opening_len * stage / 2;
	if (g.mode == ENDS && n > g.cut)
		n = g.cut;
	if (n && !send_raw(f, data, n, &taken))
		return;
	if (n && taken != n) {
		end_badly(f, "the opening was not taken", &g.wrong);
	} else if (g.mode == RESET && stage < 3) {
		end_with_rst(f, &g.done);
	} else {
		f->stage = GREETING;
		watch(f, EPOLLIN);
	}
}

static void begin(struct flow *f)
{
	f->stage = RUNNING;
	if (g.stall_down && !g.awake)
		f->budget = g.order.warm;
	run(f);
}

static void on_greeting(struct flow *f)
{
	uint8_t plus[256];
	bool eof, gone;
	size_t n = recv_raw(f, plus, g.mode == ENDS ? sizeof(plus) : 1, &eof, &gone);

	if (gone || (!n && !eof))
		return;
	if (g.mode == ENDS && n)
		return;
	if (g.mode == ENDS) {
		end(f, &g.done);
	} else if (eof) {
		end_badly(f, "end before the server's answer", &g.fin);
	} else if (plus[0] != '+') {
		end_badly(f, "not the server's answer", &g.wrong);
	} else if (g.mode == RESET) {
		end_with_rst(f, &g.done);
	} else {
		g.greeted++;
		f->stage = HELD;
		if (g.hold)
			watch(f, EPOLLERR);
		else
			begin(f);
	}
}

static void open_more(void)
{
	uint64_t most = g.count;

	if (g.stopped)
		return;
	if (g.rate && most > g.rate * elapsed_ms() / 1000 + 1)
		most = g.rate * elapsed_ms() / 1000 + 1;
	while (g.started < most && g.open < g.concurrent)
		open_one();
}

/* ---- commands ---- */

static void look(bool final)
{
	long long queued = 0;

	for (struct flow *f = g.flows; f; f = f->next) {
		int n = 0;

		if (ioctl(f->fd, TIOCOUTQ, &n) == 0)
			queued += n;
	}
	printf("{\"final\":%s,\"started\":%llu,\"open\":%llu,\"greeted\":%llu,\"done\":%llu,"
	       "\"fin\":%llu,\"rst\":%llu,\"refused\":%llu,\"wrong\":%llu,\"in\":%llu,"
	       "\"out\":%llu,\"most\":%llu,\"queued\":%lld,\"error\":\"%s\",\"kinds\":[",
	       final ? "true" : "false", (unsigned long long)g.started, (unsigned long long)g.open,
	       (unsigned long long)g.greeted, (unsigned long long)g.done, (unsigned long long)g.fin,
	       (unsigned long long)g.rst, (unsigned long long)g.refused,
	       (unsigned long long)g.wrong, (unsigned long long)g.in, (unsigned long long)g.out,
	       (unsigned long long)g.most, queued, g.error);
	for (int i = 0; i < KINDS; i++)
		printf("%s[%llu,%llu,%llu,%llu]", i ? "," : "", (unsigned long long)g.kinds[i].in,
		       (unsigned long long)g.kinds[i].out, (unsigned long long)g.kinds[i].done,
		       (unsigned long long)g.kinds[i].cut);
	printf("]}\n");
	fflush(stdout);
}

/* how: 'r' gives stalled readers n more, 'w' all, 'g' lets held ones go. */
static void tell_all(char how, uint64_t n)
{
	struct flow *f, *next;

	for (f = g.flows; f; f = next) {
		next = f->next;
		if (how == 'g' && f->stage == HELD) {
			begin(f);
		} else if (how != 'g' && f->stage == RUNNING) {
			f->budget = how == 'w' || f->budget == UINT64_MAX ? UINT64_MAX :
									    f->budget + n;
			run(f);
		}
	}
}

static void command(char *line)
{
	if (strcmp(line, "look") == 0) {
		look(false);
	} else if (strncmp(line, "read ", 5) == 0) {
		tell_all('r', strtoull(line + 5, NULL, 10));
	} else if (strcmp(line, "wake") == 0) {
		g.awake = true;
		tell_all('w', 0);
	} else if (strcmp(line, "stall") == 0) {
		g.awake = false;
	} else if (strcmp(line, "go") == 0) {
		g.hold = false;
		tell_all('g', 0);
	} else if (strcmp(line, "stop") == 0) {
		g.stopped = true;
	} else {
		errno = EINVAL;
		die(line);
	}
}

static void on_stdin(void)
{
	static char buf[256];
	static size_t have;
	ssize_t n = read(STDIN_FILENO, buf + have, sizeof(buf) - have - 1);
	char *eol;

	if (n <= 0)
		exit(0);
	have += (size_t)n;
	buf[have] = '\0';
	while ((eol = strchr(buf, '\n'))) {
		*eol++ = '\0';
		command(buf);
		have -= (size_t)(eol - buf);
		memmove(buf, eol, have + 1);
	}
}

/* ---- the loop ---- */

static void on_event(struct flow *f, uint32_t events)
{
	switch (f->stage) {
	case CONNECTING:
		on_connected(f);
		return;
	case ORDERING:
		on_ordering(f);
		return;
	case GREETING:
		on_greeting(f);
		return;
	case HELD: /* only errors are told */
		end_badly(f, "ended while held", &g.rst);
		return;
	case RUNNING:
		on_running(f, events);
		return;
	}
}

static bool over(void)
{
	return g.client && !g.open && (g.stopped || g.started == g.count);
}

static int loop(void)
{
	static char stdin_mark, listener_mark;
	struct epoll_event events[EVENTS];
	struct epoll_event in = { .events = EPOLLIN, .data.ptr = &stdin_mark };
	struct epoll_event accepts = { .events = EPOLLIN, .data.ptr = &listener_mark };

	if (epoll_ctl(g.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &in) != 0 ||
	    (!g.client && epoll_ctl(g.epoll, EPOLL_CTL_ADD, g.listener, &accepts) != 0))
		die("epoll_ctl");
	while (!over()) {
		int n;

		if (g.client)
			open_more();
		n = epoll_wait(g.epoll, events, EVENTS, g.rate ? TICK_MS : -1);
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == &stdin_mark)
				continue;
			if (events[i].data.ptr == &listener_mark)
				on_listener();
			else
				on_event(events[i].data.ptr, events[i].events);
		}
		/* Last: a command may end connections that still have an event in the list. */
		for (int i = 0; i < n; i++)
			if (events[i].data.ptr == &stdin_mark)
				on_stdin();
	}
	look(true);
	return 0;
}

/* ---- the command line ---- */

static int usage(void)
{
	fputs("usage: crowd serve ADDRESS PORT\n"
	      "       crowd drive ADDRESS PORT OPENING [OPTION]...\n",
	      stderr);
	return 2;
}

static bool address(const char *text, const char *port, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)atoi(port));
		g.size = sizeof(*v4);
		return true;
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)atoi(port));
	g.size = sizeof(*v6);
	return inet_pton(AF_INET6, text, &v6->sin6_addr) == 1;
}

static bool unhex(const char *text)
{
	for (; text[0] && text[1] && g.opening_len < OPENING_MAX / 2; text += 2) {
		unsigned byte;

		if (sscanf(text, "%2x", &byte) != 1)
			return false;
		g.opening[g.opening_len++] = (uint8_t)byte;
	}
	return !text[0];
}

static int find(const char *const *words, const char *word)
{
	for (int i = 0; words[i]; i++)
		if (strcmp(words[i], word) == 0)
			return i;
	exit(usage());
}

static void options(int argc, char **argv)
{
	static const char *const modes[] = { "stream", "echo", "reset", "ends", NULL };
	static const char *const sides[] = { "up", "down", NULL };

	for (int c; (c = getopt(argc, argv, "m:n:c:r:u:d:s:w:z:hk:p:b:")) != -1;) {
		uint64_t n = optarg ? strtoull(optarg, NULL, 10) : 0;

		switch (c) {
		case 'm':
			g.mode = find(modes, optarg);
			break;
		case 'n':
			g.count = n;
			break;
		case 'c':
			g.concurrent = n;
			break;
		case 'r':
			g.rate = n;
			break;
		case 'u':
			g.order.up = n;
			break;
		case 'd':
			g.order.down = n;
			break;
		case 's':
			g.stall_down = find(sides, optarg) == 1;
			g.order.flags |= g.stall_down ? 0 : STALL_UP;
			break;
		case 'p':
			g.piece = n && n < BLOCK ? n : BLOCK;
			break;
		case 'w':
			g.order.warm = n;
			break;
		case 'z':
			g.cut = n;
			break;
		case 'h':
			g.hold = true;
			break;
		case 'k':
			g.order.kind = (uint32_t)n % KINDS;
			break;
		case 'b':
			if (g.sources == SOURCES || !address(optarg, "0", &g.from[g.sources++]))
				exit(usage());
			break;
		default:
			exit(usage());
		}
	}
}

static int drive(int argc, char **argv)
{
	if (!unhex(argv[4]))
		return usage();
	optind = 5;
	options(argc, argv);
	if (optind != argc)
		return usage();
	address(argv[2], argv[3], &g.to);
	memcpy(g.order.magic, magic, sizeof(magic));
	if (!g.concurrent)
		g.concurrent = g.count;
	if (g.mode == ECHOES) {
		g.order.flags |= ECHO;
		g.order.down = g.order.up;
	}
	g.client = true;
	clock_gettime(CLOCK_MONOTONIC, &g.begin);
	return loop();
}

static int serve(void)
{
	g.listener = socket(g.to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (g.listener < 0)
		die("socket");
	set(g.listener, SOL_SOCKET, SO_REUSEADDR, 1);
	if (bind(g.listener, (struct sockaddr *)&g.to, g.size) != 0 ||
	    listen(g.listener, 4096) != 0)
		die("listen");
	puts("{\"final\":false}"); /* it listens */
	fflush(stdout);
	return loop();
}

int main(int argc, char **argv)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	signal(SIGPIPE, SIG_IGN);
	g.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (g.epoll < 0)
		die("epoll");
	if (argc < 4 || !address(argv[2], argv[3], &g.to))
		return usage();
	if (strcmp(argv[1], "serve") == 0 && argc == 4)
		return serve();
	if (strcmp(argv[1], "drive") == 0 && argc > 4)
		return drive(argc, argv);
	return usage();
}
