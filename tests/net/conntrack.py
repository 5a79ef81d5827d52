# SPDX-License-Identifier: GPL-2.0-or-later
"""Connection tracking of a namespace, by ctnetlink: what `conntrack -F` does, at a chosen
moment."""

import os
import socket
import struct

NETLINK_NETFILTER = 12
CT_DELETE = 1 << 8 | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE
REQUEST_ACK = 1 | 4
HEADER = struct.Struct("=IHHII")  # struct nlmsghdr


def forget(ns):
    """Takes all entries away; when it returns they are gone."""
    with ns.entered():
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    with sock:
        all_of_them = struct.pack("=BBH", socket.AF_UNSPEC, 0, 0)  # struct nfgenmsg
        sock.send(HEADER.pack(HEADER.size + len(all_of_them), CT_DELETE, REQUEST_ACK, 1, 0) +
                  all_of_them)
        error = -struct.unpack_from("=i", sock.recv(4096), HEADER.size)[0]
    if error:
        raise OSError(error, os.strerror(error))
