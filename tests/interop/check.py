"""make check-interop: the programs whose files we read and write, against ours, in an environment of its own (torch, SAELens, overcomplete,
dictionary_learning, sparsify; the Makefile has the versions).

    in     each architecture that a library has is made with random weights, saved by the library itself, opened by `rasae`: codes and
           reconstructions of random inputs, theirs against ours
    out    models of ours, and those of each library, exported: the library's own class loads the folder and computes the same
    numpy, safetensors, torch
           what they save as activations, `rasae train` reads, and what we write they read

A difference above 1e-5, relative to the norm, is a failure. It prints one line per case, and how many there were at the end. make check
has the same files in tests/data/interop, without the libraries."""

import json
import os
import subprocess
import sys
import tempfile

sys.path[:0] = [os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data")]

import numpy  # noqa: E402
import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

import libraries  # noqa: E402
from reference import sae as overcomplete, shake  # noqa: E402
from overcomplete.sae.archetypal_dictionary import RelaxedArchetypalDictionary  # noqa: E402

BUILD = os.environ.get("RASAE_BUILD", "build")
RASAE = os.path.join(BUILD, "rasae")
TOLERANCE = 1e-5
D, K, N, ROWS = 24, 60, 40, 200
FOLDER = tempfile.mkdtemp(prefix="rasae-interop-")
torch.set_grad_enabled(False)
x = torch.randn(ROWS, D, generator=torch.Generator().manual_seed(1))
counts = {"good": 0, "bad": 0}


def path_of(*parts):
    path = os.path.join(FOLDER, *parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path


def rasae(*words):
    done = subprocess.run([RASAE, *map(str, words)], capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return done.stdout


def ours(model, *flags):
    numpy.save(path_of("x.npy"), x.numpy())
    rasae("encode", model, path_of("x.npy"), "-o", path_of("z.npy"), *flags)
    rasae("reconstruct", model, path_of("z.npy"), "-o", path_of("x_hat.npy"), *flags)
    return torch.from_numpy(numpy.load(path_of("z.npy"))), torch.from_numpy(numpy.load(path_of("x_hat.npy")))


def gap(a, b):
    return float((a - b).norm() / (b.norm() + 1e-30))


def report(name, good, text):
    counts["good" if good else "bad"] += 1
    print("%-6s %-62s %s" % ("ok" if good else "FAILED", name, text), flush=True)


def compare(name, model, theirs, *flags):
    """theirs: (codes, x_hat)."""
    try:
        codes, x_hat = ours(model, *flags)
        worst = max(gap(codes, theirs[0].float()), gap(x_hat, theirs[1].float()))
        active = int((theirs[0] != 0).sum())
        report(name, worst <= TOLERANCE and active > 0, "%.1e, %d active codes" % (worst, active))
    except (RuntimeError, OSError) as error:
        report(name, False, str(error))


def refused(name, model, word, *flags):
    try:
        rasae("import", model, "-o", path_of("refused.safetensors"), *flags)
        report(name, False, "was not refused")
    except RuntimeError as error:
        report(name, word in str(error), "refused: " + str(error).split(": ", 2)[-1][:90])


# ---- out: what each library makes of our folders ---------------------------------------------------------------------------

saelens_classes = libraries.saelens()


def with_saelens(folder):
    with open(os.path.join(folder, "cfg.json")) as file:
        config = json.load(file)
    cls, settings = saelens_classes[config["architecture"]]
    model = cls(settings.from_dict(config))
    model.load_state_dict(load_file(os.path.join(folder, "sae_weights.safetensors")), strict=True)
    codes = model.encode(x)
    return codes.to_dense() if codes.is_sparse else codes, model.decode(codes)


def with_overcomplete(folder):
    """Runs the script in the folder."""
    space = {"__file__": os.path.join(folder, "load.py"), "__name__": "load"}
    with open(space["__file__"]) as file:
        exec(compile(file.read(), space["__file__"], "exec"), space)
    model = space["load"](folder)
    _, codes = model.encode(x)
    return codes, model.decode(codes)


def with_numpy(folder):
    """What a notebook would write; the activation is jumprelu, relu or topk."""
    arrays = {name: torch.from_numpy(array) for name, array in numpy.load(os.path.join(folder, "params.npz")).items()}
    with open(os.path.join(folder, "cfg.json")) as file:
        config = json.load(file)
    seen = x - arrays["b_dec"] if config["apply_b_dec_to_input"] else x
    pre = seen @ arrays["W_enc"] + arrays["b_enc"]
    if "norm_weight" in arrays:
        pre = torch.nn.functional.layer_norm(pre, pre.shape[1:], arrays["norm_weight"], arrays["norm_bias"])
    codes = pre.relu()
    if config["architecture"] == "topk":
        values, indices = codes.topk(config["k"], dim=1)
        codes = torch.zeros_like(codes).scatter_(1, indices, values)
    if "threshold" in arrays:
        codes = codes * (pre > arrays["threshold"])
    return codes, codes @ arrays["W_dec"] + arrays["b_dec"]


READERS = {"saelens": with_saelens, "overcomplete": with_overcomplete, "npz": with_numpy}


def out(name, model, kinds, *flags):
    for kind in kinds:
        folder = path_of("out", name.replace("/", "-"), kind)
        try:
            rasae("export", model, "--to", kind, "-o", folder, *flags)
            theirs = READERS[kind](folder)
            mine = ours(model, *flags)
            worst = max(gap(theirs[0], mine[0]), gap(theirs[1], mine[1]))
            report("out %s: %s" % (kind, name), worst <= TOLERANCE and bool((theirs[0] != 0).any()), "%.1e" % worst)
            compare("back from %s: %s" % (kind, name), folder, theirs)
        except (RuntimeError, OSError, KeyError) as error:
            report("out %s: %s" % (kind, name), False, str(error))


# ---- overcomplete ----------------------------------------------------------------------------------------------------------

MODULES = ("linear", "mlp_ln_1", "mlp_bn_1", "mlp_ln_3", "mlp_bn_3")


def computed(model):
    model.eval()
    _, codes = model.encode(x)
    return codes, model.decode(codes)


def overcomplete_models():
    torch.manual_seed(2)
    points = torch.randn(N, D)
    for module in MODULES:
        yield "SAE " + module, shake(overcomplete.SAE(D, K, encoder_module=module))
        yield "TopKSAE " + module, shake(overcomplete.TopKSAE(D, K, top_k=7, encoder_module=module))
        yield "JumpSAE " + module, shake(overcomplete.JumpSAE(D, K, encoder_module=module))
        batch = shake(overcomplete.BatchTopKSAE(D, K, top_k=7 * ROWS, encoder_module=module))
        batch.train()
        batch.encode(x + 0.1)
        yield "BatchTopKSAE " + module, batch
        yield "RATopKSAE " + module, shake(overcomplete.RATopKSAE(D, K, points=points, delta=0.5, top_k=7, encoder_module=module))
        yield "RAJumpSAE " + module, shake(overcomplete.RAJumpSAE(D, K, points=points, delta=0.5, encoder_module=module))
    for norm in "Identity", "LayerNorm", "BatchNorm1d", "RMSNorm":
        for blocks, activation in (1, "ReLU"), (3, "GELU"), (4, "SiLU"), (2, "Tanh"), (2, "ELU"), (2, "Sigmoid"), (2, "LeakyReLU"):
            for residual in (False, True)[:blocks]:
                encoder = overcomplete.modules.MLPEncoder(D, K, hidden_dim=D + 8 * (blocks == 4), nb_blocks=blocks, residual=residual,
                                                          hidden_activation=getattr(torch.nn, activation), norm_layer=getattr(torch.nn, norm))
                yield ("TopKSAE MLPEncoder(%s, %d, %s%s)" % (norm, blocks, activation, ", residual" * residual),
                       shake(overcomplete.TopKSAE(D, K, top_k=7, encoder_module=encoder)))
    public = overcomplete.BatchTopKSAE(D, K, top_k=7 * ROWS, encoder_module="mlp_ln_1")
    public.dictionary = RelaxedArchetypalDictionary(D, K, points, delta=0.5)
    shake(public).train()
    public.encode(x + 0.1)
    yield "DataParallel(BatchTopKSAE mlp_ln_1, archetypal)", torch.nn.DataParallel(public)
    yield "MpSAE", shake(overcomplete.MpSAE(D, K, k=5))
    for normalization in "l2", "max_l2", "l1", "max_l1", "identity":
        yield "SAE " + normalization, shake(overcomplete.SAE(D, K, dictionary_params={"normalization": normalization}))
    yield "TopKSAE tied", shake(overcomplete.TopKSAE(D, K, top_k=7).tied(bias=True))
    yield "TopKSAE untied", shake(overcomplete.TopKSAE(D, K, top_k=7).untied())


def check_overcomplete():
    for name, model in overcomplete_models():
        file = path_of("overcomplete", name.replace(" ", "-") + ".pt")
        torch.save(model, file)
        compare("in overcomplete: " + name, file, computed(getattr(model, "module", model)))
        if "mlp_ln_3" in name or "mlp_bn_3" in name or "MLPEncoder" in name:
            continue  # only served
        kinds = ["overcomplete"] if name == "MpSAE" else ["overcomplete", "npz"] if "mlp_ln_1" in name else ["overcomplete", "saelens", "npz"]
        out("overcomplete " + name, file, kinds)
    for name, model, word in [("QSAE", overcomplete.QSAE(D, K, q=4), "QSAE"), ("OMPSAE", overcomplete.OMPSAE(D, K, k=3), "OMP"),
                              ("SAE resnet_1b", overcomplete.SAE((D, 4, 4), K, encoder_module="resnet_1b"), "resnet"),
                              ("SAE attention_1b", overcomplete.SAE((4, D), K, encoder_module="attention_1b"), "attention")]:
        file = path_of("overcomplete", name.replace(" ", "-") + ".pt")
        torch.save(model, file)
        refused("overcomplete: " + name, file, word)


def check_factors():
    """Dictionaries without an encoder: ours reconstructs from their codes."""
    import importlib

    found = importlib.import_module("overcomplete.optimization")
    for name in "NMF", "SemiNMF", "ConvexNMF":
        model = getattr(found, name)(8)
        with torch.enable_grad():
            codes, _ = model.fit(x.abs(), max_iter=20)
        for kind, saved in ("module", model), ("state dict", model.state_dict()):
            file = path_of("factors", name + kind[0] + ".pt")
            torch.save(saved, file)
            numpy.save(path_of("z.npy"), codes.detach().float().numpy())
            try:
                rasae("reconstruct", file, path_of("z.npy"), "-o", path_of("x_hat.npy"))
                worst = gap(torch.from_numpy(numpy.load(path_of("x_hat.npy"))), model.decode(codes.detach()).detach())
                report("in overcomplete.optimization: %s, %s" % (name, kind), worst <= TOLERANCE, "%.1e, without an encoder" % worst)
            except RuntimeError as error:
                report("in overcomplete.optimization: %s, %s" % (name, kind), False, str(error))


# ---- SAELens ---------------------------------------------------------------------------------------------------------------


def random_weights(model, seed):
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
        if name == "threshold":
            parameter.copy_(parameter.abs())
    return model


def check_saelens():
    for seed, (kind, settings) in enumerate([("standard", {}), ("standard", {"apply_b_dec_to_input": False}), ("topk", {"k": 7}),
                                             ("topk", {"k": 7, "rescale_acts_by_decoder_norm": True}), ("jumprelu", {}),
                                             ("jumprelu", {"apply_b_dec_to_input": False}), ("gated", {}),
                                             ("standard", {"dtype": "bfloat16"})]):
        cls, config = saelens_classes[kind]
        model = random_weights(cls(config(d_in=D, d_sae=K, **settings)), seed)
        folder = path_of("saelens", "%d" % seed)
        model.save_model(folder)
        wide = model.to(torch.float32)
        wide.dtype = torch.float32
        codes = wide.encode(x)
        name = "SAELens %s %s" % (kind, settings or "")
        compare("in " + name, folder, (codes, wide.decode(codes)))
        out(name, folder, ["saelens", "npz"])
    for kind in "batchtopk", "matryoshka_batchtopk":
        cls, config = saelens_classes[kind]
        more = {"matryoshka_widths": [20, K]} if "matryoshka" in kind else {}
        model = random_weights(cls(config(d_in=D, d_sae=K, k=7, **more)), 12)
        model.topk_threshold = torch.tensor(0.75, dtype=model.topk_threshold.dtype)
        trained, folder = path_of("saelens", kind + "-trained"), path_of("saelens", kind)
        model.save_model(trained)
        model.save_inference_model(folder)
        for name, saved in (kind, folder), (kind + " as it is trained", trained):
            compare("in SAELens " + name, saved, with_saelens(folder))
            out("SAELens " + name, saved, ["saelens", "npz"])
    for kind, settings, word in [("transcoder", {"d_out": D, "apply_b_dec_to_input": False}, "transcoder"),
                                 ("skip_transcoder", {"d_out": D, "apply_b_dec_to_input": False}, "W_skip"),
                                 ("jumprelu_transcoder", {"d_out": D, "apply_b_dec_to_input": False}, "jumprelu_transcoder"),
                                 ("matching_pursuit", {"residual_threshold": 0.5}, "matching_pursuit"), ("abstopk", {"k": 7}, "abstopk")]:
        cls, config = saelens_classes[kind]
        random_weights(cls(config(d_in=D, d_sae=K, **settings)), 13).save_model(path_of("saelens", kind))
        refused("SAELens " + kind, path_of("saelens", kind), word)
    cls, config = saelens_classes["standard"]
    for normalization in "layer_norm", "expected_average_only_in":
        folder = path_of("saelens", normalization)
        random_weights(cls(config(d_in=D, d_sae=K, normalize_activations=normalization)), 9).save_model(folder)
        refused("SAELens " + normalization, folder, normalization)


# ---- dictionary_learning and sparsify --------------------------------------------------------------------------------------


def check_dictionary_learning():
    learning = libraries.dictionary_learning()
    models = [learning.AutoEncoder(D, K), learning.AutoEncoderNew(D, K), learning.AutoEncoderTopK(D, K, 7), learning.BatchTopKSAE(D, K, 7),
              learning.JumpReluAutoEncoder(D, K), learning.GatedAutoEncoder(D, K)]
    if hasattr(learning, "MatryoshkaBatchTopKSAE"):
        models.append(learning.MatryoshkaBatchTopKSAE(D, K, 7, [20, 40]))
    for seed, model in enumerate(models):
        name = type(model).__name__
        random_weights(model, 20 + seed)
        if "Batch" in name:
            model.threshold.fill_(0.75)
        folder = path_of("dictionary_learning", name)
        os.makedirs(folder)
        torch.save(model.state_dict(), os.path.join(folder, "ae.pt"))
        with open(os.path.join(folder, "config.json"), "w") as file:
            json.dump({"trainer": {"dict_class": name, "activation_dim": D, "dict_size": K, "k": 7}, "buffer": {"d_submodule": D}}, file)
        codes = model.encode(x)
        compare("in dictionary_learning: " + name, folder, (codes, model.decode(codes)))
        out("dictionary_learning " + name, folder, ["saelens", "npz"])


def check_sparsify():
    coder, configs = libraries.sparsify()
    model = random_weights(coder.SparseCoder(D, configs.SparseCoderConfig(num_latents=K, k=7)), 30)
    folder = path_of("sparsify", "topk")
    model.save_to_disk(folder)
    values, indices, _ = model.encode(x)
    codes = torch.zeros(ROWS, K).scatter_(1, indices, values)
    compare("in sparsify: topk", folder, (codes, codes @ model.W_dec + model.b_dec))
    out("sparsify topk", folder, ["saelens", "npz"])
    folder = path_of("sparsify", "transcoder")
    random_weights(coder.SparseCoder(D, configs.SparseCoderConfig(num_latents=K, k=7, transcode=True, skip_connection=True)), 31).save_to_disk(folder)
    refused("sparsify: transcoder", folder, "transcoder")


# ---- ours, and activations -------------------------------------------------------------------------------------------------


def check_ours():
    numpy.save(path_of("acts.npy"), (x * 3 + 1).numpy())
    for name, flags in [("topk", []), ("batchtopk", ["--sae", "batchtopk"]), ("jumprelu", ["--sae", "jumprelu"]),
                        ("mlp_bn_1", ["--encoder", "mlp_bn_1"]), ("mlp_ln_1", ["--encoder", "mlp_ln_1"]), ("dense", ["--mixture", "dense"])]:
        file = path_of("ours", name + ".safetensors")
        how = [] if "jumprelu" in flags else ["--top-k", 7]
        rasae("train", path_of("acts.npy"), "--concepts", K, "--steps", 60, "--points", N, *how, *flags, "-o", file)
        out("ours " + name, file, ["overcomplete", "npz"] if name == "mlp_ln_1" else ["overcomplete", "saelens", "npz"])
    file = path_of("ours", "standardized.safetensors")
    rasae("train", path_of("acts.npy"), "--concepts", K, "--steps", 60, "--top-k", 7, "--points", N, "--standardize", "element", "-o", file)
    out("ours standardized", file, ["saelens", "npz"])


def check_activations():
    files = {"npy": path_of("a", "acts.npy"), "npz": path_of("a", "acts.npz"), "safetensors": path_of("a", "acts.safetensors"),
             "torch": path_of("a", "acts.pt"), "torch, legacy": path_of("a", "legacy.pt"), "torch, bfloat16": path_of("a", "half.pt")}
    numpy.save(files["npy"], x.numpy())
    numpy.savez(files["npz"], acts=x.numpy())
    save_file({"acts": x}, files["safetensors"])
    torch.save(x, files["torch"])
    torch.save(x, files["torch, legacy"], _use_new_zipfile_serialization=False)
    torch.save(x.bfloat16(), files["torch, bfloat16"])
    models = {}
    for name, file in files.items():
        try:
            model = path_of("a", "model.safetensors")
            rasae("train", file, "--concepts", 8, "--top-k", 2, "--steps", 3, "--points", 16, "--no-state", "-o", model)
            models[name] = load_file(model)["dictionary.C"]
            report("in activations: " + name, "bfloat16" in name or torch.equal(models[name], models["npy"]), "read")
        except (RuntimeError, KeyError) as error:
            report("in activations: " + name, False, str(error))


if __name__ == "__main__":
    print("torch %s, numpy %s, %d threads, inputs [%d, %d], %d latents" % (torch.__version__, numpy.__version__, torch.get_num_threads(), ROWS, D, K))
    import public

    public.check(path_of("public", "of"), BUILD, gap, report)
    for check in check_overcomplete, check_factors, check_saelens, check_dictionary_learning, check_sparsify, check_ours, check_activations:
        check()
    print("%d passed, %d failed" % (counts["good"], counts["bad"]))
    import shutil

    shutil.rmtree(FOLDER)
    sys.exit(counts["bad"] > 0)
