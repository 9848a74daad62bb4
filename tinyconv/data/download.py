"""Downloads: into a .part file, resumed after a failure, checked by SHA-256, then renamed."""

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path

from tinyconv.data.cache import cache_root
from tinyconv.errors import UserError
from tinyconv.system import progress
from tinyconv.system.files import replace

BLOCK = 1 << 18  # bytes read at a time
TIMEOUT = 30  # seconds without a response


def download(url: str, sha256: str) -> Path:
    """The file at `url` in the cache, downloaded if it is not there yet.

    Raises UserError when the network fails, keeping the received part for the next try, and
    when the checksum is wrong, deleting the file.
    """
    path = cache_root() / "downloads" / url.rsplit("/", 1)[-1]
    # Fashion-MNIST's files have the same names as MNIST's: the checksum distinguishes them.
    path = path.with_name(f"{sha256[:8]}-{path.name}")
    if path.exists():
        return path
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch(url, part)
        digest = checksum(part)
    except (
        urllib.error.URLError,
        TimeoutError,
        ConnectionError,
        http.client.HTTPException,
    ) as error:
        reason = str(getattr(error, "reason", error)).strip()
        raise UserError(
            f"{url} cannot be downloaded ({reason}). Try again, or download it by other means "
            "and pass it with --root."
        ) from error
    except OSError as error:
        raise UserError(
            f"{part} cannot be written ({error.strerror}). Free disk space, or set "
            "TINYCONV_CACHE to another folder."
        ) from error
    if digest != sha256:
        part.unlink()
        raise UserError(
            f"{url} has the wrong checksum: its SHA-256 is {digest}, expected {sha256}. The file "
            "was deleted; try again."
        )
    replace(part, path)
    return path


def _fetch(url: str, part: Path) -> None:
    """Append the missing bytes to `part`; start over if the server cannot resume."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url)
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # there are no bytes beyond those in `part`
            return
        raise
    with response:
        if response.status != 206:  # the server sends the whole file
            have = 0
        total = have + int(response.headers.get("Content-Length") or 0)
        megabytes = total / 1e6
        title = f"downloading {url.rsplit('/', 1)[-1]}"
        with (
            part.open("ab" if have else "wb") as file,
            progress.bar(title, megabytes, "MB", done=have / 1e6) as bar,
        ):
            while block := response.read(BLOCK):
                file.write(block)
                bar.advance(len(block) / 1e6)
        if total and part.stat().st_size < total:
            raise ConnectionError(f"it ended after {part.stat().st_size:,} of {total:,} bytes")


def checksum(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def existing(root: Path, what: str) -> Path:
    """`root`, if it exists and is not an empty folder; `what` describes the expected content."""
    if not root.exists():
        raise UserError(f"--root {root} does not exist; it should be {what}.")
    if root.is_dir() and not any(root.iterdir()):
        raise UserError(f"--root {root} is an empty folder; it should be {what}.")
    return root
