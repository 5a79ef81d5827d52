// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Load generator: TLS-looking traffic without cryptography, so that what stands in the middle
 * is what is measured. One process, one thread, epoll.
 *
 *   load serve ADDRESS PORT
 *   load drive connect|rounds ADDRESS PORT NAME [-c CONCURRENT] [-n COUNT] [-w WARM-UP]
 *              [-b SOURCE]... [-t SECONDS] [-a]
 *
 * A client sends a ClientHello with NAME in it, then application-data records of 200 bytes, each
 * with a number in it. The server sends every application-data record back, and is silent to a
 * hello, unless the client asked for an answer to it (-a: the first byte of the client's random).
 *
 * connect: COUNT connections, CONCURRENT at a time; a connection ends when the first answer is
 *     there: to hello and record, sent at once in two segments; with -a, to the hello alone.
 * rounds: CONCURRENT connections stay open; after WARM-UP rounds on each, COUNT rounds on each.
 *
 * drive ends by itself, at the latest after SECONDS, and prints one line of JSON. Its exit
 * status is 0 if every connection and every byte was as it should be.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	HANDSHAKE = 22,
	APPLICATION = 23,
	HEAD = 5,
	PAYLOAD = 200,
	RECORD = HEAD + PAYLOAD,
	HELLO_MAX = 600,
	HELLO_RANDOM = 11, // where the client's random begins
	BUFFER = 8192,
	EVENTS = 256,
	SOURCES_MAX = 16,
};

static const uint8_t ANSWER_WANTED = 0xa5;

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void *allocate(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size);
	if (!p)
		die("memory");
	return p;
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static socklen_t address_of(const char *text, int port, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	memset(out, 0, sizeof *out);
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return sizeof *v4;
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		return sizeof *v6;
	}
	errno = EINVAL;
	die(text);
	return 0;
}

static void set(int fd, int level, int option, int value)
{
	if (setsockopt(fd, level, option, &value, sizeof value))
		die("setsockopt");
}

static void watch(int epoll, int operation, int fd, uint32_t events, void *data)
{
	struct epoll_event ev = {.events = events, .data.ptr = data};
	if (epoll_ctl(epoll, operation, fd, &ev))
		die("epoll_ctl");
}

// --- bytes of TLS --------------------------------------------------------------------------

struct writer {
	uint8_t *at;
};

static void put(struct writer *w, const void *data, size_t size)
{
	memcpy(w->at, data, size);
	w->at += size;
}

static void put_number(struct writer *w, size_t value, int bytes)
{
	while (bytes--)
		*w->at++ = (uint8_t)(value >> (8 * bytes));
}

static uint8_t *open_vector(struct writer *w, int bytes)
{
	w->at += bytes;
	return w->at;
}

static void close_vector(struct writer *w, uint8_t *start, int bytes)
{
	struct writer length = {start - bytes};
	put_number(&length, (size_t)(w->at - start), bytes);
}

static void put_extension(struct writer *w, int kind, const void *data, size_t size)
{
	put_number(w, kind, 2);
	put_number(w, size, 2);
	put(w, data, size);
}

