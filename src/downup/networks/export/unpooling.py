"""Un-pooling told by taps before a network leaves torch: which sample of its window each pooled value was.

torch's positions count over a plane, ONNX's over the whole tensor, and OpenVINO 2026.4 has no MaxUnpool at all and takes
fifteen times as long for a max pool once its indices are read. Where windows tile the plane, as in nearly every network
that un-pools, the number of the tap says the same, needs no index, and runs everywhere.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Graph, Node
from torch.fx.experimental.symbolic_shapes import statically_known_true
from torch.nn.functional import pad

import downup.ops  # noqa: F401  (registers the operators that are looked for)

_library = torch.library.Library("downup_export", "DEF")
_library.define("max_pool2d_taps(Tensor x, int size) -> Tensor")
_library.define("max_unpool2d_taps(Tensor x, Tensor taps, int size, SymInt[2]? out_size) -> Tensor")


def _taps(x: Tensor, size: int) -> Tensor:
    """[n, c, h * size, w * size] -> int64 [n, c, h, w]: the first tap, row by row, with the largest sample."""
    windows = x.unflatten(3, (-1, size)).unflatten(2, (-1, size))
    largest: Tensor = windows.permute(0, 1, 2, 4, 3, 5).flatten(4).argmax(dim=4)
    return largest


def _unpool(x: Tensor, taps: Tensor, size: int, out_size: Any) -> Tensor:
    """[n, c, h, w] -> [n, c, h * size, w * size], zero but at the taps; to a larger out_size, by more zeros."""
    spread = x.new_zeros((*x.shape, size * size)).scatter_(4, taps[..., None], x[..., None])
    tiled = spread.unflatten(4, (size, size)).permute(0, 1, 2, 4, 3, 5).flatten(4).flatten(2, 3)
    rows, columns = out_size or tiled.shape[2:]
    return pad(tiled, (0, columns - tiled.shape[3], 0, rows - tiled.shape[2]))


def _fake_taps(x: Tensor, size: int) -> Tensor:
    return x.new_empty((*x.shape[:2], x.shape[2] // size, x.shape[3] // size), dtype=torch.int64)


def _fake_unpool(x: Tensor, taps: Tensor, size: int, out_size: Any) -> Tensor:
    return x.new_empty((*x.shape[:2], *(out_size or (x.shape[2] * size, x.shape[3] * size))))


for _name, _run, _fake in (
    ("max_pool2d_taps", _taps, _fake_taps),
    ("max_unpool2d_taps", _unpool, _fake_unpool),
):
    _library.impl(_name, _run, "CompositeExplicitAutograd")
    torch.library.register_fake(f"downup_export::{_name}", _fake, lib=_library)

POOL_TAPS = torch.ops.downup_export.max_pool2d_taps.default
UNPOOL_TAPS = torch.ops.downup_export.max_unpool2d_taps.default
_OWN_POOL, _TORCH_POOL = torch.ops.downup.max_pool2d.default, torch.ops.aten.max_pool2d_with_indices.default
_OWN_UNPOOL, _TORCH_UNPOOL = torch.ops.downup.max_unpool2d.default, torch.ops.aten.max_unpool2d.default


class _Window(NamedTuple):
    size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, ...]
    dilation: tuple[int, int]
    ceil_mode: bool


def tell_positions_by_taps(program: ExportedProgram) -> None:
    """Replace, in place, each un-pooling of windows that tile the plane, and the pooling's half that it reads.

    What else reads positions keeps them, and windows that overlap or leave gaps stay as they are.
    """
    graph = program.graph_module.graph
    taps_of: dict[Node, Node] = {}
    for node in list(graph.nodes):
        if node.target in (_OWN_UNPOOL, _TORCH_UNPOOL):
            _replace_unpool(graph, node, taps_of)
    graph.eliminate_dead_code()
    graph.lint()
    program.graph_module.recompile()


def _replace_unpool(graph: Graph, unpool: Node, taps_of: dict[Node, Node]) -> None:
    pooled, positions, out_size = unpool.args[:3]
    pool = _pool_behind(positions)
    if pool is None:
        return
    window, image = _window_of(pool), pool.args[0]
    assert isinstance(image, Node)
    assert isinstance(pooled, Node)
    rows, columns = _size(image)
    size = window.size[0]
    wanted = tuple(_value(side) for side in out_size)  # type: ignore[union-attr]
    if not _tiles(window, rows, columns):
        return
    if unpool.target is _OWN_UNPOOL:
        if window[:4] != _own_window(unpool.args[3:])[:4]:
            return
    # torch counts positions over the plane of the result: in one of another width they would be elsewhere. Without the
    # columns that the pool dropped, which is the default, they are taken to be meant where they were.
    # That width is asked of the pooled map, since the same quotient may be spelled in another way.
    elif not any(statically_known_true(wanted[1] == width) for width in (columns, size * _size(pooled)[1])):
        return
    if pool not in taps_of:
        with graph.inserting_before(pool.next):
            taps_of[pool] = _insert_taps(graph, image, size, rows, columns)
    with graph.inserting_before(unpool):
        covered = [size * length for length in _size(pooled)]
        fits = all(statically_known_true(want == have) for want, have in zip(wanted, covered, strict=True))
        made = _call(graph, UNPOOL_TAPS, pooled, taps_of[pool], size, None if fits else out_size)
    unpool.replace_all_uses_with(made)


def _insert_taps(graph: Graph, image: Node, size: int, rows: Any, columns: Any) -> Node:
    """The taps, of the rows and columns that the windows cover."""
    for axis, length in ((2, rows), (3, columns)):
        if not statically_known_true(length % size == 0):
            whole = _call(graph, torch.ops.aten.sym_size.int, image, axis)
            end = _call(graph, operator.mul, _call(graph, operator.floordiv, whole, size), size)
            image = _call(graph, torch.ops.aten.slice.Tensor, image, axis, 0, end)
    return _call(graph, POOL_TAPS, image, size)


def _call(graph: Graph, target: Callable[..., Any], *arguments: Any) -> Node:
    """A node with the value that tracing would have given it."""
    node = graph.call_function(target, arguments)
    values = torch.fx.node.map_arg(arguments, _value)
    node.meta["val"] = target(*values)
    return node


def _value(argument: Any) -> Any:
    return argument.meta["val"] if isinstance(argument, Node) else argument


def _size(image: Node) -> tuple[Any, Any]:
    return tuple(image.meta["val"].shape[2:])


def _pool_behind(positions: Any) -> Node | None:
    """The max pool that made these positions, if they come straight from one."""
    is_second = positions.target is operator.getitem and positions.args[1] == 1
    pool = positions.args[0] if is_second else None
    return pool if pool is not None and pool.target in (_OWN_POOL, _TORCH_POOL) else None


def _window_of(pool: Node) -> _Window:
    if pool.target is _OWN_POOL:
        return _own_window(pool.args[1:6])
    given = (*pool.args[1:], *[[], [0, 0], [1, 1], False][len(pool.args) - 2 :])
    size, stride, padding, dilation = (_pair(side) for side in given[:4])
    return _Window(size, stride or size, (padding[0],) * 2 + (padding[1],) * 2, dilation, bool(given[4]))


def _own_window(arguments: Any) -> _Window:
    size, stride, padding, dilation, ceil_mode = arguments
    return _Window(tuple(size), tuple(stride), tuple(padding), tuple(dilation), ceil_mode)


def _pair(sides: Any) -> Any:
    return (sides[0], sides[0]) if len(sides) == 1 else tuple(sides)


def _tiles(window: _Window, rows: Any, columns: Any) -> bool:
    size = window.size[0]
    is_square = window.size == window.stride == (size, size) and window.dilation == (1, 1)
    is_bare = not any(_is_not_zero(side) for side in window.padding)
    # Rounded up, a last window would reach over the edge.
    fits = not window.ceil_mode or all(statically_known_true(side % size == 0) for side in (rows, columns))
    return is_square and is_bare and fits


def _is_not_zero(side: Any) -> bool:
    return not (isinstance(side, int) and side == 0)
