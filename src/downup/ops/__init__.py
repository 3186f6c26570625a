"""Down and up as functions on torch tensors, with gradients; called as those of `torch.nn.functional`.

Four families, a down and an up in each: resample (fixed weights), select (data-dependent), rearrange (a
permutation) and convolve (learned weights). None of them looks a function up in `torch.nn.functional` at run
time, so those may be replaced by these.
"""

from downup.ops.convolve import conv2d, conv_transpose2d, resize_conv2d
from downup.ops.rearrange import pixel_shuffle, pixel_unshuffle
from downup.ops.resample import (
    adaptive_avg_pool2d,
    avg_pool2d,
    blur_pool2d,
    global_avg_pool2d,
    global_lp_pool2d,
    interpolate,
    lp_pool2d,
)
from downup.ops.select import max_pool2d, max_pool2d_with_offsets, max_unpool2d

__all__ = [
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "blur_pool2d",
    "conv2d",
    "conv_transpose2d",
    "global_avg_pool2d",
    "global_lp_pool2d",
    "interpolate",
    "lp_pool2d",
    "max_pool2d",
    "max_pool2d_with_offsets",
    "max_unpool2d",
    "pixel_shuffle",
    "pixel_unshuffle",
    "resize_conv2d",
]
