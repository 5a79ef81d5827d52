// SPDX-License-Identifier: GPL-2.0-or-later
// The daemon's own messages: whole lines, and nobody waits for who reads them.
#include "common/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/test.h"

#define HANG_S 30
#define PART_LEN 200

/* Runs body with fd as standard error, in a process of its own: what that is, is asked once. */
static int with_stderr(int fd, int (*body)(int), int reader)
{
	int status = 1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		alarm(HANG_S);
		dup2(fd, STDERR_FILENO);
		close(fd);
		_exit(body(reader));
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return status;
}

static char *text_of(int fd)
{
	static char text[1 << 20];
	size_t len = 0;
	ssize_t n;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (len < sizeof(text) - 1 && (n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return text;
}

static int says_all(int reader)
{
	char longest[4096];

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	log_open();
	log_info("one %d", 1);
	log_warn("two");
	log_error("three");
	log_info("%s", longest);
	(void)reader;
	return log_messages_lost() != 0;
}

static void test_lines(void)
{
	const char *want =
		"sluiced: one 1\nsluiced: warning: two\nsluiced: error: three\nsluiced: xxx";
	int fds[2];
	char *text;

	CHECK(pipe(fds) == 0);
	CHECK(with_stderr(fds[1], says_all, fds[0]) == 0);
	text = text_of(fds[0]);
	CHECK(strncmp(text, want, strlen(want)) == 0);
	CHECK(text[strlen(text) - 1] == '\n' && strlen(text) < strlen(want) + 1200);
	close(fds[0]);
	close(fds[1]);
}

static void *speak(void *arg)
{
	for (int i = 0; i < 1000; i++)
		log_warn("%s%0*d", (const char *)arg, PART_LEN, i);
	return NULL;
}

/* All threads come to their end though nobody reads. What was lost is counted, and told by the
   next message; what was not, is whole lines. */
static int speaks_into_the_full(int reader)
{
	pthread_t threads[4];
	unsigned long long lost;
	unsigned whole = 0;
	char *text, *line, *save = NULL;

	for (size_t i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, speak, "a message: ") == 0);
	for (size_t i = 0; i < 4; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(!(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK)); /* others write there too */
	lost = log_messages_lost();
	CHECK(lost > 0 && lost < 4000);
	text = text_of(reader);
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		whole += strncmp(line, "sluiced: warning: a message: 0", 30) == 0 &&
			 strlen(line) == strlen("sluiced: warning: a message: ") + PART_LEN;
	CHECK(whole + lost == 4000);
	log_info("again");
	text = text_of(reader);
	line = strstr(text, "messages before this one were lost\nsluiced: again\n");
	CHECK(line);
	CHECK(line && strtoull(strchr(text, 'g') + 2, NULL, 10) == lost);
	log_info("and again");
	CHECK_STR(text_of(reader), "sluiced: and again\n");
	return test_failures != 0;
}

static void test_nobody_reads(int kind)
{
	int fds[2];

	if (kind == SOCK_STREAM)
		CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	else
		CHECK(pipe(fds) == 0);
	CHECK(with_stderr(fds[1], speaks_into_the_full, fds[0]) == 0);
	close(fds[0]);
	close(fds[1]);
}

/* A disk that is full within a line: the next one stands by itself. */
static int speaks_onto_a_full_disk(int reader)
{
	struct rlimit limit;

	(void)reader;
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = 10;
	setrlimit(RLIMIT_FSIZE, &limit);
	log_info("first");
	log_info("second");
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_FSIZE, &limit);
	log_info("third");
	return log_messages_lost() != 2;
}

static void test_full_disk(void)
{
	char path[] = "/tmp/test_log.XXXXXX";
	int fd = mkstemp(path);

	CHECK(with_stderr(fd, speaks_onto_a_full_disk, -1) == 0);
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	CHECK_STR(text_of(fd),
		  "sluiced: f\nsluiced: warning: 2 messages before this one were lost\n"
		  "sluiced: third\n");
	close(fd);
	unlink(path);
}

int main(void)
{
	RUN(test_lines);
	RUN(test_nobody_reads, 0);
	RUN(test_nobody_reads, SOCK_STREAM);
	RUN(test_full_disk);
	TEST_DONE("log");
}
