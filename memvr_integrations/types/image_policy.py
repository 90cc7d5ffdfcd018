"""Which images may come in: hosts, folders, sizes."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from memvr_integrations.errors import ConfigError

_HOST_NAME = re.compile(r"\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*")


@dataclass(frozen=True, kw_only=True)
class ImagePolicy:
    """What may come in as an image, and how large; the defaults download nothing.

    `allowed_hosts` holds "img.example.org" (that host) or ".example.org" (its subdomains, not
    itself), on ports 80 and 443; with ":8443" behind it, on that port alone; "*" is any public
    host. `image_dirs` are the folders below which a file:// URL may point. `max_bytes` counts
    the encoded image, `max_pixels` is width times height, `max_aspect` the longer side over the
    shorter, `timeout` the seconds of a whole download with its redirects. ConfigError for a
    host that is no host, a folder that is none, or a limit that lets nothing in.
    """

    allowed_hosts: tuple[str, ...] = ()
    image_dirs: tuple[Path, ...] = ()
    allow_http: bool = False
    max_bytes: int = 20 * 2**20
    max_pixels: int = 50_000_000
    max_aspect: int = 200
    timeout: float = 10.0
    max_redirects: int = 3

    @classmethod
    def of(
        cls, hosts: bool | Iterable[str], dirs: Iterable[Path], *, otherwise: Self | None = None
    ) -> Self:
        """What integrations call `allow_image_urls` (True is any public host) and `image_dirs`.

        Where neither says anything it is `otherwise`: the limits of an engine that was given.

        Raises:
            ConfigError: As the constructor does, or `hosts` is text.
        """
        if isinstance(hosts, str):
            raise ConfigError(
                f"allow_image_urls={hosts!r} must be True, False or a tuple of hosts."
            )
        allowed = (("*",) if hosts else ()) if isinstance(hosts, bool) else tuple(hosts)
        made = cls(allowed_hosts=allowed, image_dirs=tuple(dirs))
        return otherwise if otherwise is not None and made == cls() else made

    def __post_init__(self) -> None:
        """Refuse what could only surprise later: ("a.org") is a string, and "" allows all."""
        if not isinstance(self.allowed_hosts, tuple):
            raise ConfigError(
                f"allowed_hosts is {self.allowed_hosts!r}, not a tuple; "
                "write allowed_hosts=('img.example.org',)"
            )
        for entry in self.allowed_hosts:
            host_and_port(entry)
        if not isinstance(self.image_dirs, tuple):
            raise ConfigError(
                f"image_dirs is {self.image_dirs!r}, not a tuple; "
                "write image_dirs=(Path('photos'),)"
            )
        for folder in self.image_dirs:
            if not Path(folder).is_dir():
                raise ConfigError(f"image_dirs holds {str(folder)!r}, which is no folder")
        for field in ("max_bytes", "max_pixels", "max_aspect", "timeout"):
            if not getattr(self, field) > 0:
                raise ConfigError(f"{field} is {getattr(self, field)!r}; it must be above 0")
        if self.max_redirects < 0:
            raise ConfigError(f"max_redirects is {self.max_redirects!r}; 0 follows none")


def host_and_port(entry: str) -> tuple[str, int | None]:
    """A host of `allowed_hosts` taken apart; the port is None for 80 and 443.

    Raises:
        ConfigError: It is no host.
    """
    if entry == "*":
        return entry, None
    try:
        parts = urlsplit(f"//{entry}")
        name, port = parts.hostname or "", parts.port
        if not _HOST_NAME.fullmatch(name):
            ip_address(name)
        if entry.lower() not in (name, f"{name}:{port}", f"[{name}]", f"[{name}]:{port}"):
            raise ValueError
    except ValueError as problem:
        raise ConfigError(
            f"allowed_hosts holds {entry!r}; write a host as 'img.example.org', "
            "its subdomains as '.example.org', a port as 'img.example.org:8443'"
        ) from problem
    return name, port
