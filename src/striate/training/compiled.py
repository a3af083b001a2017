"""torch.compile, where it is asked for."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from striate.errors import ConfigError
from striate.training.precision import Precision
from striate.training.state import RunningStatistics, train_mode


def compile_network(model: nn.Module, precision: Precision, images: Tensor) -> Callable[[Tensor], Tensor]:
    """Compile a network, and try it; the network's statistics are left as they are.

    Raises:
        ConfigError: torch.compile does not work here, for want of a C++ compiler, say.
    """
    compiled: Callable[[Tensor], Tensor] = torch.compile(model)
    statistics = RunningStatistics(model)  # saves them
    train_mode(model)
    try:
        with precision.passes(images.device):
            outputs = compiled(precision.to_memory_format(images))
        outputs.float().sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    except Exception as error:  # torch's compiler has no class of its own for what its backends raise
        reason = " ".join(str(error).split())[:200]
        raise ConfigError("compile", f"torch.compile does not work here ({reason})", "leave it out") from None
    finally:
        statistics.restore()
        model.zero_grad(set_to_none=True)
    return compiled
