#!/usr/bin/env python3
"""Makes the goldens of tests/model/test_golden.c: what PyTorch says of some tiny models.

    python3 -m venv /tmp/torch && /tmp/torch/bin/pip install torch numpy
    /tmp/torch/bin/python tests/golden/make_goldens.py

writes NAME.safetensors beside this file for every case below. The committed files were made with
torch 2.15.0 on the CPU. Only this script needs Python; the tests read the files.

Weights, tokens and targets come from an integer generator, so nothing depends on PyTorch's. They
are exact in float32. Each reference is computed in float64 and stored as two float32 tensors, "X"
and "X.rest", whose sum has 48 bits. "X.float32" is how far the same program in float32 comes out
at most, rounded up to a power of two: what rounding costs somebody else, for the tests' tolerance.

    initial.P, gradient.P, trained.P   of the parameter P: at first, of batch 0, after all steps
    inputs, targets                    [batches * batch * context]; target = vocabulary: none
    first_visible                      [batch * context]: earlier positions are hidden
    log_p                              [batch * context, vocabulary] of batch 0
    loss, norm                         [batches]: mean over targets; of the gradient, unclipped
"""
import json
import math
import os
import struct

import torch
import torch.nn.functional as F

FOLDER = os.path.dirname(os.path.abspath(__file__))
STEPS = 10

GPT2 = {"vocab": 29, "context": 12, "batch": 3, "layers": 2, "heads": 2, "kv_heads": 2,
        "width": 16, "d_head": 8, "ff": 64, "bias": True, "rms": False, "rope": 0,
        "qk_norm": False, "activation": "gelu", "tied": True, "cap": 0, "band": 0, "eps": 1e-5,
        "documents": False, "optimizer": "adamw", "steps": STEPS, "ngram": 0, "ngram_rows": 200}
MODERN = {**GPT2, "heads": 4, "d_head": 4, "ff": 24, "bias": False, "rms": True, "rope": 10000,
          "qk_norm": True, "kv_heads": 2, "activation": "swiglu", "tied": False, "cap": 5,
          "band": 4}
SMALL = {**GPT2, "width": 10, "heads": 2, "d_head": 5, "ff": 20, "vocab": 13, "steps": 0}
# The same cases, in C, are in tests/model/test_golden.c.
CASES = {
    "gpt2": GPT2,
    "modern": MODERN,
    "modern_relu2": {**MODERN, "activation": "relu2", "kv_heads": 4},
    "muon": {**MODERN, "optimizer": "muon"},
    "attention_band": {**SMALL, "band": 3},
    "attention_one_kv_head": {**SMALL, "heads": 3, "kv_heads": 1, "d_head": 6, "rope": 100,
                              "activation": "silu"},
    "attention_documents": {**SMALL, "documents": True, "heads": 4, "kv_heads": 2},
    "attention_all": {**SMALL, "documents": True, "band": 5, "heads": 6, "kv_heads": 2,
                      "d_head": 4, "rope": 10000, "qk_norm": True},
    "attention_tiles": {**SMALL, "documents": True, "band": 70, "context": 140, "batch": 1,
                        "kv_heads": 1, "vocab": 7},
    "ngrams": {**SMALL, "documents": True, "ngram": 3},
}


class Generator:
    """Knuth's 64-bit linear congruential generator; the upper 24 bits are used."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return self.state >> 40

    def below(self, bound):
        return self.next() * bound >> 24

    def uniform(self, shape, half_width, middle=0.0):
        """Multiples of 2^-24 of a power of two around a short number: exact in float32."""
        values = [middle + half_width * (self.next() / 2**23 - 1) for _ in range(math.prod(shape))]
        return torch.tensor(values, dtype=torch.float32).reshape(shape)


# ---- the model, written from the papers with PyTorch's own functions ----

def make_parameters(c, random):
    """By GPT-2's published names; linear weights are [out, in]."""
    p = {}

    def linear(name, rows, cols):
        p[name + ".weight"] = random.uniform((rows, cols), 0.5)
        if c["bias"]:
            p[name + ".bias"] = random.uniform((rows,), 0.25)

    def norm(name):
        p[name + ".weight"] = random.uniform((c["width"],), 0.5, 1.0)
        if c["bias"] and not c["rms"]:
            p[name + ".bias"] = random.uniform((c["width"],), 0.25)

    p["wte.weight"] = random.uniform((c["vocab"], c["width"]), 0.5)
    for n in range(2, c["ngram"] + 1):
        rows = min((c["vocab"] + 1)**n, c["ngram_rows"])
        p[f"ngram.{n}.weight"] = random.uniform((rows, c["width"]), 0.5)
    if not c["rope"]:
        p["wpe.weight"] = random.uniform((c["context"], c["width"]), 0.5)
    for i in range(c["layers"]):
        norm(f"h.{i}.ln_1")
        linear(f"h.{i}.attn.c_attn", (c["heads"] + 2 * c["kv_heads"]) * c["d_head"], c["width"])
        linear(f"h.{i}.attn.c_proj", c["width"], c["heads"] * c["d_head"])
        norm(f"h.{i}.ln_2")
        up = 2 * c["ff"] if c["activation"] == "swiglu" else c["ff"]
        linear(f"h.{i}.mlp.c_fc", up, c["width"])
        linear(f"h.{i}.mlp.c_proj", c["width"], c["ff"])
    norm("ln_f")
    if not c["tied"]:
        p["lm_head.weight"] = random.uniform((c["vocab"], c["width"]), 0.5)
    return p


