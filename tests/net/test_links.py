# SPDX-License-Identifier: GPL-2.0-or-later
"""
Started as root, without systemd, in folders of the user that it will be: who has got hold of that
user plants links there, and root writes, makes, removes and gives away nothing through them.
"""

import contextlib
import os
import shutil
import signal
import socket
import stat
import sys

import tls
from case import is_allowed, is_denied, test
from lab import BPFFS, list_dir
from netns import run

USER, UID = "nobody", 65534
ONE = {"modes": ("off",), "families": (4,), "daemon": False}
SECRET = b"root's own\n"
ENTRY = b"deny .allowed.test made 2026-01-31T12:00:00Z until never uid 0\n"

# Answers as a control socket whose daemon is another's process.
LIAR = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
while True:
    c, _ = s.accept()
    c.recv(100)
    c.sendall(b"ok\\npid: " + sys.argv[2].encode() + b"\\n")
    c.close()
"""


def as_user(*argv):
    return ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--", *argv]


def plant(target, link):
    """A link of the user's in the place of whatever is there."""
    run(as_user("ln", "-sfn", target, link))


class Place:
    """A folder of the user's, one of root's, and a file of root's."""

    def __init__(self, t):
        self.users, self.roots = t.lab.path("users"), t.lab.path("roots")
        for folder in self.users, self.roots:
            shutil.rmtree(folder, ignore_errors=True)
            os.makedirs(folder)
        shutil.chown(self.users, USER, UID)
        self.file = f"{self.roots}/file"
        self.write(SECRET)

    def write(self, text):
        with open(self.file, "wb") as f:
            f.write(text)
        os.chmod(self.file, 0o600)
        self.before = self.look()

    def look(self):
        st = os.stat(self.file)
        with open(self.file, "rb") as f:
            return (st.st_uid, st.st_gid, oct(st.st_mode), f.read(), list_dir(self.roots))

    def is_untouched(self):
        assert self.look() == self.before, (self.before, self.look())

    def changes(self, **more):
        return {"sluice.user": USER, "sluice.control": f"{self.users}/sock",
                "sluice.access_log": f"{self.users}/log",
                **{key.replace("__", "."): value for key, value in more.items()}}


def refuses(t, place, why, **changes):
    """It does not start, says as whom it was refused, and root's file is what it was. If it does
    start, it gets a line to write."""
    sluice = t.own(start=False, changes=place.changes(**changes))
    sluice.launch()
    t.until(lambda: not sluice.alive() or " serves: " in sluice.stderr(), 20, "it starts or ends")
    if sluice.alive():
        is_denied(t, tls.handmade_hello(b"denied.test"))
        sluice.quiet()
        place.is_untouched()
        sluice.stop()
    place.is_untouched()
    assert f"{why}, as user {USER}" in sluice.stderr(), sluice.stderr()


# --- the log ---------------------------------------------------------------------------------

@test(**ONE)
def root_makes_no_log_through_a_link(t):
    place = Place(t)
    plant(f"{place.roots}/made", f"{place.users}/log")
    refuses(t, place, "Permission denied")


@test(**ONE)
def root_appends_to_nothing_through_a_link(t):
    place = Place(t)
    plant(place.file, f"{place.users}/log")
    refuses(t, place, "Permission denied")


@test(**ONE)
def root_follows_no_folder_that_is_a_link(t):
    place = Place(t)
    plant(place.roots, f"{place.users}/sub")
    refuses(t, place, "Permission denied", sluice__access_log=f"{place.users}/sub/made")


@test(**ONE)
def a_file_of_roots_in_the_users_folder_is_not_given_away(t):
    """Planted as a hard link, where fs.protected_hardlinks allows it."""
    place = Place(t)
    os.link(place.file, f"{place.users}/log")
    refuses(t, place, "Permission denied")


@test(**ONE)
def sigusr1_opens_nothing_through_a_link(t):
    place = Place(t)
    sluice = t.own(changes=place.changes())
    plant(place.file, f"{place.users}/log")
    sluice.signal(signal.SIGUSR1)
    t.until(lambda: "cannot reopen the access log: Permission denied; the old one is kept"
            in sluice.stderr(), 10, "it says so")
    is_denied(t, tls.handmade_hello(b"denied.test"))
    sluice.quiet()
    sluice.stop()
    place.is_untouched()


@test(**ONE)
def the_log_and_the_socket_are_made_by_the_user(t):
    """And so he can open the one again, and take the other away at the end."""
    place = Place(t)
    sluice = t.own(changes=place.changes())
    for name in "log", "sock":
        assert os.stat(f"{place.users}/{name}").st_uid == UID, name
    assert os.stat(f"{place.users}/sock").st_mode & 0o777 == 0o660
    os.rename(f"{place.users}/log", f"{place.users}/log.1")
    sluice.signal(signal.SIGUSR1)
    t.until(lambda: os.path.exists(f"{place.users}/log"), 10, "a new log")


@test(**ONE)
def links_of_the_administrators_are_followed(t):
    """/var/log may lead elsewhere; the folder is root's, and what is made there the user's."""
    place = Place(t)
    os.symlink(place.roots, t.lab.path("linked"))
    try:
        t.own(changes=place.changes(sluice__access_log=t.lab.path("linked", "log")))
        assert os.stat(f"{place.roots}/log").st_uid == UID
        assert os.stat(f"{place.roots}/log").st_mode & 0o777 == 0o640
        t.finish()
    finally:
        os.unlink(t.lab.path("linked"))


