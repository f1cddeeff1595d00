"""Writes tests/data/interop/: files of other programs, written by those programs themselves.

    python3 tests/data/make_interop.py        needs torch, numpy, safetensors, einops and overcomplete 0.3.0

torch/ has files of `torch.save` in each of its formats: numbers.safetensors holds the same tensors for comparison.
overcomplete/ has its classes pickled whole, as state dicts, and within DataParallel. The metadata of expected.safetensors
gives the flags that each file needs; its tensors are `x`, the inputs, and NAME.codes and NAME.x_hat, what the module computes
for them in evaluation mode. The tests do not run this script.
"""

import json
import os

import torch
from safetensors.torch import save_file

from reference import sae, shake
from overcomplete.sae.archetypal_dictionary import RelaxedArchetypalDictionary  # noqa: E402

D, K, N, ROWS = 6, 10, 8, 9
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "interop")
x = torch.randn(ROWS, D, generator=torch.Generator().manual_seed(1))
expected, flags = {"x": x}, {}


def path_of(*parts):
    path = os.path.join(HERE, *parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path


# ---- torch ---------------------------------------------------------------------------------------------------------------

# The legacy format holds the source of each class; that of the packages does not belong here.
torch.serialization.get_source_lines_and_file = lambda cls, *_: (["class %s:\n" % cls.__name__, "    ...\n"], 1, "source.py")
LEGACY = {"_use_new_zipfile_serialization": False}
shared = torch.arange(40, dtype=torch.float32)
generator = torch.Generator().manual_seed(2)
numbers = {
    "f32": torch.randn(3, 4, generator=generator),
    "f64": torch.randn(3, 4, generator=generator).double(),
    "f16": torch.randn(3, 4, generator=generator).half(),
    "bf16": torch.randn(3, 4, generator=generator).bfloat16(),
    "i64": torch.arange(-2, 3),
    "i32": torch.arange(-2, 3, dtype=torch.int32),
    "i16": torch.arange(-2, 3, dtype=torch.int16),
    "i8": torch.arange(-2, 3, dtype=torch.int8),
    "u8": torch.arange(5, dtype=torch.uint8),
    "bool": torch.tensor([True, False, True]),
    "scalar": torch.tensor(2.5),
    "empty": torch.zeros(0, 3),
    "transposed": torch.randn(5, 3, generator=generator).t(),
    "strided": torch.randn(6, 8, generator=generator)[::2, 1::3],
    "permuted": torch.randn(2, 3, 4, generator=generator).permute(2, 0, 1),
    "first": shared[:10].view(2, 5),
    "second": shared[10:22].view(3, 4),
    "whole": shared,
    "parameter": torch.nn.Parameter(torch.randn(4, generator=generator)),
    "nested.inner": torch.randn(2, generator=generator),
}
save_file({name: tensor.detach().clone().contiguous() for name, tensor in numbers.items()}, path_of("torch", "numbers.safetensors"))
nested = dict(numbers)
nested["nested"] = {"inner": nested.pop("nested.inner"), "words": ["a", 1, 2.5, None, True, 10**30]}
torch.save(nested, path_of("torch", "zip.pt"))
torch.save(nested, path_of("torch", "legacy.pt"), **LEGACY)
for protocol in 3, 4, 5:
    torch.save(nested, path_of("torch", "zip-protocol-%d.pt" % protocol), pickle_protocol=protocol)
    torch.save(nested, path_of("torch", "legacy-protocol-%d.pt" % protocol), pickle_protocol=protocol, **LEGACY)
acts = torch.randn(12, D, generator=generator)
save_file({"acts": acts}, path_of("torch", "acts.safetensors"))
torch.save(acts, path_of("torch", "acts.pt"))
torch.save(acts, path_of("torch", "acts-legacy.pt"), **LEGACY)
torch.save(acts.half(), path_of("torch", "acts-half.pt"))
torch.save({"acts": acts, "labels": list(range(12))}, path_of("torch", "acts-named.pt"))
torch.save(torch.zeros(1).expand(1000, 6), path_of("torch", "expanded.pt"))
torch.save(torch.eye(3).to_sparse(), path_of("torch", "sparse.pt"))
torch.save(torch.zeros(2, 3, dtype=torch.float8_e4m3fn), path_of("torch", "float8.pt"))
torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path_of("torch", "script.pt"))
model = torch.nn.Linear(2, 2)
optimizer = torch.optim.Adam(model.parameters())
model(torch.ones(1, 2)).sum().backward()
optimizer.step()
torch.save({"net": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}, path_of("torch", "training.pt"))

# ---- overcomplete --------------------------------------------------------------------------------------------------------