def norm(c, p, x, name):
    if c["rms"]:
        return F.rms_norm(x, (c["width"],), p[name + ".weight"], c["eps"])
    return F.layer_norm(x, (c["width"],), p[name + ".weight"], p.get(name + ".bias"), c["eps"])


def linear(p, x, name):
    return F.linear(x, p[name + ".weight"], p.get(name + ".bias"))


def rotate(c, x):
    """Su et al. 2021, element i paired with i + d/2. x: [batch, heads, context, d_head]."""
    half = c["d_head"] // 2
    frequency = c["rope"] ** (-2 * torch.arange(half, dtype=torch.float64) / c["d_head"])
    angle = torch.arange(c["context"], dtype=torch.float64)[:, None] * frequency
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def attention(c, p, x, layer, first_visible):
    batch, context, _ = x.shape
    sizes = [n * c["d_head"] for n in (c["heads"], c["kv_heads"], c["kv_heads"])]
    q, k, v = (t.reshape(batch, context, -1, c["d_head"]).transpose(1, 2)
               for t in linear(p, x, f"h.{layer}.attn.c_attn").split(sizes, -1))
    if c["qk_norm"]:
        q, k = (F.rms_norm(t, (c["d_head"],), eps=c["eps"]) for t in (q, k))
    if c["rope"]:
        q, k = rotate(c, q), rotate(c, k)
    query, key = torch.arange(context)[:, None], torch.arange(context)
    visible = (key <= query) & (key >= first_visible.reshape(batch, 1, context, 1))
    if c["band"] and layer % 2 == 1:
        visible = visible & (query - key < c["band"])
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=visible, enable_gqa=True)
    return linear(p, y.transpose(1, 2).reshape(batch, context, -1), f"h.{layer}.attn.c_proj")


def activate(c, x):
    if c["activation"] == "gelu":
        return F.gelu(x, approximate="tanh")
    if c["activation"] == "silu":
        return F.silu(x)
    if c["activation"] == "relu2":
        return F.relu(x).square()
    gate, up = x.chunk(2, -1)
    return F.silu(gate) * up


def ngram_rows(c, n, inputs, first_visible):
    """A row each while they fit, else shared by a hash of 64 bits; what is not seen counts as one
    further token."""
    all_of = (c["vocab"] + 1)**n
    exact = all_of <= c["ngram_rows"]
    base = c["vocab"] + 1 if exact else 0x9E3779B97F4A7C15
    rows = []
    for tokens, first in zip(inputs.tolist(), first_visible.tolist()):
        for i, begin in enumerate(first):
            value = 0
            for at in range(i - n + 1, i + 1):
                value = (value * base + (tokens[at] if at >= begin else c["vocab"])) % 2**64
            if not exact:
                value = (value ^ value >> 32) * base % 2**64
                value = (value >> 32) * c["ngram_rows"] >> 32
            rows.append(value)
    return torch.tensor(rows).reshape(inputs.shape)


def logits_of(c, p, inputs, first_visible):
    """[batch, context, vocabulary], after the soft cap."""
    x = F.embedding(inputs, p["wte.weight"])
    for n in range(2, c["ngram"] + 1):
        x = x + F.embedding(ngram_rows(c, n, inputs, first_visible), p[f"ngram.{n}.weight"])
    if not c["rope"]:
        x = x + p["wpe.weight"]
    for i in range(c["layers"]):
        x = x + attention(c, p, norm(c, p, x, f"h.{i}.ln_1"), i, first_visible)
        hidden = activate(c, linear(p, norm(c, p, x, f"h.{i}.ln_2"), f"h.{i}.mlp.c_fc"))
        x = x + linear(p, hidden, f"h.{i}.mlp.c_proj")
    x = norm(c, p, x, "ln_f")
    logits = F.linear(x, p["wte.weight" if c["tied"] else "lm_head.weight"])
    return c["cap"] * torch.tanh(logits / c["cap"]) if c["cap"] else logits


# ---- optimizers ----

