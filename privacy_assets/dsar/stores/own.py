"""``python``: a store of one's own, from a file beside ``estate.yaml``.

class Legacy:
    kinds = frozenset({"email"})

    def __init__(self, name, host):
        self.name, self.host = name, host

    def find(self, identifiers): ...
    def export(self, identifiers): ...
    def erase(self, identifiers, request_id): ...
    def verify(self, identifiers, touched=()): ...
"""

import importlib.util
import sys
import traceback
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from privacy_assets.dsar.stores.models import PythonStore
from privacy_assets.dsar.stores.protocol import Store
from privacy_assets.errors import UserError

_MEMBERS = ("find", "export", "erase", "verify")


def load(spec: PythonStore, folder: Path) -> type[Any]:
    """The class of a store; its file is executed. Raises UserError with file and line."""
    path = (folder / spec.file).resolve()
    where = f"stores: {spec.name}: {path}"
    if not path.is_file():
        raise UserError(f"{where}: no such file, expected one relative to estate.yaml")
    module_name = f"privacy_assets_own_{sha256(str(path).encode()).hexdigest()[:12]}"
    described = importlib.util.spec_from_file_location(module_name, path)
    if described is None or described.loader is None:
        raise UserError(f"{where}: no Python, expected a file that ends with .py")
    module = importlib.util.module_from_spec(described)
    sys.modules[module_name] = module  # dataclasses look their module up
    try:
        described.loader.exec_module(module)
    except SyntaxError as error:
        raise UserError(f"{path}:{error.lineno}: {error.msg}, expected Python") from None
    except Exception as error:  # noqa: BLE001 - it is somebody's code, and told with its line
        raise UserError(f"{_line(error, path)}: {type(error).__name__}: {error}") from None
    found = getattr(module, spec.class_name, None)
    if not isinstance(found, type):
        raise UserError(f"{where}: no class {spec.class_name!r}, expected one")
    missing = [name for name in _MEMBERS if not callable(getattr(found, name, None))]
    if missing:
        raise UserError(
            f"{where}: {spec.class_name}: no {', '.join(missing)}, expected all members of a Store"
        )
    return found


def build(spec: PythonStore, folder: Path) -> Store:
    """The store, made with its options. Raises UserError."""
    found = load(spec, folder)
    try:
        store = found(name=spec.name, **spec.options)
    except Exception as error:  # noqa: BLE001 - it is somebody's code, and told with its line
        path = (folder / spec.file).resolve()
        raise UserError(
            f"{_line(error, path)}: {spec.class_name}: {type(error).__name__}: {error}; expected it to take "
            f"{', '.join(['name', *spec.options])}"
        ) from None
    for member in ("name", "kinds"):
        if not hasattr(store, member):
            raise UserError(f"stores: {spec.name}: {spec.class_name}: no {member!r}, expected all of a Store")
    return cast("Store", store)


def _line(error: Exception, path: Path) -> str:
    """The last line of the file itself that an error came from."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path}:{frames[-1].lineno}" if frames else str(path)