def answer(name, model, how, threshold=None):
    model = getattr(model, "module", model).float()
    model.train()
    if threshold is not None:
        model.running_threshold = threshold
    model.eval()
    with torch.no_grad():
        _, codes = model.encode(x)
        expected[name + ".codes"] = codes.clone()
        expected[name + ".x_hat"] = model.decode(codes).clone()
    flags[name] = how


def write(name, model, how="", state=None, threshold=None, **options):
    """The whole module, or with `state` its state dict below that key ("": the state dict alone)."""
    saved = model if state is None else {state: model.state_dict()} if state else model.state_dict()
    torch.save(saved, path_of("overcomplete", name), **options)
    if how is not None:
        answer(name, model, how, threshold)


def plain(cls=sae.SAE, **how):
    torch.manual_seed(3)
    return shake(cls(D, K, **how))


def archetypal(cls=sae.RATopKSAE, **how):
    torch.manual_seed(4)
    return shake(cls(D, K, points=torch.randn(N, D), **{"delta": 0.5, **how}))


def batch_archetypal(threshold=True):
    """What RA-SAE-DINOv2-32k is, small."""
    torch.manual_seed(5)
    model = sae.BatchTopKSAE(D, K, top_k=3 * ROWS, encoder_module="mlp_ln_1")
    model.dictionary = RelaxedArchetypalDictionary(D, K, torch.randn(N, D), delta=0.5)
    shake(model)
    if threshold:
        model.train()
        model.encode(x + 0.1)  # not of these inputs: no code is equal to the threshold
    return model


def parallel(model):
    """As it is on a machine with two GPUs."""
    wrapped = torch.nn.DataParallel(model)
    wrapped.device_ids, wrapped.output_device, wrapped.dim = [0, 1], 0, 0
    wrapped.src_device_obj = torch.device("cuda:0")
    return wrapped


write("sae.pt", plain())
write("sae-legacy.pt", plain(), **LEGACY)
write("sae-ln.pt", plain(encoder_module="mlp_ln_1"))
write("sae-bn.pt", plain(encoder_module="mlp_bn_1"))
write("sae-l1.pt", plain(dictionary_params={"normalization": "l1", "use_multiplier": True}))
write("sae-max-l2.pt", plain(dictionary_params={"normalization": "max_l2"}))
write("topk.pt", plain(sae.TopKSAE, top_k=3))
write("mlp-ln-3.pt", plain(sae.TopKSAE, top_k=3, encoder_module="mlp_ln_3"))
write("mlp-bn-3.pt", plain(encoder_module="mlp_bn_3"))


def layers(*norm, **how):
    """Encoders that the package's class makes and its factory has no name for."""
    torch.manual_seed(6)
    return sae.modules.MLPEncoder(D, K, norm_layer=norm[0], **how)


HIDDEN = "--hidden-activation relu --no-hidden-residual"
write("state-mlp-ln-3.pt", plain(encoder_module="mlp_ln_3"), "--sae relu --dictionary-kind l2 " + HIDDEN, state="")
write("mlp-rms-1.pt", plain(sae.TopKSAE, top_k=3, encoder_module=layers(torch.nn.RMSNorm)))
write("state-mlp-rms-1.pt", plain(encoder_module=layers(torch.nn.RMSNorm)), "--sae relu --dictionary-kind l2 --encoder mlp_rms_1", state="")
write("mlp-rms-gelu.pt", plain(encoder_module=layers(torch.nn.RMSNorm, nb_blocks=3, hidden_activation=torch.nn.GELU, residual=True)))
write("mlp-ln-silu.pt", plain(encoder_module=layers(torch.nn.LayerNorm, nb_blocks=4, hidden_dim=9, hidden_activation=torch.nn.SiLU,
                                                    residual=True)))
