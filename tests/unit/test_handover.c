// SPDX-License-Identifier: GPL-2.0-or-later
// The new sluiced, and a running one that does not say a word: it is ended by a signal, and no
// other process is.
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "slowpath/daemon/handover.h"
#include "tests/unit/folder.h"
#include "tests/unit/test.h"

/* Takes connections, and closes each at once. */
static void silent(int listener)
{
	for (;;)
		close(accept(listener, NULL, NULL));
}

static int listen_at(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(at.sun_path, path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0)
		abort();
	return fd;
}

static pid_t start_silent(int fd)
{
	pid_t pid = fork();

	if (pid == 0) {
		listen(fd, 8); /* whose process the other end is told */
		kill(getppid(), SIGUSR1);
		silent(fd);
	}
	return pid;
}

static void test_silent(void)
{
	char err[256] = "";
	sigset_t ready;
	int fd, process, status = 0, number;
	pid_t pid;

	sigemptyset(&ready);
	sigaddset(&ready, SIGUSR1);
	sigprocmask(SIG_BLOCK, &ready, NULL);
	pid = start_silent(listen_at("control"));
	sigwait(&ready, &number);
	fd = handover_connect("control", err, sizeof(err));
	CHECK(fd >= 0);
	process = handover_process(fd);
	CHECK(process >= 0);
	CHECK(handover_done(fd, err, sizeof(err)) != 0 && err[0]);
	CHECK(waitpid(pid, &status, WNOHANG) == 0); /* to say nothing does not end it */
	CHECK(handover_terminate(process) == 0);
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	      WTERMSIG(status) == SIGTERM);
}

static void test_nobody(void)
{
	char err[256] = "";

	CHECK(handover_connect("nothing", err, sizeof(err)) < 0 && strstr(err, "nothing"));
	CHECK(handover_process(STDIN_FILENO) < 0);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	folder_enter();
	RUN(test_nobody);
	RUN(test_silent);
	folder_leave();
	TEST_DONE("test_handover");
}
