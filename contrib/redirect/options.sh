# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2015,SC2034,SC2154,SC2178
#
# Sourced by sluice-iptables and sluice-nftables: the options that both have, checked and
# written down in one form before the first rule is touched.

# how long a client must be quiet to have the whole burst again, and is remembered
readonly burst_s=10
# how many clients are told apart at a time; new connections of more are dropped
readonly clients_max=65536

die() {
	echo "$me: $*" >&2
	exit 1
}

usage() {
	cat >&2 <<-END
		usage: $me [options] up|down|status
		  -i, --interface IF[,IF]   where the clients are (up; SLUICE_INTERFACES)
		  -p, --ports PORT[,PORT]   TCP ports to redirect, default 80,443 (SLUICE_PORTS)
		  -l, --listener PORT       port of the intercept listener, default 3129
		                            (SLUICE_LISTENER)
		  -m, --mark MARK           packets that are left alone; [sluice] mark (SLUICE_MARK)
		  -r, --rate N              new connections a second for each client, default 200
		                            (SLUICE_RATE)
		  -s, --strict              forward nothing else for the clients (SLUICE_STRICT=yes)
		  -d, --dns ADDR[,ADDR]     with --strict: resolvers that stay reachable
		                            (SLUICE_DNS)
		  -a, --answer NET[,NET]    with --strict: who may connect to the clients
		                            (SLUICE_ANSWER)
	END
	exit 2
}

is_port() { [[ $1 =~ ^[0-9]{1,5}$ ]] && ((10#$1 >= 1 && 10#$1 <= 65535)); }

# "443" or "8000-8100"
is_port_range() { is_port "${1%%-*}" && is_port "${1#*-}" && ((10#${1%%-*} <= 10#${1#*-})); }

check_ports() {
	local port
	((${#ports[@]})) || die "no ports"
	for port in "${ports[@]}"; do
		is_port_range "$port" || die "bad port: '$port'"
	done
}

check_mark() {
	[[ $mark =~ ^(0x[0-9a-fA-F]{1,8}|0|[1-9][0-9]{0,9})$ ]] && ((mark <= 0xffffffff)) ||
		die "bad mark: '$mark'"
	mark=$((mark))
}

# bursts of ten seconds' worth; 0 is no limit, and then both are empty
check_rate() {
	[[ $rate =~ ^[0-9]{1,5}$ ]] && ((10#$rate <= 10000)) || die "bad rate: '$rate'"
	rate=$((10#$rate)) burst=$((10#$rate * burst_s))
	((rate)) || rate='' burst=''
}

check_interfaces() {
	local name
	((${#interfaces[@]})) || die "which interface are the clients on? (--interface)"
	for name in "${interfaces[@]}"; do
		[[ $name =~ ^[A-Za-z0-9_.@:-]{1,15}$ ]] || die "bad interface name: '$name'"
	done
}

# sort_addresses OPTION ARRAY4 ARRAY6 ADDRESS...: by family; the tools check the rest of the
# spelling
sort_addresses() {
	local option=$1 address
	local -n array4=$2 array6=$3
	shift 3
	array4=() array6=()
	for address; do
		case $address in
		*[!0-9A-Fa-f.:/]* | '') die "bad address: '$address'" ;;
		*:*) array6+=("$address") ;;
		*) array4+=("$address") ;;
		esac
	done
	((!$#)) || [[ $strict ]] || die "$option only makes sense with --strict"
}

# the ports that UDP is closed on: those redirected, and 443 in any case
quic_ports() {
	local port
	printf '%s\n' "${ports[@]}"
	for port in "${ports[@]}"; do
		((10#${port%-*} > 443 || 10#${port#*-} < 443)) || return 0
	done
	echo 443
}

# sets: verb interfaces ports udp_ports listener mark rate burst strict dns4 dns6 answer4 answer6
read_options() {
	local dns answer parsed
	local interface_list=${SLUICE_INTERFACES-} port_list=${SLUICE_PORTS-80,443}
	local dns_list=${SLUICE_DNS-} answer_list=${SLUICE_ANSWER-}
	listener=${SLUICE_LISTENER-3129} mark=${SLUICE_MARK-0} strict=${SLUICE_STRICT-}
	rate=${SLUICE_RATE-200}
	[[ $strict != no ]] || strict=''
	parsed=$(getopt -n "$me" -o i:p:l:m:r:sd:a:h \
		-l interface:,ports:,listener:,mark:,rate:,strict,dns:,answer:,help -- "$@") ||
		usage
	eval set -- "$parsed"
	while [[ $1 != -- ]]; do
		case $1 in
		-i | --interface) interface_list+=,$2 ;;
		-p | --ports) port_list=$2 ;;
		-l | --listener) listener=$2 ;;
		-m | --mark) mark=$2 ;;
		-r | --rate) rate=$2 ;;
		-d | --dns) dns_list+=,$2 ;;
		-a | --answer) answer_list+=,$2 ;;
		-s | --strict) strict=yes && shift && continue ;;
		*) usage ;;
		esac
		shift 2
	done
	shift
	(($# == 1)) && [[ $1 == up || $1 == down || $1 == status ]] || usage
	verb=$1
	dns4=() dns6=() answer4=() answer6=()
	IFS=', ' read -ra interfaces <<<"${interface_list#,}"
	IFS=', ' read -ra ports <<<"$port_list"
	IFS=', ' read -ra dns <<<"${dns_list#,}"
	IFS=', ' read -ra answer <<<"${answer_list#,}"
	is_port "$listener" || die "bad listener port: '$listener'"
	check_mark
	check_rate
	check_ports
	sort_addresses --dns dns4 dns6 "${dns[@]}"
	sort_addresses --answer answer4 answer6 "${answer[@]}"
	mapfile -t udp_ports < <(quic_ports)
	[[ $verb != up ]] || check_interfaces
}

# join SEPARATOR WORD...
join() {
	local IFS=$1
	shift
	echo "$*"
}
