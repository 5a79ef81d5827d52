// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A hostile client: many connections, each of which is an attack as attack.h makes it. Whether one
 * of them got through is not for this program to say: the servers tell what they saw.
 *
 *   racer ADDRESS ALLOWED DENIED -p SERVER:PORT[:WEIGHT]... [-n COUNT] [-i FIRST] [-c CONCURRENT]
 *         [-s SEED] [-t SECONDS] [-j THREADS] [-b SOURCE]... [-o KIND]...
 *
 * ALLOWED and DENIED are domains; a connection has names of its own in them. SERVER is http, live,
 * h2c or tls. After SECONDS no connection is begun. Each of the THREADS drives its share of the
 * connections with epoll, and has a helper that writes every second piece of those that are written
 * to by two threads at once. Ends with one line of JSON; 2: it could not be tried.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/net/attack.h"

enum {
	SOURCES = 16,
	PORTS = 16,
	KINDS = 32,
	THREADS = 16,
	EVENTS = 64,
	RECEIVED = 64 * 1024,
	LIFE_S = 3, /* of a connection that is not taken from */
};

#define SECOND_NS 1000000000u

/* How a connection ended: by the other side's FIN or RST, by its own plan, or not in time. */
enum how { BY_FIN, BY_RST, BY_PLAN, TOO_LONG, REFUSED, HOWS };
static const char *const how_names[] = { "fin", "rst", "left", "late", "refused" };

struct tally {
	uint64_t made, answered, bytes, ends[HOWS];
};

/* Shared by a connection and the helper. */
struct shared_attack {
	atomic_int owners;
	struct shared_attack *next; /* in the helper's queue */
	int fd;			    /* the helper's own */
	struct attack attack;
};

struct connection {
	int fd; /* -1: free */
	bool connected, ended;
	struct shared_attack *plan;
	unsigned step;
	size_t sent;		   /* of the step */
	uint64_t wait_ns, dead_ns; /* 0: does not wait */
	uint64_t got, got_before;
};

struct racer {
	pthread_t thread, helper;
	int epoll;
	unsigned open, room;
	struct connection *connections;
	struct tally tally[KINDS];
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct shared_attack *queue;
	bool over;
	uint8_t received[RECEIVED];
};

static struct {
	struct sockaddr_storage to, from[SOURCES];
	socklen_t size;
	unsigned sources, ports;
	struct {
		enum attack_server server;
		int port;
		unsigned weight;
	} port[PORTS];
	struct attack_domains domains;
	uint64_t seed, first, count;
	unsigned concurrent, threads, only;
	long seconds;
	uint64_t stop_ns;
	atomic_ullong next;
} g = { .count = 1000, .concurrent = 32, .threads = 2, .seconds = 600, .seed = 1 };

static struct racer racers[THREADS];

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "racer: %s: %s\n", what, strerror(errno));
	exit(2);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static void set(int fd, int level, int option, int value)
{
	setsockopt(fd, level, option, &value, sizeof(value)); /* one that was reset refuses */
}

/* ---- the plan and its owners ---- */

static struct shared_attack *plan_new(uint64_t number)
{
	struct shared_attack *p = malloc(sizeof(*p));

	if (!p)
		die("memory");
	atomic_init(&p->owners, 1);
	attack_make(&p->attack, g.seed, number, g.only, &g.domains);
	return p;
}

static void plan_leave(struct shared_attack *p)
{
	if (atomic_fetch_sub(&p->owners, 1) == 1)
		free(p);
}

/* The helper's pieces; the first is never one of them. */
static bool is_helpers(const struct attack *a, unsigned i)
{
	return a->shared && i % 2;
}

/* ---- the helper: the second thread that writes ---- */

