// SPDX-License-Identifier: GPL-2.0-or-later
// The control tool: one line to the daemon's socket, its answer to stdout.
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "slowpath/control/control.h"
#include "slowpath/control/verb_table.h"

#ifndef DEFAULT_CONTROL
#define DEFAULT_CONTROL "/run/sluice/control.sock"
#endif
#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NOT_RUNNING = 3 };

static void usage(FILE *f)
{
	fputs("usage: sluicectl [-s SOCKET] [-j] VERB [ARGUMENT...]\n"
	      "  -s SOCKET  the daemon's socket (default " DEFAULT_CONTROL ")\n"
	      "  -j         JSON\n"
	      "  -V         print the version\n"
	      "  -h         print this\n"
	      "verbs:\n",
	      f);
	for (const struct verb *v = verbs; v->name; v++)
		if (v->help)
			fprintf(f, "  %s\n      %s\n", v->usage, v->help);
}

/* A word of the protocol: printable, without a space. */
static bool is_word(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s; s++)
		if (*s <= 0x20 || *s > 0x7e)
			return false;
	return true;
}

/* The line to send, or false if the words do not make one. */
static bool make_line(char *line, size_t size, bool json, int argc, char **argv)
{
	size_t len = (size_t)snprintf(line, size, "%s", json ? "-j" : "");

	for (int i = 0; i < argc; i++) {
		if (!is_word(argv[i]) || len + strlen(argv[i]) + 2 >= size)
			return false;
		len += (size_t)snprintf(line + len, size - len, "%s%s", len ? " " : "", argv[i]);
	}
	line[len] = '\n';
	line[len + 1] = '\0';
	return true;
}

/* The user has seen enough: that is how a stream ends. */
static void on_interrupt(int sig)
{
	(void)sig;
	_exit(EXIT_DONE);
}

/* The socket, or -errno. */
static int connect_to(const char *path, int patience_s)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = patience_s };
	AUTO_FD int fd = -1;

	if (strlen(path) >= sizeof(at.sun_path))
		return -ENAMETOOLONG;
	memcpy(at.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0)
		return -errno;
	return TAKE_FD(fd);
}

/* Copies until the end, or until nobody reads. A stream's lines are shown as they come. */
static void copy(FILE *in, bool stream)
{
	char some[4096];
	size_t n;

	if (stream) {
		while (fgets(some, sizeof(some), in) && fputs(some, stdout) != EOF &&
		       fflush(stdout) == 0)
			;
		return;
	}
	while ((n = fread(some, 1, sizeof(some), in)) > 0)
		fwrite(some, 1, n, stdout);
}

/* "ok" goes to stdout, "error" to stderr; anything else is not our daemon. */
static int copy_answer(FILE *in, bool stream)
{
	char line[4096];

	if (!fgets(line, sizeof(line), in)) {
		fputs("sluicectl: no answer\n", stderr);
		return EXIT_FAILED;
	}
	if (strcmp(line, "error\n") == 0) {
		fprintf(stderr, "sluicectl: %s", fgets(line, sizeof(line), in) ? line : "failed\n");
		return EXIT_FAILED;
	}
	if (strcmp(line, "ok\n") != 0) {
		fputs("sluicectl: not the answer of sluiced\n", stderr);
		return EXIT_FAILED;
	}
	copy(in, stream);
	if (ferror(in)) {
		fprintf(stderr, "sluicectl: the answer broke off: %s\n", strerror(errno));
		return EXIT_FAILED;
	}
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "sluicectl: stdout: %s\n", strerror(errno));
		return EXIT_FAILED;
	}
	return EXIT_DONE;
}

static int ask(const char *path, const char *line, const struct verb *verb)
{
	AUTO_FD int fd = connect_to(path, verb->patience_s);
	AUTO_FILE FILE *in = NULL;

	if (fd < 0) {
		bool absent = fd == -ENOENT || fd == -ECONNREFUSED;

		fprintf(stderr, "sluicectl: %s: %s\n", path,
			absent ? "sluiced is not running" : strerror(-fd));
		return absent ? EXIT_NOT_RUNNING : EXIT_FAILED;
	}
	if (verb->patience_s == VERB_ENDLESS)
		signal(SIGINT, on_interrupt);
	if (send(fd, line, strlen(line), MSG_NOSIGNAL) != (ssize_t)strlen(line)) {
		fprintf(stderr, "sluicectl: %s: %s\n", path, strerror(errno));
		return EXIT_FAILED;
	}
	in = fdopen(fd, "r");
	if (!in)
		return EXIT_FAILED;
	(void)TAKE_FD(fd);
	return copy_answer(in, verb->patience_s == VERB_ENDLESS);
}

static int bad_usage(const char *what, const char *word)
{
	fprintf(stderr, "sluicectl: %s%s\n", what, word);
	usage(stderr);
	return EXIT_USAGE;
}

static int run(const char *path, bool json, int argc, char **argv)
{
	char line[CONTROL_LINE];
	const struct verb *verb;

	if (argc == 0)
		return bad_usage("no verb", "");
	verb = verbs_find(argv[0]);
	if (!verb || !verb->help)
		return bad_usage("no such verb: ", argv[0]);
	if (!verbs_takes(verb, argc - 1))
		return bad_usage("usage: ", verb->usage);
	if (!make_line(line, sizeof(line), json, argc, argv))
		return bad_usage("bad argument for ", verb->name);
	return ask(path, line, verb);
}

int main(int argc, char **argv)
{
	const char *path = DEFAULT_CONTROL;
	bool json = false;
	int opt;

	while ((opt = getopt(argc, argv, "s:jVh")) != -1) {
		switch (opt) {
		case 's':
			path = optarg;
			break;
		case 'j':
			json = true;
			break;
		case 'V':
			puts("sluicectl " PACKAGE_VERSION);
			return EXIT_DONE;
		case 'h':
			usage(stdout);
			return EXIT_DONE;
		default:
			usage(stderr);
			return EXIT_USAGE;
		}
	}
	return run(path, json, argc - optind, argv + optind);
}
