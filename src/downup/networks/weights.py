"""Encoder weights from torchvision's .pth files and .safetensors, matched by name, checked by shape."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from downup.errors import DataError
from downup.networks.network import Network
from downup.networks.vgg import DENSE_LAYERS

_PICKLE_SUFFIXES = (".pth", ".pt")
_SAFE_SUFFIX = ".safetensors"
_FIRST_CONVOLUTIONS = ("features.0.weight", "conv1.weight")
_COLOURS = 3


@dataclass(frozen=True)
class WeightReport:
    """What happened to each tensor, by name.

    Args:
        loaded: tensors of the file that the network took over.
        left_out: tensors of the file that the network has no place for, such as the last dense layer.
        not_loaded: encoder parameters that the file does not have and that keep their fresh weights, such as
            the convolutions of `down="strided"` on VGG.
    """

    loaded: tuple[str, ...]
    left_out: tuple[str, ...]
    not_loaded: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{len(self.loaded)} tensors loaded"
        if self.left_out:
            text += f"; not used: {', '.join(self.left_out)}"
        if self.not_loaded:
            text += f"; fresh: {', '.join(self.not_loaded)}"
        return text


@torch.no_grad()
def load_encoder_weights(network: Network, path: str | Path) -> WeightReport:
    """Copy trained weights into a network's encoder.

    VGG's first two dense layers become fc6 and fc7 where the network has them, the same numbers in another
    shape. For pictures of one channel, the first convolution's weights are summed over the three colours: a
    grey picture then gives what the same grey in all three gave. A .pth file is read without running the code
    that such files can hold.

    Args:
        network: what `build` made; it is changed only when the whole file fits.
        path: a .safetensors file, or a .pth or .pt file with a dictionary of tensors.

    Raises:
        DataError: the file is missing, is no weight file, would run code, or does not fit the network.
    """
    path = Path(path)
    tensors = _read(path)
    targets = _targets(network)
    originals = set(_original_names(network))
    moves: list[tuple[Tensor, Tensor]] = []
    for name, target in targets.items():
        if name not in tensors:
            # Files of torchvision's first releases do not count batches; the count changes nothing here.
            if name in originals and not name.endswith("num_batches_tracked"):
                raise DataError(
                    f"{path} has no tensor {name!r}, which {network.config.encoder_name} needs; is it a "
                    "file of another encoder? Use that encoder, or another file"
                )
            continue
        moves.append((target, _fitted(network, path, name, tensors[name], target)))
    for target, source in moves:
        target.copy_(source)
    return WeightReport(
        loaded=tuple(name for name in tensors if name in targets),
        left_out=tuple(name for name in tensors if name not in targets),
        not_loaded=tuple(name for name in targets if name not in tensors and name not in originals),
    )


def _targets(network: Network) -> dict[str, Tensor]:
    """The network's tensors under the names that they have in torchvision's files."""
    found: dict[str, Tensor] = dict(network.encoder.state_dict(keep_vars=True))
    for file_name, name, _, _ in DENSE_LAYERS:
        layer = getattr(network, name, None)
        if layer is not None:
            found[f"{file_name}.weight"] = layer.weight
            found[f"{file_name}.bias"] = layer.bias
    return found


def _original_names(network: Network) -> list[str]:
    """The names of `_targets` without the parameters of a learned way down, which no file has."""
    extra = {
        f"{name}."
        for name, module in network.encoder.named_modules()
        if name.startswith("features.") and isinstance(module, torch.nn.Sequential)
    }
    return [name for name in _targets(network) if not any(name.startswith(start) for start in extra)]


def _fitted(network: Network, path: Path, name: str, source: Tensor, target: Tensor) -> Tensor:
    """Bring a tensor of the file into the shape that the network has, or say why it cannot be."""
    in_channels = network.config.in_channels
    if name in _FIRST_CONVOLUTIONS and in_channels != _COLOURS and source.dim() == 4:
        if in_channels == 1 and source.shape[1] == _COLOURS:
            source = source.sum(dim=1, keepdim=True)
        elif source.shape[1] == _COLOURS:
            raise DataError(
                f"{path} holds weights for pictures of {_COLOURS} channels, but in_channels is "
                f"{in_channels}; use in_channels=3, or 1 to sum them over the colours"
            )
    is_dense = any(name == f"{file_name}.weight" for file_name, _, _, _ in DENSE_LAYERS)
    if is_dense and source.dim() == 2 and source.numel() == target.numel():
        # A dense layer reads the map [channels, 7, 7] flattened in this order.
        source = source.reshape(target.shape)
    if source.shape != target.shape:
        width = network.config.width
        cure = "use width=1.0" if width != 1.0 else "use the encoder that the file was made for"
        raise DataError(
            f"{path}: tensor {name!r} has shape {list(source.shape)}, but {network.config.encoder_name} with "
            f"width={width:g} has {list(target.shape)}; {cure}"
        )
    return source


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise DataError(
            f"{path} is not a file; give the path of a .safetensors or .pth file with encoder weights"
        )
    suffix = path.suffix.lower()
    if suffix == _SAFE_SUFFIX:
        try:
            return safetensors.torch.load_file(path)
        except (safetensors.SafetensorError, OSError) as error:
            raise DataError(f"{path} is not a safetensors file ({error}); download it again") from error
    if suffix not in _PICKLE_SUFFIXES:
        raise DataError(f"{path} ends in {suffix!r}; weight files end in .safetensors, .pth or .pt")
    try:
        with warnings.catch_warnings():
            # torch warns of pickles that it did not write, and then refuses what is no weight file anyway.
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (
        Exception
    ) as error:  # A damaged or hostile pickle can raise anything; whatever it is, the file is no good.
        raise DataError(_pickle_message(path, error)) from error
    is_plain = isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    )
    if not is_plain or not content:
        raise DataError(
            f"{path} holds {_described(content)} where weight files hold a dictionary of tensors by name; "
            "save the model's state_dict()"
        )
    return {name: value.detach() for name, value in content.items()}


def _pickle_message(path: Path, error: Exception) -> str:
    text = str(error)
    if isinstance(error, pickle.UnpicklingError) and ("GLOBAL" in text or "Unsupported class" in text):
        return (
            f"{path} holds Python code that would run on loading, or a whole model in the place of its "
            "weights; it was not loaded. Use a .safetensors file, or one that holds a state_dict() alone"
        )
    return (
        f"{path} is not a weight file ({type(error).__name__}); download it again, or use a .safetensors file"
    )


def _described(content: object) -> str:
    if isinstance(content, dict):
        if not content:
            return "an empty dictionary"
        name, value = next(
            (name, value)
            for name, value in content.items()
            if not isinstance(name, str) or not isinstance(value, Tensor)
        )
        return f"a dictionary with {name!r}: {type(value).__name__}"
    return f"a {type(content).__name__}"
