/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The few members of kernel structs that the program reads; libbpf relocates the accesses to where
 * the running kernel has these members (CO-RE).
 */
#ifndef SLUICE_BPF_KERNEL_H
#define SLUICE_BPF_KERNEL_H

#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sock {
	int sk_wmem_queued; /* bytes of the send queue, with overhead */
	int sk_sndbuf;
};

struct inet_sock {
	struct sock sk;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 copied_seq;    /* sequence number of the next byte that user space would read */
	__u32 write_seq;     /* sequence number after the last byte in the send queue */
	__u32 notsent_lowat; /* TCP_NOTSENT_LOWAT: the endpoint's tag, see bpf/abi/flow.h */
};

#pragma clang attribute pop

#endif