/* What is not taken is lost. */
static bool helper_send(const struct shared_attack *p, const struct attack_step *s)
{
	return send(p->fd, p->attack.bytes + s->at, s->size,
		    s->flags | MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 ||
	       errno == EAGAIN;
}

static void helper_write(struct shared_attack *p)
{
	const struct attack *a = &p->attack;

	for (unsigned i = 1; i < a->n_steps; i++) {
		const struct attack_step *s = &a->steps[i];

		if (s->act == ACT_PAUSE)
			usleep(s->size);
		else if (s->act == ACT_SEND && is_helpers(a, i) && !helper_send(p, s))
			return;
	}
}

static struct shared_attack *helper_next(struct racer *r)
{
	struct shared_attack *p;

	pthread_mutex_lock(&r->lock);
	while (!r->queue && !r->over)
		pthread_cond_wait(&r->more, &r->lock);
	p = r->queue;
	if (p)
		r->queue = p->next;
	pthread_mutex_unlock(&r->lock);
	return p;
}

static void *help(void *arg)
{
	struct racer *r = arg;
	struct shared_attack *p;

	while ((p = helper_next(r))) {
		helper_write(p);
		close(p->fd);
		plan_leave(p);
	}
	return NULL;
}

/* A descriptor of its own, so that it never writes to another connection. */
static void ask_helper(struct racer *r, struct connection *c)
{
	struct shared_attack *p = c->plan;

	p->fd = dup(c->fd);
	if (p->fd < 0)
		die("dup");
	atomic_fetch_add(&p->owners, 1);
	pthread_mutex_lock(&r->lock);
	p->next = r->queue;
	r->queue = p;
	pthread_cond_signal(&r->more);
	pthread_mutex_unlock(&r->lock);
}

/* ---- a connection ---- */

static void finish(struct racer *r, struct connection *c, enum how how)
{
	struct tally *t = &r->tally[c->plan->attack.kind];

	t->ends[how]++;
	t->bytes += c->got;
	t->answered += c->got > 0;
	epoll_ctl(r->epoll, EPOLL_CTL_DEL, c->fd, NULL); /* the helper may have it open */
	close(c->fd);
	c->fd = -1;
	plan_leave(c->plan);
	r->open--;
}

static void finish_with_error(struct racer *r, struct connection *c)
{
	finish(r, c, !c->connected && errno == ECONNREFUSED ? REFUSED : BY_RST);
}

/* Of those for this kind of server, by weight. */
static int pick_port(struct attack *a)
{
	enum attack_server server = attack_server(a->kind);
	unsigned all = 0, at;

	for (unsigned i = 0; i < g.ports; i++)
		all += g.port[i].server == server ? g.port[i].weight : 0;
	if (!all) {
		errno = ESRCH;
		die("no server for this kind");
	}
	at = attack_pick(a, all);
	for (unsigned i = 0;; i++) {
		if (g.port[i].server != server)
			continue;
		if (at < g.port[i].weight)
			return g.port[i].port;
		at -= g.port[i].weight;
	}
}

static struct sockaddr_storage address_at(struct sockaddr_storage at, int port)
{
	if (at.ss_family == AF_INET)
		((struct sockaddr_in *)&at)->sin_port = htons((uint16_t)port);
	else
		((struct sockaddr_in6 *)&at)->sin6_port = htons((uint16_t)port);
	return at;
}

static void begin(struct racer *r, struct connection *c, uint64_t number)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
				 .data.ptr = c };
	struct sockaddr_storage to;

	memset(c, 0, sizeof(*c));
	c->plan = plan_new(number);
	to = address_at(g.to, pick_port(&c->plan->attack));
	c->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket");
	c->dead_ns = now_ns() + LIFE_S * (uint64_t)SECOND_NS;
	r->open++;
	r->tally[c->plan->attack.kind].made++;
	set(c->fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	if (g.sources && bind(c->fd, (struct sockaddr *)&g.from[number % g.sources], g.size) != 0)
		die("bind");
	if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, c->fd, &e) != 0)
		die("epoll_ctl");
	if (connect(c->fd, (struct sockaddr *)&to, g.size) != 0 && errno != EINPROGRESS)
		die("connect");
}

/* true: the step is done. It waits while `more` is what it waits for, and not too long. */
static bool waited(struct connection *c, uint32_t us, bool more)
{
	uint64_t now = now_ns();

	if (!c->wait_ns)
		c->wait_ns = now + (uint64_t)us * 1000;
	if (!more && now < c->wait_ns)
		return false;
	c->wait_ns = 0;
	c->got_before = c->got;
	return true;
}

/* 1: all was sent, 0: not now, -1: it has ended */
static int send_step(struct racer *r, struct connection *c, const struct attack_step *s)
{
	const struct attack *a = &c->plan->attack;

	if (is_helpers(a, c->step))
		return 1;
	while (c->sent < s->size) {
		ssize_t n = send(c->fd, a->bytes + s->at + c->sent, s->size - c->sent,
				 s->flags | MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0) {
			finish_with_error(r, c);
			return -1;
		}
		c->sent += (size_t)n;
	}
	c->sent = 0;
	if (c->step == 0 && a->shared)
		ask_helper(r, c);
	return 1;
}

