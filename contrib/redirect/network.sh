# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034,SC2154
#
# Sourced by the tests of the redirect rules: counting, and a client, a gateway and a server in
# namespaces, named by files in $scratch.

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

# send_nameless SOURCE DESTINATION WORD: the client sends a datagram to port 67 as one that has no
# address yet. The kernel would fill in a source, so this goes under it.
send_nameless() {
	inside_of client python3 -c '
import runpy, sys
globals().update(runpy.run_path(sys.argv[1]))
source, to, word = sys.argv[2:]
packet = bytearray(ip_packet(source, to, 17, udp_packet(source, to, 68, 67, word.encode())))
v6 = ":" in to
if not v6:
    packet[2:4] = struct.pack("!H", len(packet))
    packet[10:12] = struct.pack("!H", checksum(bytes(packet[:20])))
with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as s:
    mac = bytes.fromhex("333300000001" if v6 else "ffffffffffff")
    s.sendto(packet, ("eth0", 0x86dd if v6 else 0x0800, 0, 0, mac))' "$here/../leaktest" "$@"
}
