// SPDX-License-Identifier: GPL-2.0-or-later
// The order matters: groups before the user, capabilities last, and no step by halves. A process
// that starts as the user (the systemd unit's does, with ambient capabilities) has only the last
// step to take. The bounding set is left as it is: with no_new_privs nothing can be gained from it.
#include "common/privilege.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

static int keep(bool bpf, bool mark)
{
	cap_value_t wanted[2];
	int n = 0, err = 0;
	cap_t caps = cap_init();

	if (!caps)
		return -errno;
	if (bpf)
		wanted[n++] = CAP_BPF;
	if (mark)
		wanted[n++] = CAP_NET_ADMIN;
	if ((n && (cap_set_flag(caps, CAP_PERMITTED, n, wanted, CAP_SET) != 0 ||
		   cap_set_flag(caps, CAP_EFFECTIVE, n, wanted, CAP_SET) != 0)) ||
	    cap_set_proc(caps) != 0)
		err = -errno;
	cap_free(caps);
	return err;
}

int privilege_never_more(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : -errno;
}

int privilege_none(void)
{
	return geteuid() == 0 ? 0 : keep(false, false);
}

int privilege_check(const char *user, char *err, size_t err_len)
{
	if (!user[0] || getpwnam(user))
		return 0;
	snprintf(err, err_len, "user = %s: no such user", user);
	return -ENOENT;
}

static int become(const char *user, const struct passwd *pw)
{
	if (geteuid() == pw->pw_uid)
		return 0;
	if (prctl(PR_SET_KEEPCAPS, 1) != 0 || initgroups(user, pw->pw_gid) != 0 ||
	    setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
		return -errno;
	return 0;
}

int privilege_drop(const char *user, bool bpf, bool mark, char *err, size_t err_len)
{
	struct passwd *pw;
	int r = privilege_check(user, err, err_len);

	if (r || !user[0])
		return r;
	pw = getpwnam(user);
	if (!pw)
		return -ENOENT;
	if (pw->pw_uid == 0)
		return 0;
	r = become(user, pw) ?: keep(bpf, mark);
	if (r)
		snprintf(err, err_len, "cannot become user %s: %s", user, strerror(-r));
	return r;
}
