"""SAELens, dictionary_learning and sparsify for the scripts here that write files with them: their classes, savers and
configurations, without the packages of models, data sets and training that they import (empty modules stand in for those)."""

import importlib
import importlib.util
import sys
import types

import torch


class Empty(types.ModuleType):
    """A module in which every name is a class without content."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (torch.nn.Identity,), {"setup": lambda self: None})


class Finder:
    """Finds an empty module for what is not installed, below these packages."""

    PACKAGES = ("transformer_lens", "transformers", "datasets", "nnsight", "wandb", "huggingface_hub", "natsort",
                "sae_lens.loading", "sae_lens.registry_of_models", "tqdm", "schedulefree", "bitsandbytes", "accelerate", "einops_exts",
                "zstandard", "loguru", "circuitsvis", "plotly", "umap", "pandas", "matplotlib")

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if any(name == package or name.startswith(package + ".") for package in cls.PACKAGES):
            return importlib.util.spec_from_loader(name, cls, is_package=True)
        return None

    @staticmethod
    def create_module(spec):
        return Empty(spec.name)

    @staticmethod
    def exec_module(module):
        module.__path__ = []


sys.meta_path.insert(0, Finder)


def without_init(name, **members):
    """A package whose __init__ is not run."""
    module = types.ModuleType(name)
    module.__path__ = list(importlib.util.find_spec(name).submodule_search_locations)
    for key, value in members.items():
        setattr(module, key, value)
    sys.modules[name] = module
    return module


def saelens():
    without_init("sae_lens", __version__="6.54.12")
    without_init("sae_lens.saes")
    found = {}
    registry = importlib.import_module("sae_lens.registry")
    for name, parts in {"standard": "standard_sae StandardSAE", "topk": "topk_sae TopKSAE", "jumprelu": "jumprelu_sae JumpReLUSAE",
                        "gated": "gated_sae GatedSAE", "abstopk": "abstopk_sae AbsTopKSAE",
                        "matching_pursuit": "matching_pursuit_sae MatchingPursuitSAE", "transcoder": "transcoder Transcoder",
                        "skip_transcoder": "transcoder SkipTranscoder", "jumprelu_transcoder": "transcoder JumpReLUTranscoder",
                        "jumprelu_skip_transcoder": "transcoder JumpReLUSkipTranscoder"}.items():
        module, cls = parts.split()
        loaded = importlib.import_module("sae_lens.saes." + module)
        found[name] = getattr(loaded, cls), getattr(loaded, cls + "Config")
        registry.register_sae_class(name, *found[name])
    for name, module, cls in (("batchtopk", "batchtopk_sae", "BatchTopKTrainingSAE"),
                              ("matryoshka_batchtopk", "matryoshka_batchtopk_sae", "MatryoshkaBatchTopKTrainingSAE")):
        loaded = importlib.import_module("sae_lens.saes." + module)
        found[name] = getattr(loaded, cls), getattr(loaded, cls + "Config")
        registry.register_sae_training_class(name, *found[name])
    return found


def dictionary_learning():
    without_init("dictionary_learning")
    without_init("dictionary_learning.trainers")
    found = importlib.import_module("dictionary_learning.dictionary")
    for module, cls in ("top_k", "AutoEncoderTopK"), ("batch_top_k", "BatchTopKSAE"), ("matryoshka_batch_top_k", "MatryoshkaBatchTopKSAE"):
        setattr(found, cls, getattr(importlib.import_module("dictionary_learning.trainers." + module), cls))
    return found


def sparsify():
    without_init("sparsify")
    return importlib.import_module("sparsify.sparse_coder"), importlib.import_module("sparsify.config")
