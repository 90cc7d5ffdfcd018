"""Where and how a model is loaded: what may be said of it, checked before anything is imported."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from memvr_integrations.checks import check_choice
from memvr_integrations.errors import ConfigError

Device: TypeAlias = Literal["auto", "cpu", "cuda", "mps", "balanced"]
Dtype: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]
Quantization: TypeAlias = Literal["4bit", "8bit"]


@dataclass(frozen=True, kw_only=True)
class LoadConfig:
    """The options of `Backend.load` that make another model in memory; `Leases` share by them."""

    device: Device | str = "auto"
    dtype: Dtype = "auto"
    quantization: Quantization | None = None
    attention: str | None = None
    revision: str | None = None
    memvr: bool | None = True
    progress: bool = True

    def __post_init__(self) -> None:
        """Refuse what no machine has, and what this one hasn't."""
        check_choice("memvr", self.memvr, (True, False, None))
        check_choice("dtype", self.dtype, get_args(Dtype))
        check_choice("quantization", self.quantization, (None, *get_args(Quantization)))
        if not isinstance(self.device, str):
            raise ConfigError(f"device={self.device!r} must be a text, such as 'auto' or 'cuda:0'.")
        kind, colon, index = self.device.partition(":")
        numbered = kind == "cuda" and index.isdecimal()
        if kind not in get_args(Device) or (colon and not numbered):
            known = ", ".join(get_args(Device))
            raise ConfigError(f"device={self.device!r} must be one of {known}, or like 'cuda:1'.")
        if kind not in ("auto", "cpu"):
            _check_there(kind)


def _check_there(kind: str) -> None:
    import torch  # seconds, and only to look for a device that was named

    if kind == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("device='mps', but torch sees no Apple GPU; use device='cpu'.")
    if kind != "mps" and not torch.cuda.is_available():
        raise ConfigError(f"device={kind!r}, but torch sees no CUDA device; use device='cpu'.")
