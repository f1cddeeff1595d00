"""Writes tests/data/state_dicts/: state dicts of overcomplete 0.3.0 as people have them, unedited.

    python3 tests/data/make_state_dicts.py        needs torch, numpy, safetensors, einops and overcomplete 0.3.0

Each NAME.safetensors is written by `safetensors.torch.save_file` or `save_model`, without settings in its metadata. The
metadata of expected.safetensors gives the flags that each file needs; its tensors are `x`, the inputs, and NAME.codes and
NAME.x_hat, what the module computes for them in evaluation mode. The tests do not run this script.
"""

import os

import torch
from safetensors.torch import save_file, save_model

from reference import sae, shake

D, K, N, ROWS = 6, 10, 8, 9
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "state_dicts")
x = torch.randn(ROWS, D, generator=torch.Generator().manual_seed(1))
expected, flags = {"x": x}, {}


class Wrapper(torch.nn.Module):
    def __init__(self, name, model):
        super().__init__()
        part, *rest = name.split(".")
        self.add_module(part, Wrapper(".".join(rest), model) if rest else model)


def clones(model):
    return {name: tensor.clone().contiguous() for name, tensor in model.state_dict().items()}


def write(name, model, how, dtype=None, save="file", prefix="", answer=True):
    if dtype:
        model = model.to(dtype)
    path = os.path.join(HERE, name + ".safetensors")
    saved = Wrapper(prefix, model) if prefix else model
    if save == "file":
        save_file(clones(saved), path)
    else:
        save_model(saved, path)
    flags[name] = how
    if not answer:
        return
    model = model.float()
    model.train()
    model.eval()
    with torch.no_grad():
        _, codes = model.encode(x)
        expected[name + ".codes"] = codes.clone()
        expected[name + ".x_hat"] = model.decode(codes).clone()


def plain(cls=sae.SAE, **how):
    torch.manual_seed(3)
    return shake(cls(D, K, **how))


def archetypal(cls=sae.RATopKSAE, **how):
    torch.manual_seed(4)
    return shake(cls(D, K, points=torch.randn(N, D), delta=0.5, **how))


PLAIN = "--dictionary-kind l2 "
RELU, TOPK, RA = PLAIN + "--sae relu", PLAIN + "--sae topk --top-k 3", "--sae topk --top-k 3 --delta 0.5"

write("sae", plain(), RELU)
write("sae-identity-multiplier", plain(dictionary_params={"normalization": "identity", "use_multiplier": True}),
      "--dictionary-kind identity --sae relu")
write("sae-ln", plain(encoder_module="mlp_ln_1"), RELU)
write("sae-bn", plain(encoder_module="mlp_bn_1"), RELU)
write("sae-mlp-ln-3", plain(encoder_module="mlp_ln_3"), RELU, answer=False)
write("topk", plain(sae.TopKSAE, top_k=3), TOPK)
write("jump", plain(sae.JumpSAE), PLAIN + "--sae jumprelu")
write("mp", plain(sae.MpSAE, k=3), PLAIN + "--sae mp --top-k 3")
write("omp", plain(sae.OMPSAE, k=3), PLAIN + "--sae omp --top-k 3", answer=False)
write("qsae", plain(sae.QSAE, q=4), RELU, answer=False)
batch = plain(sae.BatchTopKSAE, top_k=3 * ROWS)
batch.train()
batch.encode(x + 0.1)  # not of these inputs: no code is equal to the threshold
write("batchtopk", batch, PLAIN + "--sae batchtopk --top-k %d --running-threshold %.9g"
      % (3 * ROWS, batch.running_threshold))
write("ra-topk", archetypal(top_k=3), RA)
write("ra-jump", archetypal(sae.RAJumpSAE), "--sae jumprelu --delta 0.5")
for save in "file", "model":
    for bias in False, True:
        name = "-bias" if bias else ""
        write("tied%s-%s" % (name, save), shake(plain(sae.TopKSAE, top_k=3).tied(bias=bias)), TOPK, save=save)
    write("ra-tied-" + save, archetypal(top_k=3).tied(), RA, save=save)
write("untied", shake(plain(sae.TopKSAE, top_k=3).untied()), TOPK)
write("untied-bias", shake(plain(sae.TopKSAE, top_k=3).untied(bias=True)), TOPK)
for prefix in "_orig_mod", "module._orig_mod", "net", "module":
    write("prefix-" + prefix.replace(".", "-"), archetypal(top_k=3), RA, prefix=prefix)
write("prefix-sae-tied", plain(sae.TopKSAE, top_k=3).tied(bias=True), TOPK, prefix="sae", save="model")
for dtype in torch.float16, torch.bfloat16, torch.float64:
    write("ra-" + str(dtype)[6:], archetypal(top_k=3), RA, dtype=dtype)
    write("bn-" + str(dtype)[6:], plain(encoder_module="mlp_bn_1"), RELU, dtype=dtype)

save_file({name: tensor.contiguous() for name, tensor in expected.items()},
          os.path.join(HERE, "expected.safetensors"), flags)