/* A ClientHello for TLS 1.3 and 1.2, in one record of about 250 bytes. */
static size_t make_hello(uint8_t *out, const char *name, bool want_answer)
{
	static const uint8_t ciphers[] = {0x13, 0x01, 0x13, 0x02, 0x13, 0x03, 0xc0, 0x2b,
					  0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30};
	static const uint8_t groups[] = {0, 4, 0, 0x1d, 0, 0x17};
	static const uint8_t points[] = {1, 0};
	static const uint8_t signatures[] = {0, 8, 4, 3, 8, 4, 4, 1, 8, 5};
	static const uint8_t alpn[] = {0, 9, 8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
	static const uint8_t versions[] = {4, 3, 4, 3, 3};
	static const uint8_t psk_modes[] = {1, 1};
	uint8_t bytes[32];
	for (int i = 0; i < 32; i++)
		bytes[i] = (uint8_t)(i + 1);
	bytes[0] = want_answer ? ANSWER_WANTED : 0;

	struct writer w = {out};
	size_t length = strlen(name);
	if (!length || length > 253) {
		errno = EINVAL;
		die("name");
	}
	put_number(&w, HANDSHAKE, 1);
	put_number(&w, 0x0301, 2);
	uint8_t *record = open_vector(&w, 2);
	put_number(&w, 1, 1); // client_hello
	uint8_t *body = open_vector(&w, 3);
	put_number(&w, 0x0303, 2);
	put(&w, bytes, 32); // random
	put_number(&w, 32, 1);
	put(&w, bytes, 32); // session id
	put_number(&w, sizeof ciphers, 2);
	put(&w, ciphers, sizeof ciphers);
	put_number(&w, 0x0100, 2); // no compression
	uint8_t *extensions = open_vector(&w, 2);

	put_number(&w, 0, 2); // server_name
	uint8_t *sni = open_vector(&w, 2);
	put_number(&w, length + 3, 2);
	put_number(&w, 0, 1);
	put_number(&w, length, 2);
	put(&w, name, length);
	close_vector(&w, sni, 2);

	put_extension(&w, 23, "", 0); // extended_master_secret
	put_extension(&w, 10, groups, sizeof groups);
	put_extension(&w, 11, points, sizeof points);
	put_extension(&w, 13, signatures, sizeof signatures);
	put_extension(&w, 16, alpn, sizeof alpn);
	put_extension(&w, 43, versions, sizeof versions);
	put_extension(&w, 45, psk_modes, sizeof psk_modes);

	put_number(&w, 51, 2); // key_share
	uint8_t *share = open_vector(&w, 2);
	uint8_t *shares = open_vector(&w, 2);
	put_number(&w, 0x1d, 2);
	put_number(&w, 32, 2);
	put(&w, bytes, 32);
	close_vector(&w, shares, 2);
	close_vector(&w, share, 2);

	close_vector(&w, extensions, 2);
	close_vector(&w, body, 3);
	close_vector(&w, record, 2);
	return (size_t)(w.at - out);
}

/* A record of 200 bytes that can be told from every other one. */
static void make_record(uint8_t *out, int kind, uint32_t connection, uint32_t round)
{
	struct writer w = {out};
	put_number(&w, kind, 1);
	put_number(&w, 0x0303, 2);
	put_number(&w, PAYLOAD, 2);
	put_number(&w, connection, 4);
	put_number(&w, round, 4);
	memset(w.at, (int)(connection + round), PAYLOAD - 8);
}

// --- the server ----------------------------------------------------------------------------

struct peer {
	int fd;
	size_t have, owed; // bytes read and not yet judged; bytes to send
	uint8_t in[BUFFER], out[2 * BUFFER];
};

static size_t judge(struct peer *p)
{
	size_t at = 0;
	while (p->have - at >= HEAD) {
		const uint8_t *r = p->in + at;
		size_t size = HEAD + (size_t)(r[3] << 8 | r[4]);
		if ((r[0] != HANDSHAKE && r[0] != APPLICATION) || size > BUFFER)
			return SIZE_MAX;
		if (p->have - at < size)
			break;
		if (r[0] == APPLICATION) {
			memcpy(p->out + p->owed, r, size);
			p->owed += size;
		} else if (size > HELLO_RANDOM && r[HELLO_RANDOM] == ANSWER_WANTED) {
			make_record(p->out + p->owed, HANDSHAKE, 0, 0);
			p->owed += RECORD;
		}
		at += size;
	}
	memmove(p->in, p->in + at, p->have - at);
	p->have -= at;
	return at;
}

/* False at the end of the connection. */
static bool serve_peer(struct peer *p)
{
	ssize_t n = recv(p->fd, p->in + p->have, sizeof p->in - p->have, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	p->have += (size_t)n;
	p->owed = 0;
	if (judge(p) == SIZE_MAX)
		return false;
	// Never blocks: nobody has more than a few records under way.
	return !p->owed || send(p->fd, p->out, p->owed, MSG_NOSIGNAL) == (ssize_t)p->owed;
}

static _Noreturn void serve(const char *address, int port)
{
	struct sockaddr_storage to;
	socklen_t size = address_of(address, port, &to);
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int listener = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (epoll < 0 || listener < 0)
		die("socket");
	set(listener, SOL_SOCKET, SO_REUSEADDR, 1);
	if (bind(listener, (struct sockaddr *)&to, size) || listen(listener, 4096))
		die("listen");
	watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
	for (;;) {
		struct epoll_event events[EVENTS];
		int n = epoll_wait(epoll, events, EVENTS, -1);
		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++) {
			struct peer *p = events[i].data.ptr;
			if (!p) {
				int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
				if (fd < 0)
					continue;
				set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
				p = allocate(1, sizeof *p);
				p->fd = fd;
				watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, p);
			} else if (!serve_peer(p)) {
				close(p->fd);
				free(p);
			}
		}
	}
}

// --- the client ----------------------------------------------------------------------------

enum stage { IDLE, CONNECTING, GREETED, OPENING, WARM, WAITING, MEASURED };

