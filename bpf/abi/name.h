/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How long a name may be, for every buffer that holds one. */
#ifndef SLUICE_BPF_ABI_NAME_H
#define SLUICE_BPF_ABI_NAME_H

#define NAME_MAX_LEN 253 /* RFC 1035 2.3.4, without the root's dot */
#define NAME_BUF 256

#endif
