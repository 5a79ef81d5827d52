# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034
#
# Sourced by contrib/demo, contrib/check and tests/bench/prepare: the Debian packages that
# Sluice is built and tested with, and how to get those that are not there. Names stand here
# and nowhere else, but for what goes into the image of tests/vm, which keeps its own list.

packages_build=(
	autoconf automake libtool pkg-config make gcc libc6-dev linux-libc-dev
	clang llvm bpftool
	libbpf-dev libelf-dev zlib1g-dev
	libevent-dev libssl-dev libinih-dev libcap-dev libsystemd-dev
)

# what the demo starts
packages_demo=(
	ca-certificates curl dnsmasq-base iproute2 iptables nginx openssl procps util-linux
)

# what the tests start, beside that
packages_test=(
	git gnutls-bin libclang-rt-14-dev libhttp-parser-dev libjansson-dev logrotate nftables
	nodejs patch python3 python3-hypercorn strace systemd wget xz-utils
)

# what reads the sources, in the stage "format" of contrib/check
packages_format=(clang-format flake8 patch shellcheck)

# what builds and tries the Debian package, beside packages_build
packages_package=(debhelper dpkg-dev lintian logrotate python3 systemd util-linux)

# what tests/bench compares with and measures with, beside packages_demo
packages_bench=(
	gcc haproxy libc6-dev libnginx-mod-stream python3 sniproxy squid-openssl strace wrk
)

is_installed() {
	[[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

missing_packages() {
	local name
	for name; do
		# Node often comes from elsewhere, and then the package would collide with it
		[[ $name != nodejs ]] || ! command -v node >/dev/null || continue
		is_installed "$name" || echo "$name"
	done
}

# Services that packages bring (nginx) must not be started on this machine: Debian asks
# policy-rc.d. One that is there already is the owner's word and stays.
policy_file=/usr/sbin/policy-rc.d

forbid_services() {
	[[ ! -e $policy_file ]] || return 0
	printf '#!/bin/sh\nexit 101\n' >"$policy_file"
	chmod 755 "$policy_file"
}

# allow_services KEPT: takes our file away, if it is ours
allow_services() { [[ $1 ]] || rm -f "$policy_file"; }

# a subshell, so that its trap is its own and ends with it
apt_install() (
	kept=''
	[[ ! -e $policy_file ]] || kept=yes
	trap 'allow_services "$kept"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	forbid_services
	export DEBIAN_FRONTEND=noninteractive
	apt-get install -qq -y --no-install-recommends "$@" >/dev/null </dev/null
)

# install_packages NAME...: those that are missing; says which, and fails if it cannot
install_packages() {
	local missing
	mapfile -t missing < <(missing_packages "$@")
	((${#missing[@]})) || return 0
	if ! command -v apt-get >/dev/null; then
		echo "these Debian packages are needed: ${missing[*]}" >&2
		return 1
	fi
	echo "installing ${missing[*]}"
	apt_install "${missing[@]}" 2>/dev/null ||
		{ apt-get update -qq && apt_install "${missing[@]}"; }
}
