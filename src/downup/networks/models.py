"""From a configuration to a network."""

from __future__ import annotations

from downup.networks.config import NetworkConfig
from downup.networks.deconvnet import DeconvNet
from downup.networks.fcn import FCN
from downup.networks.network import Network
from downup.networks.segnet import SegNet
from downup.networks.unet import UNet

_CLASSES: dict[str, type[FCN] | type[SegNet] | type[DeconvNet] | type[UNet]] = {
    "fcn32s": FCN,
    "fcn16s": FCN,
    "fcn8s": FCN,
    "segnet": SegNet,
    "deconvnet": DeconvNet,
    "unet": UNet,
}


def build(config: NetworkConfig) -> Network:
    """Make the network that a configuration describes, with fresh weights from torch's random generator.

    >>> build(NetworkConfig(model="unet", classes=2, width=0.1)).stride
    32
    """
    return _CLASSES[config.model](config)
