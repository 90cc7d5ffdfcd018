"""Which images may come in: hosts, folders, sizes."""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from types import UnionType
from typing import Self
from urllib.parse import urlsplit

from memvr_integrations.checks import check_choice, check_fields, check_integer, check_number
from memvr_integrations.errors import ConfigError

_HOST_NAME = re.compile(r"\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImagePolicy:
    """What may come in as an image, and how large; the defaults download nothing.

    `allowed_hosts` holds "img.example.org" (that host) or ".example.org" (its subdomains, not
    itself), on ports 80 and 443; with ":8443" after it, on that port alone; "*" is any public
    host. `image_dirs` are the folders below which a file:// URL may point. Both may be given as
    lists and are kept as tuples. `max_bytes` counts the encoded image, `max_pixels` is width times
    height, `max_aspect` the longer side over the shorter, `timeout` the seconds of a whole download
    with its redirects, or of rendering a page of a PDF. `max_pages` is how many pages of a PDF are
    taken at once, `page_side` the longer side of a page in pixels. ConfigError for an unknown
    field, a host that is no host, a folder that is none, or a limit that lets nothing in.
    """

    allowed_hosts: Sequence[str] = ()
    image_dirs: Sequence[str | Path] = ()
    allow_http: bool = False
    max_bytes: int = 20 * 2**20
    max_pixels: int = 50_000_000
    max_aspect: int = 200
    timeout: float = 10.0
    max_redirects: int = 3
    max_pages: int = 200
    page_side: int = 1536

    def __new__(cls, **settings: object) -> Self:
        """Refuse unknown fields before the generated `__init__` turns them into a TypeError."""
        check_fields(cls, settings)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        """Refuse what could only surprise later: ("a.org") is a string, and "" is this folder."""
        hosts, folders = self.allowed_hosts, self.image_dirs
        _check_list("allowed_hosts", hosts, str, "img.example.org")
        _check_list("image_dirs", folders, str | Path, "photos")
        for entry in hosts:
            host_and_port(entry)
        for folder in folders:
            if not Path(folder).is_dir():
                raise ConfigError(f"image_dirs holds {str(folder)!r}, which is no folder.")
        object.__setattr__(self, "allowed_hosts", tuple(hosts))
        object.__setattr__(self, "image_dirs", tuple(map(Path, folders)))
        check_choice("allow_http", self.allow_http, (True, False))
        for name in ("max_bytes", "max_pixels", "max_aspect", "max_pages", "page_side"):
            check_integer(name, getattr(self, name), least=1)
        check_number("timeout", self.timeout, most=math.inf, above=True)
        check_integer("max_redirects", self.max_redirects, least=0)

    @classmethod
    def from_dict(cls, settings: Mapping[str, object]) -> Self:
        """Make a policy from the fields of a JSON object; the inverse of `to_dict`.

        Raises:
            ConfigError: As the constructor does.
        """
        return cls(**dict(settings))  # type: ignore[arg-type]  # the constructor checks the types

    def to_dict(self) -> dict[str, int | float | list[str]]:
        """Return the fields as plain values that JSON can hold."""
        hosts, folders = list(self.allowed_hosts), [str(folder) for folder in self.image_dirs]
        return dataclasses.asdict(self) | {"allowed_hosts": hosts, "image_dirs": folders}


def _check_list(name: str, entries: object, kind: type | UnionType, example: str) -> None:
    if not isinstance(entries, list | tuple) or not all(
        isinstance(one, kind) and str(one).strip() for one in entries
    ):
        raise ConfigError(
            f"{name}={entries!r} must be a list of texts, none of them empty: {name}=[{example!r}]."
        )


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