static int leave(struct racer *r, struct connection *c, bool reset)
{
	struct linger now = { .l_onoff = 1 };

	if (reset)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	finish(r, c, c->ended ? BY_FIN : BY_PLAN);
	return -1;
}

static int take_step(struct racer *r, struct connection *c)
{
	const struct attack_step *s = &c->plan->attack.steps[c->step];

	switch (s->act) {
	case ACT_SEND:
		return send_step(r, c, s);
	case ACT_PAUSE:
		return waited(c, s->size, false);
	case ACT_ANSWER:
		return waited(c, s->size, c->ended || c->got > c->got_before);
	case ACT_LINGER:
		return waited(c, s->size, c->ended);
	case ACT_CORK:
	case ACT_UNCORK:
		set(c->fd, IPPROTO_TCP, TCP_CORK, s->act == ACT_CORK);
		return 1;
	case ACT_SHUT:
		shutdown(c->fd, SHUT_WR);
		return 1;
	case ACT_RESET:
	case ACT_CLOSE:
		return leave(r, c, s->act == ACT_RESET);
	}
	return 1;
}

static void go_on(struct racer *r, struct connection *c)
{
	int word;

	if (!c->connected)
		return;
	while ((word = take_step(r, c)) > 0)
		c->step++;
}

/* What comes back is not looked at. false: it has ended. */
static bool receive(struct racer *r, struct connection *c)
{
	ssize_t n;

	while ((n = recv(c->fd, r->received, RECEIVED, MSG_DONTWAIT)) > 0)
		c->got += (uint64_t)n;
	if (n == 0)
		c->ended = true;
	if (n == 0 || errno == EAGAIN)
		return true;
	finish_with_error(r, c);
	return false;
}

static void on_event(struct racer *r, struct connection *c, uint32_t events)
{
	if (events & ~(uint32_t)EPOLLOUT && !receive(r, c))
		return;
	if (events & EPOLLOUT)
		c->connected = true;
	go_on(r, c);
}

/* ---- a thread ---- */

static void open_more(struct racer *r)
{
	for (unsigned i = 0; r->open < r->room && i < r->room; i++) {
		uint64_t number;

		if (r->connections[i].fd >= 0)
			continue;
		number = atomic_load(&g.next);
		if (number >= g.count || now_ns() > g.stop_ns)
			return;
		number = atomic_fetch_add(&g.next, 1);
		if (number < g.count)
			begin(r, &r->connections[i], g.first + number);
	}
}

/* Those whose wait is over go on. When the next is. */
static uint64_t look_at_waiting(struct racer *r)
{
	uint64_t now = now_ns(), next = now + SECOND_NS;

	for (unsigned i = 0; i < r->room; i++) {
		struct connection *c = &r->connections[i];

		if (c->fd >= 0 && c->wait_ns && c->wait_ns <= now)
			go_on(r, c);
		if (c->fd >= 0 && c->dead_ns <= now)
			finish(r, c, TOO_LONG);
		if (c->fd >= 0 && c->wait_ns && c->wait_ns < next)
			next = c->wait_ns;
	}
	return next;
}

static void *race(void *arg)
{
	struct racer *r = arg;
	struct epoll_event events[EVENTS];

	for (;;) {
		struct timespec wait = { 0 };
		uint64_t next, now;
		int n;

		open_more(r);
		if (!r->open)
			break;
		next = look_at_waiting(r);
		now = now_ns();
		if (next > now)
			wait.tv_nsec = (long)(next - now - 1);
		n = epoll_pwait2(r->epoll, events, EVENTS, &wait, NULL);
		for (int i = 0; i < n; i++)
			on_event(r, events[i].data.ptr, events[i].events);
	}
	pthread_mutex_lock(&r->lock);
	r->over = true;
	pthread_cond_signal(&r->more);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->helper, NULL);
	return NULL;
}

static void start(struct racer *r)
{
	r->room = g.concurrent / g.threads;
	r->connections = calloc(r->room, sizeof(*r->connections));
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!r->connections || r->epoll < 0)
		die("epoll");
	for (unsigned i = 0; i < r->room; i++)
		r->connections[i].fd = -1;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->more, NULL);
	if (pthread_create(&r->helper, NULL, help, r) != 0 ||
	    pthread_create(&r->thread, NULL, race, r) != 0)
		die("thread");
}

