"""Import `onnx_ir` without the algebra that it can do with sizes.

It loads sympy, a quarter of a second and 30 MB, for arithmetic on sizes without numbers, of which there is none here. So
sympy, and the one module that asks it for something right away, are loaded when somebody first uses them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

_LATE = ("sympy", "onnx_ir._symbolic_shapes")


class _Late(MetaPathFinder):
    """Finds modules that load on first use."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname in _LATE else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


_finder = _Late()
sys.meta_path.insert(0, _finder)
try:
    import onnx_ir  # noqa: F401
finally:
    sys.meta_path.remove(_finder)
