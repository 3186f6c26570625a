"""A network and its optimizer, and the one step that they make together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from downup.errors import ArgumentError, DownupError
from downup.networks import TorchSession, build
from downup.training.augmentation import IGNORE, Pixels
from downup.training.config import TrainConfig
from downup.training.losses import cross_entropy, dice_loss
from downup.training.plan import Plan
from downup.training.schedule import rate_at

Channels = Literal["rgb", "grey"]

_GATHERING_STEPS = 500
_LARGEST_GRADIENT = 5.0  # norm; only the rare spike is longer, and AdamW would remember it for long
_STEP_STREAM = 3
_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


@dataclass(frozen=True)
class StepOutcome:
    """What a step came to.

    Args:
        loss: of the batch, before the step.
        confusion: pixels of the batch, class in the mask by class predicted before the step.
        rate: the learning rate of the step.
    """

    loss: float
    confusion: npt.NDArray[np.int64]
    rate: float


class Learner:
    """What learns. A step depends on the weights, the optimizer's state, the batch, and (epoch, step).

    Args:
        plan: of the run; the first weights are a function of its seed.

    Raises:
        ArgumentError: crops so few and small that batch normalisation has a single sample to go by.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, self.options, self.device = plan, plan.settled, plan.device
        torch.manual_seed(self.options.seed)
        network = build(plan.network)
        _check_normalisable(network, network.stride, self.options)
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._normalisations = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        self.optimizer = _make_optimizer(self.network, self.options)
        shape = (1, -1, 1, 1)
        self._mean = torch.tensor(plan.mean, device=self.device).reshape(shape)
        self._deviation = torch.tensor(plan.deviation, device=self.device).reshape(shape)
        weights = plan.class_weights
        self._class_weights = None if weights is None else torch.tensor(weights, device=self.device)

    @property
    def channels(self) -> Channels:
        """What the network sees of a picture."""
        return "grey" if self.options.channels == "grey" else "rgb"

    @property
    def parameter_count(self) -> int:
        """How many numbers are learned."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def session(self) -> TorchSession:
        """Return what labels pictures with the weights as they are at each call."""
        return TorchSession(self.network, (self.plan.mean, self.plan.deviation), self.channels)

    def step(self, pictures: Pixels, masks: Pixels, epoch: int, step: int) -> StepOutcome:
        """Learn from one batch.

        Args:
            pictures: [batch, size, size, channel].
            masks: [batch, size, size].
            epoch: from 1.
            step: in the epoch, from 0.

        Raises:
            DownupError: the loss or its gradient is no finite number, and the weights are as before;
                or there is not enough memory.
        """
        try:
            return self._step(pictures, masks, epoch, step)
        except RuntimeError as error:
            if not any(words in str(error) for words in _NO_MEMORY):
                raise
            raise DownupError(
                f"not enough memory on {self.device} for {self.options.batch} crops of {self.options.size} x "
                f"{self.options.size} pixels; use a smaller --batch, --size or --width"
            ) from error

    def _step(self, pictures: Pixels, masks: Pixels, epoch: int, step: int) -> StepOutcome:
        options = self.options
        number, steps = (epoch - 1) * self.plan.steps + step, options.epochs * self.plan.steps
        rate = rate_at(options.schedule, number, steps, options.lr)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        for module in self._normalisations:
            module.momentum = statistics_momentum(number)
            module.train(not are_statistics_frozen(number, steps))
        # Dropout draws from torch's own generator: set it so that a step draws the same after a resume.
        torch.manual_seed(_step_seed(options.seed, epoch, step))
        labels = torch.from_numpy(masks).to(self.device).long()
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=options.amp):
            logits = self.network(self._normalised(pictures))
        logits = logits.float()
        loss = cross_entropy(logits, labels, self._class_weights)
        if options.dice:
            loss = loss + options.dice * dice_loss(logits, labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), _LARGEST_GRADIENT)
        value = loss.item()
        _check_finite(value, norm.item(), f"epoch {epoch} at step {step + 1}", options.lr)
        self.optimizer.step()
        return StepOutcome(value, _confusion(logits.detach(), labels), rate)

    def _normalised(self, pictures: Pixels) -> Tensor:
        inputs = torch.from_numpy(pictures).to(self.device).permute(0, 3, 1, 2) / 255.0
        return ((inputs - self._mean) / self._deviation).contiguous(memory_format=torch.channels_last)


def are_statistics_frozen(step: int, steps: int) -> bool:
    """Whether batch normalisation goes by its gathered statistics from this step on, as it will when it labels.

    After three tenths of a run, and once some hundreds of steps have been gathered, the very function is trained that is
    evaluated; batches of few crops otherwise differ too much from whole pictures, and from each other.

    >>> [are_statistics_frozen(step, 2000) for step in (599, 600)], are_statistics_frozen(450, 500)
    ([False, True], False)
    """
    return step >= max(_GATHERING_STEPS, 0.3 * steps)


def statistics_momentum(step: int) -> float:
    """Return how much the batch of `step`, counted from 0 over the whole run, moves batch normalisation's statistics.

    torch's 0.1 goes by the last ten batches. Where batches differ much, as small ones of crops do (one of sea, one of
    ice), scores then jump from one epoch to the next while the weights hardly move. So later steps go by a tenth
    of all so far, up to a hundred.

    >>> [statistics_momentum(step) for step in (0, 99, 199, 5000)]
    [0.1, 0.1, 0.05, 0.01]
    """
    return max(0.01, min(0.1, 10.0 / (step + 1)))


def _make_optimizer(network: nn.Module, options: TrainConfig) -> torch.optim.AdamW:
    # Decay pulls filters towards zero; on biases and normalisation it would only shift the result.
    filters = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    rest = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [
        {"params": filters, "weight_decay": options.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=options.lr)


def _check_normalisable(network: nn.Module, stride: int, options: TrainConfig) -> None:
    has_normalisation = any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    samples = options.batch * (-(-(options.size or 1) // stride)) ** 2
    if has_normalisation and samples < 2:
        raise ArgumentError(
            f"batch is {options.batch} and size is {options.size}: at stride {stride} one sample remains, "
            f"which batch normalisation cannot go by; use batch >= 2 or size > {stride}"
        )


def _check_finite(loss: float, norm: float, where: str, lr: float) -> None:
    # Before the step that would spoil the weights: so every checkpoint holds finite ones.
    if math.isfinite(loss) and math.isfinite(norm):
        return
    what = f"the gradient is {norm}" if math.isfinite(loss) else f"the loss is {loss}"
    raise DownupError(
        f"{what} in {where}; the run keeps its last good weights: "
        f"train into another folder with --lr below {lr:g}"
    )


def _step_seed(seed: int, epoch: int, step: int) -> int:
    return int(np.random.SeedSequence((seed, epoch, step, _STEP_STREAM)).generate_state(1, np.uint64)[0])


def _confusion(logits: Tensor, labels: Tensor) -> npt.NDArray[np.int64]:
    class_count = logits.shape[1]
    is_counted = labels != IGNORE
    pairs = labels[is_counted] * class_count + logits.argmax(dim=1)[is_counted]
    counts = torch.bincount(pairs, minlength=class_count * class_count)
    return counts.reshape(class_count, class_count).cpu().numpy()
