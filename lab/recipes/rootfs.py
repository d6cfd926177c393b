"""Type `rootfs`: a Debian image made by mmdebstrap from the mirror that this machine's apt uses."""

from __future__ import annotations

import os
import platform
import subprocess

from lab import docker, engine, process
from lab.errors import LabError
from lab.recipes.base import Facts, Job

# Makes the directories of a merged /usr first; without it Debian 12 installs a program for that, and perl with it.
MERGED_USR = "/usr/share/mmdebstrap/hooks/maybe-merged-usr"
# What no container needs. What belongs to this host and not to an image is removed by HOST_FILES.
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")
HOST_FILES = 'rm -f "$1/etc/resolv.conf" "$1/etc/hostname"'
# Java's package makes links in this directory and fails where it was left out.
MAN_FOLDER = 'mkdir -p "$1/usr/share/man/man1"'


def mirror(listing: str, codename: str) -> str:
    """Address of this machine's Debian mirror, from `apt-get indextargets` lines `address suite`.

    Any suite can be made from it: the archive holds them all. Raises LabError where apt has no such source.
    """
    for line in listing.splitlines():
        address, _, suite = line.partition(" ")
        if suite == codename:
            return address
    raise LabError(f"Debian '{codename}' is not among apt's sources: without registries the lab needs a Debian host")


def command(suite: str, include: list[str], address: str) -> list[str]:
    """The mmdebstrap command that writes the root file system as a tar archive to its output."""
    program = process.need("mmdebstrap", "it is installed by the part 'host_packages'")
    options = [f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT]
    options += [
        "--mode=root",
        "--variant=minbase",
        f"--hook-dir={MERGED_USR}",
        "--skip=output/dev",
        f"--essential-hook={MAN_FOLDER}",
        f"--customize-hook={HOST_FILES}",
    ]
    return [program, *options, f"--include={','.join(include)}", suite, "-", address]


def build(job: Job) -> Facts:
    """Install Debian with the row's packages and import that as an image."""
    listing = process.read(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"])
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    argv = command(job.row["suite"], job.row["include"], mirror(listing, codename))
    tag = docker.local_tag(job.part)
    with job.log.open("ab") as sink:
        room = {**os.environ, "TMPDIR": str(job.work)}
        archive = subprocess.Popen(process.guarded(argv), env=room, stdout=subprocess.PIPE, stderr=sink)
        process.run([engine.docker(), "import", "-", tag], job.log, stdin=archive.stdout)
    if archive.wait():
        raise LabError(f"Command 'mmdebstrap' of '{job.row['suite']}' ended with status {archive.returncode}", job.log)
    return {"image": docker.image_id(tag)}