struct flow {
	int fd;
	enum stage stage;
	uint32_t number, round, warm; // round: of the record under way
	uint64_t began;
	size_t have;
	uint8_t want[RECORD], in[RECORD];
};

static struct {
	struct sockaddr_storage to, from[SOURCES_MAX];
	socklen_t size;
	int sources, epoll;
	bool rounds, answer;
	long concurrent, count, warm_up, seconds;
	uint8_t hello[HELLO_MAX];
	size_t hello_size;

	struct flow *flows;
	long started, ended, ready, issued, total, errors;
	char error[128];
	uint32_t *times; // of what was measured, in units of 100 ns
	long measured;
	uint64_t begin, end;
} d = {.concurrent = 1, .count = 1000, .warm_up = 200, .seconds = 20};

static void flow_start(struct flow *f);

static void flow_fail(struct flow *f, const char *what, int error)
{
	if (!d.errors++)
		snprintf(d.error, sizeof d.error, "%s in stage %d: %s", what, f->stage,
			 error ? strerror(error) : "not what was expected");
	close(f->fd);
	f->stage = IDLE;
	d.ended++;
	if (!d.rounds)
		flow_start(f);
}

static void record_time(struct flow *f)
{
	d.end = now_ns();
	if (d.measured < d.total)
		d.times[d.measured++] = (uint32_t)((d.end - f->began) / 100);
}

static bool flow_send(struct flow *f, const uint8_t *data, size_t size)
{
	ssize_t n = send(f->fd, data, size, MSG_NOSIGNAL);
	if (n == (ssize_t)size)
		return true;
	flow_fail(f, "send", n < 0 ? errno : 0);
	return false;
}

static bool flow_ask(struct flow *f)
{
	make_record(f->want, APPLICATION, f->number, ++f->round);
	f->have = 0;
	return flow_send(f, f->want, RECORD);
}

