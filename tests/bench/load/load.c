// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The command line of the load generator:
 *
 *   load serve ADDRESS PORT [-f FILE]
 *   load MODE ADDRESS PORT NAME [OPTION]...
 *
 * MODE is what the clients do:
 *   connect   -c connections at a time, again and again; each ends when the first answer is
 *             there: to hello and record, sent at once in two segments; with -a to the hello.
 *             With -r, so many are begun a second, whatever becomes of them; at most -n in all
 *   rounds    -c connections stay open and send a record as soon as the last one came back
 *   idle      -c connections are opened and say nothing. Prints {"ready": N}, waits for a word
 *             on standard input, then sends a record on each
 *   up, down  -c streams of bulk; with -r, so many Mbit a second together. Server and client
 *             share the counter -f FILE, and have to be on one machine
 *
 * It warms up for -w ms, measures for -d ms, ends by itself, at the latest after -t seconds, and
 * prints one line of JSON. Connections come from the addresses -b in turn. The exit status is 0
 * if every connection and every byte was as it should be.
 */
#include "tests/bench/load/load.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

int client_connect(const struct options *o, uint32_t number)
{
	int fd = socket(o->to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket");
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (o->sources) {
		const struct sockaddr_storage *from = &o->from[number % (uint32_t)o->sources];
		set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
		if (bind(fd, (const struct sockaddr *)from, o->size))
			die("bind");
	}
	if (connect(fd, (const struct sockaddr *)&o->to, o->size) && errno != EINPROGRESS)
		die("connect"); // of this machine, not of what is measured
	return fd;
}

int client_connected(int fd)
{
	int error = 0;
	socklen_t size = sizeof error;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	return error;
}

static int usage(void)
{
	fputs("usage: load serve ADDRESS PORT [-f FILE]\n"
	      "       load connect|rounds|idle|up|down ADDRESS PORT NAME [-a] [-c CONCURRENT]\n"
	      "            [-n MOST] [-r RATE] [-w WARM-UP-MS] [-d MS] [-t SECONDS]\n"
	      "            [-b SOURCE]... [-f FILE]\n",
	      stderr);
	return 2;
}

static bool number(const char *text, long least, long most, long *out)
{
	char *end;
	*out = strtol(text, &end, 10);
	return *text && !*end && *out >= least && *out <= most;
}

static bool add_source(struct options *o, const char *text)
{
	return o->sources < SOURCES_MAX && address_of(text, 0, &o->from[o->sources++]) == o->size;
}

static bool parse_option(struct options *o, int c)
{
	long ms = 0;
	bool good = true;
	switch (c) {
	case 'a':
		o->answer = true;
		break;
	case 'b':
		return add_source(o, optarg);
	case 'c':
		return number(optarg, 1, 10000, &o->concurrent);
	case 'd':
		good = number(optarg, 1, 600000, &ms);
		o->window.length_ns = (uint64_t)ms * 1000000u;
		break;
	case 'f':
		o->counter = open_counter(optarg);
		break;
	case 'n':
		return number(optarg, 1, 1000000, &o->most);
	case 'r':
		return number(optarg, 1, 1000000, &o->rate);
	case 't':
		return number(optarg, 1, 3600, &o->seconds);
	case 'w':
		good = number(optarg, 0, 600000, &ms);
		o->window.warm_ns = (uint64_t)ms * 1000000u;
		break;
	default:
		good = false;
	}
	return good;
}

static int drive(const char *mode, struct options *o)
{
	if (!strcmp(mode, "connect"))
		return drive_connect(o);
	if (!strcmp(mode, "rounds"))
		return drive_rounds(o);
	if (!strcmp(mode, "idle"))
		return drive_idle(o);
	if (!strcmp(mode, "up") || !strcmp(mode, "down"))
		return drive_bulk(o, !strcmp(mode, "up"));
	return usage();
}

static void raise_limits(void)
{
	struct rlimit files;
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

int main(int argc, char **argv)
{
	static struct options o = {
		.concurrent = 1,
		.seconds = 20,
		.window = { .warm_ns = 200000000u, .length_ns = 1000000000u },
	};
	long port;
	bool good = true, server = argc > 1 && !strcmp(argv[1], "serve");
	int words = server ? 4 : 5;
	signal(SIGPIPE, SIG_IGN);
	raise_limits();
	if (argc < words || !number(argv[3], 1, 65535, &port))
		return usage();
	o.size = address_of(argv[2], (int)port, &o.to);
	o.counter = open_counter(NULL);
	optind = words;
	for (int c; (c = getopt(argc, argv, "ab:c:d:f:n:r:t:w:")) != -1;)
		good &= parse_option(&o, c);
	if (!good || optind != argc)
		return usage();
	if (server)
		serve(argv[2], (int)port, o.counter);
	o.answer |= strcmp(argv[1], "connect") != 0;
	o.hello_size = make_hello(o.hello, argv[4], o.answer);
	return drive(argv[1], &o);
}
