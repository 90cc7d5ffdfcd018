"""The entry point that makes lmms-eval know the model `memvr`: `lmms_eval --model memvr`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmms_eval.models.registry_v2 import ModelManifest

_MODULE = "memvr_integrations.evaluate.harnesses.lmms_eval_model"


def manifest() -> "ModelManifest":
    """Where the classes are; lmms-eval imports them when they are asked for."""
    # Imported late: lmms-eval calls this while its own `models` is being imported.
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(
        model_id="memvr",
        chat_class_path=f"{_MODULE}.MemVRChat",
        simple_class_path=f"{_MODULE}.MemVRSimple",
    )