static void flow_start(struct flow *f)
{
	if (d.started >= (d.rounds ? d.concurrent : d.count))
		return;
	f->number = (uint32_t)d.started++;
	f->round = f->warm = 0;
	f->stage = CONNECTING;
	f->have = 0;
	f->began = now_ns();
	f->fd = socket(d.to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (f->fd < 0)
		die("socket");
	set(f->fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set(f->fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (d.sources) {
		set(f->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
		if (bind(f->fd, (struct sockaddr *)&d.from[f->number % (uint32_t)d.sources], d.size))
			die("bind");
	}
	if (connect(f->fd, (struct sockaddr *)&d.to, d.size) && errno != EINPROGRESS)
		die("connect"); // of this machine, not of what is measured
	watch(d.epoll, EPOLL_CTL_ADD, f->fd, EPOLLOUT, f);
}

static void flow_connected(struct flow *f)
{
	int error = 0;
	socklen_t size = sizeof error;
	getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error) {
		flow_fail(f, "connect", error);
		return;
	}
	watch(d.epoll, EPOLL_CTL_MOD, f->fd, EPOLLIN, f);
	if (!flow_send(f, d.hello, d.hello_size))
		return;
	if (d.answer) {
		f->stage = GREETED;
		make_record(f->want, HANDSHAKE, 0, 0);
	} else {
		f->stage = OPENING;
		flow_ask(f);
	}
}

static void flow_next(struct flow *f)
{
	if (d.issued < d.total) {
		d.issued++;
		f->stage = MEASURED;
		f->began = now_ns();
		flow_ask(f);
	} else {
		f->stage = IDLE;
		d.ended++;
	}
}

/* Measuring begins when the last connection is warm. */
static void flow_warm(struct flow *f)
{
	f->stage = WAITING;
	if (++d.ready < d.concurrent)
		return;
	d.begin = now_ns();
	for (long i = 0; i < d.concurrent; i++)
		flow_next(&d.flows[i]);
}

static void flow_answered(struct flow *f)
{
	switch (f->stage) {
	case GREETED:
	case OPENING:
		if (!d.rounds) {
			record_time(f);
			close(f->fd);
			f->stage = IDLE;
			d.ended++;
			flow_start(f);
			return;
		}
		f->stage = WARM;
		// fall through
	case WARM:
		if (f->warm++ < d.warm_up)
			flow_ask(f);
		else
			flow_warm(f);
		return;
	case MEASURED:
		record_time(f);
		flow_next(f);
		return;
	default:
		flow_fail(f, "bytes that nobody asked for", 0);
	}
}

static void flow_readable(struct flow *f)
{
	if (f->have >= RECORD)
		f->have = 0;
	ssize_t n = recv(f->fd, f->in + f->have, RECORD - f->have, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		flow_fail(f, n ? "recv" : "end of file", n ? errno : 0);
		return;
	}
	f->have += (size_t)n;
	if (memcmp(f->in, f->want, f->have))
		flow_fail(f, "wrong bytes", 0);
	else if (f->have == RECORD)
		flow_answered(f);
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static double percentile(double part)
{
	if (!d.measured)
		return 0;
	return d.times[(long)(part * (double)(d.measured - 1))] / 10.0;
}

static int drive(void)
{
	long all = d.rounds ? d.concurrent : d.count;
	d.total = d.rounds ? d.concurrent * d.count : d.count;
	d.times = allocate((size_t)d.total, sizeof *d.times);
	d.flows = allocate((size_t)d.concurrent, sizeof *d.flows);
	d.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (d.epoll < 0)
		die("epoll");
	uint64_t deadline = now_ns() + (uint64_t)d.seconds * 1000000000u;
	d.begin = now_ns();
	for (long i = 0; i < d.concurrent; i++)
		flow_start(&d.flows[i]);
	while (d.ended < all && now_ns() < deadline && !(d.rounds && d.errors)) {
		struct epoll_event events[EVENTS];
		int n = epoll_wait(d.epoll, events, EVENTS, 200);
		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++) {
			struct flow *f = events[i].data.ptr;
			if (f->stage == CONNECTING)
				flow_connected(f);
			else if (f->stage != IDLE)
				flow_readable(f);
		}
	}
	long stuck = all - d.ended;
	double seconds = d.end > d.begin ? (double)(d.end - d.begin) / 1e9 : 0;
	qsort(d.times, (size_t)d.measured, sizeof *d.times, by_size);
	printf("{\"workload\": \"%s\", \"concurrent\": %ld, \"wanted\": %ld, \"done\": %ld, "
	       "\"errors\": %ld, \"stuck\": %ld, \"seconds\": %.4f, \"per_second\": %.1f, "
	       "\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f, \"error\": \"%s\"}\n",
	       d.rounds ? "rounds" : "connect", d.concurrent, d.total, d.measured, d.errors, stuck,
	       seconds, seconds > 0 ? (double)d.measured / seconds : 0, percentile(0.5),
	       percentile(0.99), percentile(1), d.error);
	return d.errors || stuck || d.measured != d.total;
}

// --- the command line ----------------------------------------------------------------------

static int usage(void)
{
	fputs("usage: load serve ADDRESS PORT\n"
	      "       load drive connect|rounds ADDRESS PORT NAME [-c CONCURRENT] [-n COUNT]\n"
	      "                  [-w WARM-UP] [-b SOURCE]... [-t SECONDS] [-a]\n", stderr);
	return 2;
}

static bool number(const char *text, long least, long most, long *out)
{
	char *end;
	*out = strtol(text, &end, 10);
	return *text && !*end && *out >= least && *out <= most;
}

int main(int argc, char **argv)
{
	long port;
	struct rlimit files;
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	signal(SIGPIPE, SIG_IGN);
	if (argc == 4 && !strcmp(argv[1], "serve") && number(argv[3], 1, 65535, &port))
		serve(argv[2], (int)port);
	if (argc < 6 || strcmp(argv[1], "drive") || !number(argv[4], 1, 65535, &port))
		return usage();
	d.rounds = !strcmp(argv[2], "rounds");
	if (!d.rounds && strcmp(argv[2], "connect"))
		return usage();
	d.size = address_of(argv[3], (int)port, &d.to);
	const char *name = argv[5];
	bool good = true;
	optind = 6;
	for (int c; (c = getopt(argc, argv, "c:n:w:b:t:a")) != -1;) {
		switch (c) {
		case 'c': good &= number(optarg, 1, 10000, &d.concurrent); break;
		case 'n': good &= number(optarg, 1, 1000000, &d.count); break;
		case 'w': good &= number(optarg, 0, 1000000, &d.warm_up); break;
		case 't': good &= number(optarg, 1, 3600, &d.seconds); break;
		case 'a': d.answer = true; break;
		case 'b':
			if (d.sources == SOURCES_MAX)
				return usage();
			if (address_of(optarg, 0, &d.from[d.sources++]) != d.size)
				return usage();
			break;
		default: good = false;
		}
	}
	if (!good || optind != argc || d.concurrent * d.count > 50000000)
		return usage();
	d.hello_size = make_hello(d.hello, name, d.answer);
	return drive();
}
