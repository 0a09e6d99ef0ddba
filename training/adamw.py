"""AdamW, as a few lines."""

from collections.abc import Iterable

import torch
from torch import Tensor

_MOMENTUM, _SQUARES, _EPSILON = 0.9, 0.999, 1e-8


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019), equal to torch.optim.AdamW.

    torch's own pulls in its compiler when first made: seconds and 200 MB, more than a small network
    takes to train.
    """

    def __init__(
        self, parameters: Iterable[Tensor], *, learning_rate: float, weight_decay: float
    ) -> None:
        self._parameters = list(parameters)
        self._first = [torch.zeros_like(each) for each in self._parameters]
        self._second = [torch.zeros_like(each) for each in self._parameters]
        self._learning_rate, self._weight_decay = learning_rate, weight_decay
        self._n_steps = 0

    def step(self) -> None:
        """Move the parameters along their gradients, then forget the gradients."""
        self._n_steps += 1
        unbias_first = 1 - _MOMENTUM**self._n_steps
        unbias_second = 1 - _SQUARES**self._n_steps
        with torch.no_grad():
            for parameter, first, second in zip(
                self._parameters, self._first, self._second, strict=True
            ):
                gradient = parameter.grad
                parameter.mul_(1 - self._learning_rate * self._weight_decay)
                first.lerp_(gradient, 1 - _MOMENTUM)
                second.mul_(_SQUARES).addcmul_(gradient, gradient, value=1 - _SQUARES)
                spread = (second / unbias_second).sqrt_().add_(_EPSILON)
                parameter.addcdiv_(first, spread, value=-self._learning_rate / unbias_first)
                parameter.grad = None
