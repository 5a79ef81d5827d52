# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Sourced by contrib/demo and contrib/check: a scratch copy of the sources. Building in a copy
# leaves the checkout as it is and does not care what was configured there.

# the files that git has or would take; without git, everything
list_sources() {
	git -c safe.directory='*' -C "$1" ls-files -z --cached --others --exclude-standard \
		2>/dev/null ||
		(cd "$1" && find . -path ./.git -prune -o -type f -print0)
}

# copy_sources FROM TO
copy_sources() {
	mkdir -p "$2"
	list_sources "$1" |
		tar -C "$1" --null --files-from=- --ignore-failed-read -cf - 2>/dev/null |
		tar -C "$2" --no-same-owner -xf -
}

# run_logged LOG COMMAND...: quiet, but a failure shows the end of what was said
run_logged() {
	local log=$1
	shift
	"$@" >"$log" 2>&1 </dev/null || {
		tail -n 60 "$log" >&2
		echo "FAILED: $*" >&2
		return 1
	}
}
