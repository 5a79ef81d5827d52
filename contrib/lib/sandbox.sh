# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Sourced by contrib/demo and contrib/check: runs a command in a PID and a mount namespace of
# its own. When it ends, however it ends, the kernel takes what it started and made with it:
# processes, network namespaces, mounts, and the maps pinned in its bpffs.

sandbox_pid='' scratch=''

# the caller's end; make_scratch arranges for it
leave_sandbox() {
	local status=$? i
	trap '' INT TERM HUP
	[[ ! $sandbox_pid ]] || kill -KILL "$sandbox_pid" 2>/dev/null || true
	wait
	# what is being killed may still be writing
	for ((i = 0; i < 50; i++)); do
		! rm -rf "$scratch" 2>/dev/null || break
		sleep 0.1
	done
	exit "$status"
}

exit_on_signals() {
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

# sets scratch: a folder that goes when we go
make_scratch() {
	scratch=$(mktemp -d -t "$1.XXXXXX")
	chmod 755 "$scratch"
	trap leave_sandbox EXIT
	exit_on_signals
}

# In the background, so that a signal is acted on at once; it must not be ignored inside as
# bash would have it there.
sandbox() {
	env --default-signal=INT,QUIT setpriv --pdeathsig KILL \
		unshare --mount --pid --fork --kill-child --mount-proc "$@" </dev/null &
	sandbox_pid=$!
	wait "$sandbox_pid"
	sandbox_pid=''
}

# the first thing to do inside
enter_sandbox() {
	exit_on_signals
	mkdir -p /run/netns
	mount -t tmpfs -o mode=755 none /run/netns
	mount -t bpf bpf /sys/fs/bpf
}
