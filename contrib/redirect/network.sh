# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034,SC2154
#
# Sourced by the tests of the redirect rules: counting, and a client, a gateway and a server in
# namespaces, named by files in $scratch.

readonly python=/usr/bin/python3 leaktest=$here/../leaktest
passed=0 failed=0

# expect TITLE WANTED SEEN
expect() {
	if [[ $3 == "$2" ]]; then
		echo "ok      $1"
		passed=$((passed + 1))
	else
		echo "NOT OK  $1: wanted '$2', got '$3'"
		failed=$((failed + 1))
	fi
}

# one_lab FUNCTION NAME: with a scratch and a count of its own
one_lab() {
	local scratch=$scratch/$2 passed=0 failed=0
	mkdir "$scratch"
	"$1" "$2"
	echo "$passed $failed" >"$scratch/count"
}

# in_labs FUNCTION NAME...: FUNCTION NAME for each at once. Adds to passed and failed; a lab that
# died has not counted, and is a failure.
in_labs() {
	local name p f
	for name in "${@:2}"; do
		one_lab "$1" "$name" &
	done
	wait
	for name in "${@:2}"; do
		read -r p f < <(cat "$scratch/$name/count" 2>/dev/null || echo 0 1)
		passed=$((passed + p)) failed=$((failed + f))
	done
}

inside_of() { nsenter --net="$scratch/$1" "${@:2}"; }

# join_net NAMESPACE INTERFACE SUBNET HOST
join_net() {
	inside_of "$1" ip link set "$2" up
	inside_of "$1" ip address add "10.78.$3.$4/24" dev "$2"
	inside_of "$1" ip address add "fd78:$3::$4/64" dev "$2" nodad
}

# link A IFA B IFB SUBNET: A has address 1, B has 2
link() {
	ip link add "$2" netns "$scratch/$1" type veth peer name "$4" netns "$scratch/$3"
	join_net "$1" "$2" "$5" 1
	join_net "$3" "$4" "$5" 2
}

make_network() {
	local name
	for name in client gateway server; do
		touch "$scratch/$name"
		unshare --net="$scratch/$name" ip link set lo up
	done
	link gateway clients client eth0 1
	link gateway uplink server eth0 2
	inside_of gateway ip link add other type veth peer name other2
	inside_of gateway sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	for name in 1:client 2:server; do
		inside_of "${name#*:}" ip route add default via "10.78.${name%:*}.1"
		inside_of "${name#*:}" ip route add default via "fd78:${name%:*}::1"
	done
}

# with_leaktest NAMESPACE CODE ARGUMENT...: Python that has what leaktest has, and its arguments in
# sys.argv[1:]
with_leaktest() {
	inside_of "$1" "$python" -c '
import os, runpy, subprocess, sys
leaktest, code = sys.argv[1:3]
del sys.argv[1:3]
globals().update(runpy.run_path(leaktest))
exec(code)' "$leaktest" "${@:2}"
}

# send_nameless SOURCE DESTINATION WORD: the client sends a datagram to port 67 as one that has no
# address yet. The kernel would fill in a source, so this goes under it.
send_nameless() {
	with_leaktest client '
source, to, word = sys.argv[1:]
packet = bytearray(ip_packet(source, to, 17, udp_packet(source, to, 68, 67, word.encode())))
v6 = ":" in to
if not v6:
    packet[2:4] = struct.pack("!H", len(packet))
    packet[10:12] = struct.pack("!H", checksum(bytes(packet[:20])))
with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as s:
    mac = bytes.fromhex("333300000001" if v6 else "ffffffffffff")
    s.sendto(packet, ("eth0", 0x86dd if v6 else 0x0800, 0, 0, mac))' "$@"
}

# receive_flood: how many datagrams have come before the one that says that it is the last
receive_flood() {
	inside_of gateway timeout 60 "$python" -c '
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
s.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
s.bind(("::", 7999))
print("ready", flush=True)
print(sum(1 for _ in iter(lambda: s.recv(100), b"the-last")))'
}

# flood NAMESPACE GATEWAY SOURCE LAST COUNT: how many of COUNT new connections of SOURCE get to the
# gateway. %x in SOURCE: each has an address of its own. LAST sends the last datagram, which must
# get there. All are sent on one CPU, so that they come in order.
flood() {
	: >"$scratch/flood"
	receive_flood >"$scratch/flood" &
	until grep -q ready "$scratch/flood"; do sleep 0.02; done
	with_leaktest "$1" '
gateway, source, last, count = sys.argv[1:]
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
for i in range(int(count)):
    one = source.replace("%x", f"{i + 4096:x}")
    send_ip(one, gateway, 17, udp_packet(one, gateway, 20000 + i, 7999, b"one"))
send_ip(last, gateway, 17, udp_packet(last, gateway, 19999, 7999, b"the-last"))' "${@:2}"
	wait "$!" || true
	tail -n 1 "$scratch/flood"
}
