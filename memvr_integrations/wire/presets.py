"""What a `memvr=` option may be: settings, or the file in which a calibration wrote them."""

import json
from pathlib import Path

from memvr_integrations.errors import ConfigError
from memvr_integrations.memvr.config import MemVRConfig


def read_setting(value: object) -> MemVRConfig | dict[str, object] | bool | None:
    """True, False, None, a config, some of its fields, or the path of a preset file."""
    if isinstance(value, str | Path):
        return read_preset(Path(value))
    return MemVRConfig.read(value)


def read_preset(path: Path) -> MemVRConfig | None:
    """The settings in a preset file; None where the calibration found "off" to be best."""
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        settings = written["memvr"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"memvr={str(path)!r} is no preset file ({type(error).__name__}); give True, None, "
            "MemVRConfig(...), a dict of its fields, or a file that `memvr calibrate` wrote."
        ) from None
    return None if settings is None else MemVRConfig.from_dict(settings)