@test(**ONE)
def a_device_is_not_given_away(t):
    place = Place(t)
    null = f"{place.roots}/null"
    os.mknod(null, stat.S_IFCHR | 0o666, os.stat("/dev/null").st_rdev)
    t.own(changes=place.changes(sluice__access_log=null))
    assert os.stat(null).st_uid == 0


# --- the control socket ----------------------------------------------------------------------

@test(**ONE)
def root_makes_no_socket_through_a_link(t):
    place = Place(t)
    plant(place.roots, f"{place.users}/sub")
    refuses(t, place, "Permission denied", sluice__control=f"{place.users}/sub/sock")


@test(**ONE)
def root_changes_no_mode_of_what_is_swapped_for_the_socket(t):
    """strace holds whoever would change it, or listen, while a link takes the socket's place."""
    place = Place(t)
    calls = "chmod,fchmodat,listen"
    sluice = t.own(start=False, changes=place.changes(), wrap=[
        t.tool("strace"), "-D", "-f", "-o", "/dev/null", "-e", f"trace={calls}",
        "-e", f"inject={calls}:delay_enter=2000000"])
    sluice.launch()
    t.until(lambda: os.path.exists(f"{place.users}/sock"), 20, "the socket is bound")
    plant(place.file, f"{place.users}/sock")
    t.until(lambda: not sluice.alive() or " serves: " in sluice.stderr(), 60, "it starts or ends")
    place.is_untouched()
    sluice.signal(signal.SIGTERM)
    sluice.wait(30)
    place.is_untouched()


@test(**ONE)
def root_removes_nothing_through_a_link(t):
    """A socket that nobody answers at is taken away: not in a folder of root's."""
    place = Place(t)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{place.roots}/sock")
    place.write(SECRET)
    plant(place.roots, f"{place.users}/sub")
    refuses(t, place, "Permission denied", sluice__control=f"{place.users}/sub/sock")


# --- others ----------------------------------------------------------------------------------

@test(**ONE)
def entries_of_run_time_are_not_read_through_a_link(t):
    place = Place(t)
    place.write(ENTRY)
    plant(place.file, f"{place.users}/changes")
    refuses(t, place, "Permission denied", policy__changes=f"{place.users}/changes")


@test(modes=("on",), families=(4,), daemon=False)
def nothing_is_pinned_through_a_link(t):
    """Where everybody may write in the BPF file system, as it is mounted without options."""
    place, other = Place(t), f"{BPFFS}/{t.lab.prefix}-other"
    shutil.rmtree(t.lab.pin, ignore_errors=True)
    os.mkdir(other, 0o755)
    try:
        os.symlink(other, t.lab.pin)
        os.lchown(t.lab.pin, UID, UID)
        sluice = t.own(start=False, changes=place.changes())
        sluice.launch()
        t.until(lambda: not sluice.alive() or " serves: " in sluice.stderr(), 20,
                "it starts or ends")
        assert not list_dir(other), list_dir(other)
        assert f"Permission denied, as user {USER}" in sluice.stderr(), sluice.stderr()
    finally:
        t.abandon()
        os.unlink(t.lab.pin)
        shutil.rmtree(other)


# --- restart ---------------------------------------------------------------------------------

@test(**ONE)
def a_restart_follows_no_link(t):
    """The one that runs is the user's: so are its folders, and root comes to take its place."""
    place = Place(t)
    sluice = t.own(changes=place.changes())
    plant(f"{place.roots}/made", f"{place.users}/log")
    said = sluice.fail_to_replace()
    place.is_untouched()
    assert f"Permission denied, as user {USER}" in said, said
    os.unlink(f"{place.users}/log")
    is_allowed(t, "allowed.test")
    run(as_user("mkdir", f"{place.users}/new"))
    plant(place.roots, f"{place.users}/new/sub")
    sluice.rewrite({"sluice.control": f"{place.users}/new/sub/sock"})
    said = sluice.fail_to_replace()
    place.is_untouched()
    assert f"Permission denied, as user {USER}" in said, said
    is_allowed(t, "allowed.test")


@test(daemon=False, families=(4,))
def a_restart_works_in_folders_of_the_users(t):
    place = Place(t)
    sluice = t.own(changes=place.changes())
    before = sluice.replace()
    t.until(lambda: before.poll() is not None, 20, "the one before ends")
    assert before.returncode == 0 and os.stat(f"{place.users}/sock").st_uid == UID
    is_allowed(t, "allowed.test")


@test(**ONE)
def a_rotation_signals_no_process_of_others(t):
    """The snippet asks the control socket whom to tell; the user may answer what he likes."""
    place = Place(t)
    with open(os.path.join(os.path.dirname(__file__), "../../contrib/logrotate/sluice"),
              encoding="ascii") as f:
        script = f.read().split("postrotate\n")[1].split("\tendscript")[0]
    script = script.replace("sluicectl status", f"sluicectl -s {place.users}/sock status")
    script = script.replace("=sluice", f"={USER}")
    victim = t.lab.processes.start(["sleep", "60"])
    liar = t.lab.processes.start(as_user(sys.executable, "-c", LIAR, f"{place.users}/sock",
                                         str(victim.pid)))
    t.until(lambda: os.path.exists(f"{place.users}/sock"), 10, "the socket is there")
    with contextlib.suppress(Exception):
        run(["sh", "-c", script], env={**os.environ, "PATH": f"{t.build}:{os.environ['PATH']}"})
    alive = victim.poll() is None
    for process in liar, victim:
        t.lab.processes.stop(process, signal.SIGKILL)
    assert alive, f"it was ended with {victim.returncode}"
