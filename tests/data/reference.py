"""overcomplete's classes for the scripts here that write files with them."""

import sys
import types

import torch


def import_sae():
    """overcomplete.sae without the package's plots and vision models, which need a dozen other packages."""
    import importlib.util

    place = importlib.util.find_spec("overcomplete").submodule_search_locations
    package = types.ModuleType("state_dicts")
    package.__path__ = list(place)
    sys.modules["overcomplete"] = package
    import overcomplete.sae as sae

    return sae


sae = import_sae()


def shake(model):
    """Every parameter away from its start, so that a wrong one shows."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape) if parameter.dim() else torch.tensor(0.2))
        for name, buffer in model.named_buffers():
            if "running_mean" in name:
                buffer.add_(0.2 * torch.randn(buffer.shape))
            if "running_var" in name:
                buffer.mul_(1.5)
    return model
