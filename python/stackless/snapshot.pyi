import pickle
from typing import Any, Literal

from _typeshed import ReadableBuffer

__all__ = ["Pickler", "SnapshotError", "describe", "dumps", "install", "loads"]

class SnapshotError(ValueError): ...

class _ByValue:
    def reducer_override(self, obj: Any) -> Any: ...

class Pickler(_ByValue, pickle.Pickler): ...

def dumps(
    obj: object,
    key: bytes | bytearray | None = None,
    *,
    code: Literal["reference", "value"] = "reference",
    protocol: int | None = None,
) -> bytes: ...
def loads(data: ReadableBuffer, key: bytes | bytearray | None = None) -> Any: ...
def describe(data: ReadableBuffer, key: bytes | bytearray | None = None) -> str: ...
def install() -> None: ...
