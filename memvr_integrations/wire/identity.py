"""Which model an engine is, also where the engine doesn't say."""

import uuid
from weakref import WeakKeyDictionary

from memvr_integrations.types.engine import Engine, Identity

_SILENT: WeakKeyDictionary[Engine, str] = WeakKeyDictionary()


def identity_of(engine: Engine) -> Identity:
    """An engine's own; of one that has none, a key for this very object."""
    said = getattr(engine, "identity", None)
    if isinstance(said, Identity):
        return said
    key = _SILENT.setdefault(engine, uuid.uuid4().hex)
    return Identity(name=engine.name, key=key, durable=False)