write("mlp-bn-tanh.pt", plain(encoder_module=layers(torch.nn.BatchNorm1d, nb_blocks=2, hidden_dim=4, hidden_activation=torch.nn.Tanh)))
write("mlp-elu.pt", plain(encoder_module=layers(torch.nn.Identity, nb_blocks=2, hidden_activation=torch.nn.ELU, residual=True)))
write("mlp-leaky.pt", plain(encoder_module=layers(torch.nn.Identity, nb_blocks=3, hidden_activation=torch.nn.LeakyReLU)))
write("mlp-sigmoid.pt", plain(encoder_module=layers(torch.nn.LayerNorm, nb_blocks=2, hidden_activation=torch.nn.Sigmoid)))
write("mlp-identity.pt", plain(encoder_module=layers(torch.nn.LayerNorm, nb_blocks=2, hidden_activation=torch.nn.Identity)))
write("jump.pt", plain(sae.JumpSAE, kernel="gaussian", bandwidth=0.01))
write("mp.pt", plain(sae.MpSAE, k=3))
batch = plain(sae.BatchTopKSAE, top_k=3 * ROWS)
batch.train()
batch.encode(x + 0.1)
write("batchtopk.pt", batch)
write("ra-topk.pt", archetypal(top_k=3))
write("ra-topk-legacy.pt", archetypal(top_k=3), **LEGACY)
write("ra-jump.pt", archetypal(sae.RAJumpSAE, delta=1.0))
write("ra-fixed.pt", archetypal(top_k=3, use_multiplier=False))
write("tied.pt", plain(sae.TopKSAE, top_k=3).tied(bias=True))
write("untied.pt", plain(sae.TopKSAE, top_k=3).untied())
write("ra-half.pt", archetypal(top_k=3).half())
write("ra-double.pt", archetypal(top_k=3).double())
write("ra-batchtopk.pth", parallel(batch_archetypal()))
write("ra-batchtopk-legacy.pth", parallel(batch_archetypal()), **LEGACY)
fused = archetypal(top_k=3)
fused.eval()  # it then holds the fused dictionary as well
torch.save(fused, path_of("overcomplete", "ra-evaluated.pt"))
answer("ra-evaluated.pt", fused, "")

# Without its threshold, which stands in a config.json beside it, in a folder as hubs lay it out.
without = batch_archetypal(threshold=False)
torch.save(parallel(without), path_of("overcomplete", "hub", "model.pth"))
threshold = 0.829
with open(path_of("overcomplete", "hub", "config.json"), "w") as file:
    json.dump({"model_type": "RA-SAE", "nb_concepts": K, "running_threshold": threshold, "license": "none"}, file, indent=2)
with open(path_of("overcomplete", "hub", "README.md"), "w") as file:
    file.write("# A dictionary\n")
answer("hub", without, "", threshold)

RA = "--sae topk --top-k 3 --delta 0.5"
write("state.pt", archetypal(top_k=3), RA, state="")
write("state-legacy.pt", archetypal(top_k=3), RA, state="", **LEGACY)
write("state-key.pt", archetypal(top_k=3), RA, state="model_state_dict")
write("state-parallel.pt", parallel(archetypal(top_k=3)), RA, state="")
compiled = archetypal(top_k=3)
torch.save({"module._orig_mod." + name: tensor for name, tensor in compiled.state_dict().items()},
           path_of("overcomplete", "state-compiled.pt"))
answer("state-compiled.pt", compiled, RA)
trained = archetypal(top_k=3)
adam = torch.optim.Adam(trained.parameters())
trained(x)[2].sum().backward()
torch.save({"model_state_dict": trained.state_dict(), "optimizer_state_dict": adam.state_dict(), "epoch": 7},
           path_of("overcomplete", "state-training.pt"))
answer("state-training.pt", trained, RA)

# What is refused, by name.
write("refused-omp.pt", plain(sae.OMPSAE, k=3), None)
write("refused-qsae.pt", plain(sae.QSAE, q=4), None)
write("refused-gelu.pt", plain(encoder_module=layers(torch.nn.LayerNorm, output_activation=torch.nn.GELU)), None)
write("refused-hardtanh.pt", plain(encoder_module=layers(torch.nn.LayerNorm, nb_blocks=2, hidden_activation=torch.nn.Hardtanh)), None)
for name in "resnet_1b", "attention_1b":
    shape = (D, 4, 4) if "resnet" in name else (4, 8)
    torch.manual_seed(3)
    write("refused-%s.pt" % name, shake(sae.SAE(shape, K, encoder_module=name)), None)
bare = layers(torch.nn.LayerNorm)
bare.final_block[1] = torch.nn.LayerNorm(K, elementwise_affine=False)
write("refused-bare-norm.pt", plain(encoder_module=bare), None)
unbiased = layers(torch.nn.LayerNorm)
unbiased.final_block[1] = torch.nn.LayerNorm(K, bias=False)
write("refused-no-bias.pt", plain(encoder_module=unbiased), None)
leaky = layers(torch.nn.LayerNorm, nb_blocks=2)
leaky.mlp_blocks[0][2] = torch.nn.LeakyReLU(0.2)
write("refused-leaky.pt", plain(encoder_module=leaky), None)
mixed = layers(torch.nn.LayerNorm, nb_blocks=3)
mixed.mlp_blocks[1][2] = torch.nn.GELU()
write("refused-mixed.pt", plain(encoder_module=mixed), None)

save_file({name: tensor.contiguous() for name, tensor in expected.items()},
          path_of("overcomplete", "expected.safetensors"), flags)
