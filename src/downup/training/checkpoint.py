"""One safetensors file with a network, its optimizer and where training stands: nothing in it can execute."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from downup.errors import DataError
from downup.files import replace_file

_KEY = "downup"
_MODEL = "model."
_OPTIMIZER = "optimizer."


def save_tensors(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Write `tensors` and, as JSON in the header, `about`: beside `path`, to the disk, then into place."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # Not by safetensors' own writer, whose temporary file has a name of its own: a killed process would leave it behind.
    replace_file(path, lambda temporary: temporary.write_bytes(save(plain, {_KEY: json.dumps(about)})))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote.

    Raises:
        DataError: the file is missing, damaged or not one of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get(_KEY, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
    except (OSError, SafetensorError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); restore it from a copy or train again") from error
    if not isinstance(about, dict):
        raise DataError(f"{path}: was not written by downup (no entry {_KEY!r} in its header)")
    return tensors, about


def save_checkpoint(path: Path, network: nn.Module, optimizer: Optimizer, about: dict[str, Any]) -> None:
    """Write everything that the next step depends on."""
    tensors = {_MODEL + name: tensor for name, tensor in network.state_dict().items()}
    names = _parameter_names(network, optimizer)
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            tensors[f"{_OPTIMIZER}{names[parameter]}.{key}"] = value
    save_tensors(path, tensors, about)


def load_checkpoint(path: Path, network: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """Put network and optimizer back to where `save_checkpoint` found them and return `about`."""
    tensors, about = load_tensors(path)
    model = {name.removeprefix(_MODEL): value for name, value in tensors.items() if name.startswith(_MODEL)}
    load_state(network, model, path)
    for parameter, name in _parameter_names(network, optimizer).items():
        prefix = f"{_OPTIMIZER}{name}."
        state = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        optimizer.state[parameter] = {key: _laid_out(value, parameter) for key, value in state.items()}
    return about


def load_state(network: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Load `state` into `network`, or say which tensor of the file does not fit."""
    own = network.state_dict()
    missing, extra = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    if missing or extra:
        what = f"lacks {missing[0]!r}" if missing else f"holds {extra[0]!r}, which the network does not have"
        raise DataError(f"{path}: {what}; it belongs to another network than config.json describes")
    for name, tensor in own.items():
        if tensor.shape != state[name].shape:
            raise DataError(
                f"{path}: {name} has shape {list(state[name].shape)} but the network of config.json needs "
                f"{list(tensor.shape)}; it belongs to another run"
            )
    network.load_state_dict(state)


def _laid_out(value: Tensor, parameter: Tensor) -> Tensor:
    # Same strides as the parameter, as the optimizer made them: then a resumed step runs the very same loops.
    if value.shape != parameter.shape:
        return value.clone()
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _parameter_names(network: nn.Module, optimizer: Optimizer) -> dict[Tensor, str]:
    names = {parameter: name for name, parameter in network.named_parameters()}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return {parameter: names[parameter] for parameter in parameters}
