"""Writes tests/data/interop/{saelens,dictionary_learning,sparsify,gemma_scope,factors,openai,llama_scope}/: small autoencoders as these libraries save them.

    python3 tests/data/make_layouts.py        needs torch, numpy, safetensors, einops, sae-lens 6.54.12, dictionary-learning 0.1.0,
                                              eai-sparsify 1.3.3 and overcomplete 0.3.0

Each folder is what the library's own classes wrote. expected.safetensors in interop/ has `x`, the inputs, and FOLDER.codes and
FOLDER.x_hat, what those classes compute; the names of folders that begin with refused have none. OpenAI's sparse_autoencoder and Llama Scope's code
are in no package index: their state dicts are written here as these programs name them. The tests do not run this script.
"""

import json
import os

import numpy
import torch
from safetensors.torch import load_file, save_file

import libraries

D, K, ROWS = 6, 10, 9
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "interop")
x = torch.randn(ROWS, D, generator=torch.Generator().manual_seed(1))
expected = {"x": x}


def shake(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
            if name == "threshold":
                parameter.copy_(parameter.abs())
    return model


def answer(folder, codes, x_hat):
    expected[folder + ".codes"], expected[folder + ".x_hat"] = codes.detach().contiguous(), x_hat.detach().contiguous()


# ---- SAELens -------------------------------------------------------------------------------------------------------------

classes = libraries.saelens()


def saelens(folder, kind, seed, dtype="float32", **settings):
    cls, config = classes[kind]
    sae = shake(cls(config(d_in=D, d_sae=K, dtype=dtype, **settings)), seed)
    sae.cfg.metadata.model_name, sae.cfg.metadata.hook_name = "gpt2-small", "blocks.6.hook_resid_pre"
    sae.save_model(os.path.join(HERE, "saelens", folder))
    if not folder.startswith("refused"):
        codes = sae.encode(x.to(sae.W_enc.dtype))
        answer("saelens/" + folder, codes.float(), sae.decode(codes).float())


saelens("standard", "standard", 1)
saelens("standard-plain-input", "standard", 2, apply_b_dec_to_input=False)
saelens("topk", "topk", 3, k=3)
saelens("topk-rescaled", "topk", 4, k=3, rescale_acts_by_decoder_norm=True)
saelens("jumprelu", "jumprelu", 5)
saelens("jumprelu-plain-input", "jumprelu", 6, apply_b_dec_to_input=False)
saelens("gated", "gated", 7)
saelens("refused-layer-norm", "standard", 8, normalize_activations="layer_norm")
cls, config = classes["batchtopk"]
trained = shake(cls(config(d_in=D, d_sae=K, k=3)), 9)
trained.topk_threshold = torch.tensor(0.75, dtype=trained.topk_threshold.dtype)
trained.save_model(os.path.join(HERE, "saelens", "batchtopk"))
trained.save_inference_model(os.path.join(HERE, "saelens", "batchtopk-inference"))
folder = os.path.join(HERE, "saelens", "batchtopk-inference")
cls, config = classes["jumprelu"]
with open(os.path.join(folder, "cfg.json")) as file:
    loaded = cls(config.from_dict(json.load(file)))
loaded.load_state_dict(load_file(os.path.join(folder, "sae_weights.safetensors")))
cls, config = classes["matryoshka_batchtopk"]
trained = shake(cls(config(d_in=D, d_sae=K, k=3, matryoshka_widths=[4, K])), 10)
trained.topk_threshold = torch.tensor(0.5, dtype=trained.topk_threshold.dtype)
trained.save_model(os.path.join(HERE, "saelens", "matryoshka"))
trained.save_inference_model(os.path.join(HERE, "saelens", "matryoshka-inference"))
with open(os.path.join(HERE, "saelens", "matryoshka-inference", "cfg.json")) as file:
    nested = classes["jumprelu"][0](classes["jumprelu"][1].from_dict(json.load(file)))
nested.load_state_dict(load_file(os.path.join(HERE, "saelens", "matryoshka-inference", "sae_weights.safetensors")))
for name in "matryoshka", "matryoshka-inference":
    answer("saelens/" + name, nested.encode(x), nested.decode(nested.encode(x)))
for kind in "transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder":
    cls, config = classes[kind]
    shake(cls(config(d_in=D, d_out=D, d_sae=K, apply_b_dec_to_input=False)), 71).save_model(os.path.join(HERE, "saelens", "refused-" + kind.replace("_", "-")))
for kind, settings in {"matching_pursuit": {"residual_threshold": 0.5}, "abstopk": {"k": 3}}.items():
    saelens("refused-" + kind.replace("_", "-"), kind, 72, **settings)
for name in "batchtopk", "batchtopk-inference":
    answer("saelens/" + name, loaded.encode(x), loaded.decode(loaded.encode(x)))

# Gemma Scope's files are archives of NumPy with the same function: jumprelu, and nothing subtracted.
weights = load_file(os.path.join(HERE, "saelens", "jumprelu-plain-input", "sae_weights.safetensors"))
for name, save in ("plain", numpy.savez), ("packed", numpy.savez_compressed):
    folder = os.path.join(HERE, "gemma_scope", name)
    os.makedirs(folder, exist_ok=True)
    save(os.path.join(folder, "params.npz"), **{key: value.numpy() for key, value in weights.items()})
    for what in ".codes", ".x_hat":
        expected["gemma_scope/" + name + what] = expected["saelens/jumprelu-plain-input" + what].clone()

# ---- dictionary_learning ---------------------------------------------------------------------------------------------------

learning = libraries.dictionary_learning()


def dictionary_learning(folder, model, seed, threshold=None, **extra):
    shake(model, seed)
    if threshold is not None:
        model.threshold.fill_(threshold)
    path = os.path.join(HERE, "dictionary_learning", folder)
    os.makedirs(path, exist_ok=True)
    torch.save(model.state_dict(), os.path.join(path, "ae.pt"))
    trainer = {"dict_class": type(model).__name__, "activation_dim": D, "dict_size": K, "lm_name": "pythia-70m", "submodule_name": "resid_post_layer_3"}
    with open(os.path.join(path, "config.json"), "w") as file:
        json.dump({"trainer": {**trainer, **extra}, "buffer": {"d_submodule": D}}, file, indent=4)
    if not folder.startswith("refused"):
        codes = model.encode(x)
        answer("dictionary_learning/" + folder, codes, model.decode(codes))


dictionary_learning("standard", learning.AutoEncoder(D, K), 11)
dictionary_learning("new", learning.AutoEncoderNew(D, K), 12)
dictionary_learning("topk", learning.AutoEncoderTopK(D, K, 3), 13, k=3)
dictionary_learning("batchtopk", learning.BatchTopKSAE(D, K, 3), 14, threshold=0.75, k=3)
dictionary_learning("jumprelu", learning.JumpReluAutoEncoder(D, K), 15)
dictionary_learning("gated", learning.GatedAutoEncoder(D, K), 16)
dictionary_learning("matryoshka", learning.MatryoshkaBatchTopKSAE(D, K, 3, [4, 6]), 17, threshold=0.75, k=3)
path = os.path.join(HERE, "dictionary_learning", "refused-crosscoder")
os.makedirs(path, exist_ok=True)
torch.save({"encoder.weight": torch.randn(2, D, K), "encoder.bias": torch.zeros(K), "decoder.weight": torch.randn(2, K, D),
            "decoder.bias": torch.zeros(2, D)}, os.path.join(path, "ae.pt"))

# ---- sparsify --------------------------------------------------------------------------------------------------------------

coder, configs = libraries.sparsify()


def sparsify(folder, seed, **settings):
    model = shake(coder.SparseCoder(D, configs.SparseCoderConfig(num_latents=K, **settings)), seed)
    model.save_to_disk(os.path.join(HERE, "sparsify", folder))
    if not folder.startswith("refused"):
        values, indices, _ = model.encode(x)
        codes = torch.zeros(ROWS, K).scatter_(1, indices, values)
        answer("sparsify/" + folder, codes, codes @ model.W_dec + model.b_dec)


sparsify("topk", 21, k=3)
sparsify("refused-groupmax", 22, k=2, activation="groupmax")
sparsify("refused-transcoder", 23, k=3, transcode=True, skip_connection=True)

# ---- overcomplete's factorizations: a dictionary without an encoder ------------------------------------------------------------

import reference  # noqa: E402, F401  (finds overcomplete)
from overcomplete.optimization import NMF, ConvexNMF  # noqa: E402

for folder, cls, whole in ("nmf", NMF, True), ("convex-nmf", ConvexNMF, False):
    torch.manual_seed(51)
    model = cls(4)
    codes, _ = model.fit(x.abs(), max_iter=30)
    path = os.path.join(HERE, "factors", folder)
    os.makedirs(path, exist_ok=True)
    torch.save(model if whole else model.state_dict(), os.path.join(path, "model.pt"))
    expected["factors/" + folder + ".given"] = codes.detach().float().contiguous()
    expected["factors/" + folder + ".decoded"] = model.decode(codes.detach()).detach().float().contiguous()

# ---- OpenAI's sparse_autoencoder and Llama Scope -----------------------------------------------------------------------------

for folder, activation in ("relu", "ReLU"), ("refused-topk", "TopK"):
    generator = torch.Generator().manual_seed(41)
    E, b, W, pre = (0.5 * torch.randn(*shape, generator=generator) for shape in ((K, D), (K,), (D, K), (D,)))
    path = os.path.join(HERE, "openai", folder)
    os.makedirs(path, exist_ok=True)
    torch.save({"pre_bias": pre, "latent_bias": b, "stats_last_nonzero": torch.zeros(K, dtype=torch.long), "encoder.weight": E,
                "decoder.weight": W, "activation": activation}, os.path.join(path, "sae.pt"))
    codes = torch.relu((x - pre) @ E.T + b)
    if not folder.startswith("refused"):
        answer("openai/" + folder, codes, codes @ W.T + pre)

# Llama Scope's library, lm_saes (later llamascopium), is no package of an index either. The functions below are its from_pretrained()
# of 2024 and its encode() of 2025, in the order of its lines; they were compared with its own classes of December 2024, March 2025
# and May 2026 once, and gave the same numbers.

NORM, HOOK, ROOT = 3.0, "blocks.15.hook_resid_post", D**0.5


def parts(seed):
    generator = torch.Generator().manual_seed(seed)
    return [0.5 * torch.randn(*shape, generator=generator) for shape in ((K, D), (K,), (D, K), (D,), (K,))]


def write_openmoss(folder, config_name, config, weights_name, tensors):
    path = os.path.join(HERE, "llama_scope", folder)
    os.makedirs(os.path.dirname(os.path.join(path, weights_name)), exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, os.path.join(path, weights_name), {"version": "0.1.0"})
    with open(os.path.join(path, config_name), "w") as file:
        json.dump({"hook_point_in": HOOK, "hook_point_out": HOOK, "use_decoder_bias": True, "d_model": D, "use_glu_encoder": False, **config}, file)


def llama_scope(folder, seed, **config):
    """hyperparams.json, and the weights in checkpoints/: the first release."""
    E, b, W, c, _ = parts(seed)
    config = {"apply_decoder_bias_to_pre_encoder": False, "expansion_factor": 2, "d_sae": K, "act_fn": "jumprelu", "jump_relu_threshold": 0.4,
              "norm_activation": "dataset-wise", "dataset_average_activation_norm": {"in": NORM, "out": NORM},
              "sparsity_include_decoder_norm": True, "top_k": 3, **config}
    write_openmoss(folder, "hyperparams.json", config, "checkpoints/final.safetensors",
                   {"encoder.weight": E, "encoder.bias": b, "decoder.weight": W, "decoder.bias": c})
    if folder.startswith("refused"):
        return
    b, c = b / (ROOT / NORM), c / (ROOT / NORM)
    norms = W.norm(dim=0)
    W, E, b = W / norms, E * norms[:, None], b * norms
    pre = (x - c if config["apply_decoder_bias_to_pre_encoder"] else x) @ E.T + b
    codes = pre.where(pre > config["jump_relu_threshold"], 0)
    if config["act_fn"] == "topk":
        values, indices = pre.relu().topk(config["top_k"], dim=1)
        codes = torch.zeros_like(pre).scatter_(1, indices, values)
    answer("llama_scope/" + folder, codes, codes @ W.T + c)


def openmoss(folder, seed, names, **config):
    """config.json and sae_weights.safetensors: Llama-Scope-R1-Distill and later ones."""
    E, b, W, c, log_threshold = parts(seed)
    config = {"sae_type": "sae", "expansion_factor": 2, "act_fn": "jumprelu", "norm_activation": "dataset-wise",
              "sparsity_include_decoder_norm": True, "top_k": 50, "jumprelu_threshold_window": 2.0, **config}
    if config["act_fn"] == "topk":  # transform_to_unit_decoder_norm()
        norms = W.norm(dim=0)
        W, E, b = W / norms, E * norms[:, None], b * norms
    new = names == "W_E"
    tensors = {"W_E": E.T, "b_E": b, "W_D": W.T, "b_D": c} if new else {
        "encoder.weight": E, "encoder.bias": b, "decoder.weight": W, "decoder.bias": c}
    if config["act_fn"] == "jumprelu":
        tensors["activation_function." * new + "log_jumprelu_threshold"] = log_threshold
    wise = config["norm_activation"] == "dataset-wise"
    if wise:
        tensors["dataset_average_activation_norm." + HOOK] = torch.tensor(NORM)
    write_openmoss(folder, "config.json", config, "sae_weights.safetensors", tensors)
    if folder.startswith("refused"):
        return
    factor = ROOT / NORM if wise else 1
    pre = (x * factor) @ E.T + b
    scores = pre * W.norm(dim=0) if config["sparsity_include_decoder_norm"] else pre
    if config["act_fn"] == "topk":
        values, indices = scores.relu().topk(config["top_k"], dim=1)
        codes = torch.zeros_like(pre).scatter_(1, indices, values)
    else:
        codes = pre * (scores > (log_threshold.exp() if config["act_fn"] == "jumprelu" else 0))
    answer("llama_scope/" + folder, codes, (codes @ W.T + c) / factor)


llama_scope("jumprelu", 61)
llama_scope("topk-centered", 62, act_fn="topk", jump_relu_threshold=0.0, apply_decoder_bias_to_pre_encoder=True)
llama_scope("refused-token-wise", 63, norm_activation="token-wise")
llama_scope("refused-transcoder", 64, hook_point_out="blocks.15.hook_mlp_out")
openmoss("r1-distill", 65, "encoder.weight")
openmoss("r1-plain-scores", 66, "encoder.weight", sparsity_include_decoder_norm=False, norm_activation="inference")
openmoss("llamascopium", 67, "W_E")
openmoss("llamascopium-relu", 68, "W_E", act_fn="relu")
openmoss("llamascopium-topk", 69, "W_E", act_fn="topk", top_k=3)
openmoss("refused-crosscoder", 70, "W_E", sae_type="crosscoder")

save_file(expected, os.path.join(HERE, "expected.safetensors"))