def orthogonalize(g):
    """zeropower_via_newtonschulz5 of Keller Jordan's Muon, in the type of g (his is bfloat16)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.T if g.size(0) > g.size(1) else g
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if g.size(0) > g.size(1) else x


class Muon:
    """Keller Jordan's Muon: Nesterov momentum by lerp, update scaled by sqrt(max(1, out/in))."""

    def __init__(self, parameters, lr, momentum, weight_decay):
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.buffers = [(p, torch.zeros_like(p)) for p in parameters]

    @torch.no_grad()
    def step(self):
        for p, buffer in self.buffers:
            buffer.lerp_(p.grad, 1 - self.momentum)
            update = orthogonalize(p.grad.lerp(buffer, self.momentum))
            p.mul_(1 - self.lr * self.weight_decay)
            p.add_(update, alpha=-self.lr * max(1, p.size(0) / p.size(1)) ** 0.5)


def optimizers(c, p):
    """Weight decay on matrices and tables. AdamW's eps is large so that it matters and so that
    gradients that are zero but for rounding (of key biases) do not make steps."""
    muon = [n for n in p if c["optimizer"] == "muon" and n.startswith("h.") and p[n].dim() == 2]
    rest = [n for n in p if n not in muon]
    groups = [{"params": [p[n] for n in rest if p[n].dim() == 2], "weight_decay": 0.1},
              {"params": [p[n] for n in rest if p[n].dim() == 1], "weight_decay": 0.0}]
    result = [torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.95), eps=1e-4, foreach=False)]
    if muon:
        result.append(Muon([p[n] for n in muon], 0.02, 0.95, 0.1))
    return result


# ---- a case ----

def make_batches(c, random):
    count = max(1, c["steps"]) * c["batch"] * c["context"]
    rows = c["batch"] * c["context"]
    inputs = [random.below(c["vocab"]) for _ in range(count)]
    # One target in eight is missing.
    targets = [c["vocab"] if random.below(8) == 0 else random.below(c["vocab"])
               for _ in range(count)]
    first_visible = [0] * rows
    for row in range(rows):
        if c["documents"] and row % c["context"]:
            begins = random.below(5 if c["context"] < 64 else 50) == 0
            first_visible[row] = row % c["context"] if begins else first_visible[row - 1]
    shape = (-1, c["batch"], c["context"])
    return (torch.tensor(inputs).reshape(shape), torch.tensor(targets).reshape(shape),
            torch.tensor(first_visible).reshape(shape[1:]))


def run(c, initial, batches, dtype):
    """All that is compared, by name."""
    inputs, targets, first_visible = batches
    p = {n: t.to(dtype).clone().requires_grad_() for n, t in initial.items()}
    steppers = optimizers(c, p)
    out, losses, norms = {}, [], []
    for step in range(len(inputs)):
        for t in p.values():
            t.grad = None
        logits = logits_of(c, p, inputs[step], first_visible).flatten(0, 1)
        loss = F.cross_entropy(logits, targets[step].flatten(), ignore_index=c["vocab"])
        loss.backward()
        if step == 0:
            out["log_p"] = logits.log_softmax(-1).detach()
            out.update({f"gradient.{n}": t.grad.clone() for n, t in p.items()})
        losses.append(loss.detach())
        norms.append(torch.nn.utils.clip_grad_norm_(p.values(), 1.0, foreach=False).detach())
        for stepper in steppers if c["steps"] else []:
            stepper.step()
    out.update(loss=torch.stack(losses), norm=torch.stack(norms))
    if c["steps"]:
        out.update({f"trained.{n}": t.detach() for n, t in p.items()})
    return out


def write_safetensors(path, tensors):
    """As Beaver writes them: float32, sorted by name, no metadata, header padded to 8 bytes."""
    header, data = {}, b""
    for name in sorted(tensors):
        values = tensors[name].to(torch.float32).contiguous()
        part = values.numpy().astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(values.shape),
                        "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def make(name, c, seed):
    random = Generator(seed)
    initial = make_parameters(c, random)
    batches = make_batches(c, random)
    exact = run(c, initial, batches, torch.float64)
    narrow = run(c, initial, batches, torch.float32)
    tensors = {f"initial.{n}": t for n, t in initial.items()}
    tensors.update(zip(("inputs", "targets", "first_visible"), (t.flatten() for t in batches)))
    for key, value in exact.items():
        error = float((narrow[key].double() - value).abs().max())
        tensors[key] = value.float()
        tensors[key + ".rest"] = value - value.float().double()
        tensors[key + ".float32"] = torch.tensor(
            [2.0 ** math.ceil(math.log2(error)) if error else 0.0])
    path = os.path.join(FOLDER, name + ".safetensors")
    write_safetensors(path, tensors)
    print(f"{name}: loss {float(exact['loss'][0]):.6f} .. {float(exact['loss'][-1]):.6f}, "
          f"norm {float(exact['norm'][0]):.4f} .. {float(exact['norm'][-1]):.4f}, "
          f"{os.path.getsize(path)} bytes")


def main():
    torch.set_num_threads(1)
    print("torch", torch.__version__)
    for number, (name, c) in enumerate(CASES.items()):
        make(name, c, number + 1)


if __name__ == "__main__":
    main()