/* ---- the verdict ---- */

static struct tally all_of(unsigned kind)
{
	struct tally sum = { 0 };

	for (unsigned t = 0; t < g.threads; t++) {
		const struct tally *one = &racers[t].tally[kind];

		sum.made += one->made;
		sum.answered += one->answered;
		sum.bytes += one->bytes;
		for (int i = 0; i < HOWS; i++)
			sum.ends[i] += one->ends[i];
	}
	return sum;
}

static void tell(uint64_t began)
{
	printf("{\"seconds\":%.3f,\"kinds\":{", (double)(now_ns() - began) / SECOND_NS);
	for (unsigned kind = 0; attack_name(kind); kind++) {
		struct tally t = all_of(kind);

		printf("%s\"%s\":{\"made\":%llu,\"answered\":%llu,\"bytes\":%llu", kind ? "," : "",
		       attack_name(kind), (unsigned long long)t.made,
		       (unsigned long long)t.answered, (unsigned long long)t.bytes);
		for (int i = 0; i < HOWS; i++)
			printf(",\"%s\":%llu", how_names[i], (unsigned long long)t.ends[i]);
		putchar('}');
	}
	puts("}}");
}

/* ---- the command line ---- */

static _Noreturn void usage(void)
{
	fputs("usage: racer ADDRESS ALLOWED DENIED -p SERVER:PORT[:WEIGHT]... [OPTION]...\n",
	      stderr);
	exit(2);
}

static bool address(const char *text, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		g.size = sizeof(*v4);
		return true;
	}
	v6->sin6_family = AF_INET6;
	g.size = sizeof(*v6);
	return inet_pton(AF_INET6, text, &v6->sin6_addr) == 1;
}

static void add_port(const char *text)
{
	static const char *const servers[] = { "http", "live", "h2c", "tls" };
	char word[8];

	if (g.ports == PORTS)
		usage();
	g.port[g.ports].weight = 1;
	if (sscanf(text, "%7[^:]:%d:%u", word, &g.port[g.ports].port, &g.port[g.ports].weight) < 2)
		usage();
	for (int i = 0; i < ATTACK_SERVERS; i++)
		if (strcmp(word, servers[i]) == 0) {
			g.port[g.ports++].server = (enum attack_server)i;
			return;
		}
	usage();
}

static void add_kind(const char *name)
{
	for (unsigned kind = 0; attack_name(kind); kind++)
		if (strcmp(attack_name(kind), name) == 0) {
			g.only |= 1u << kind;
			return;
		}
	usage();
}

static void options(int argc, char **argv)
{
	for (int c; (c = getopt(argc, argv, "p:n:i:c:s:t:j:b:o:")) != -1;) {
		uint64_t n = optarg ? strtoull(optarg, NULL, 10) : 0;

		switch (c) {
		case 'p':
			add_port(optarg);
			break;
		case 'n':
			g.count = n;
			break;
		case 'i':
			g.first = n;
			break;
		case 'c':
			g.concurrent = (unsigned)n;
			break;
		case 's':
			g.seed = n;
			break;
		case 't':
			g.seconds = (long)n;
			break;
		case 'j':
			g.threads = (unsigned)n;
			break;
		case 'o':
			add_kind(optarg);
			break;
		case 'b':
			if (g.sources == SOURCES || !address(optarg, &g.from[g.sources++]))
				usage();
			break;
		default:
			usage();
		}
	}
}

int main(int argc, char **argv)
{
	struct rlimit files;
	uint64_t began = now_ns();

	if (argc < 5 || !address(argv[1], &g.to))
		usage();
	g.domains = (struct attack_domains){ argv[2], argv[3] };
	optind = 4;
	options(argc, argv);
	if (optind != argc || !g.threads || g.threads > THREADS || g.concurrent < g.threads)
		usage();
	if (!g.only)
		g.only = ~0u;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	g.stop_ns = began + (uint64_t)g.seconds * SECOND_NS;
	for (unsigned t = 0; t < g.threads; t++)
		start(&racers[t]);
	for (unsigned t = 0; t < g.threads; t++)
		pthread_join(racers[t].thread, NULL);
	tell(began);
	return 0;
}
