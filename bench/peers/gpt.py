#!/usr/bin/env python3
"""Training steps of a GPT in PyTorch: the peer of `beaver bench train`.

    gpt.py --layers 4 --heads 4 --width 128 --context 64 --batch 12 --vocab 65 --steps 20

The model is GPT-2's: norms before attention and MLP, tanh GELU, the embedding as head. A step is a
forward pass, the gradient, clipping to norm 1 and AdamW, each by PyTorch's fastest way on a CPU
(its fused attention and fused AdamW; --compile for torch.compile; --dtype bf16 for autocast).
Tokens are random, drawn outside the time that counts. Prints one JSON object a line.

With --serve each line of standard input is a number of steps, answered by one line: so runs can
take turns with another program's, and compiling happens once.
"""
import argparse
import json
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, width, heads, bias):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, bias=bias)
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)
        self.norm2 = nn.LayerNorm(width, bias=bias)
        self.up = nn.Linear(width, 4 * width, bias=bias)
        self.down = nn.Linear(4 * width, width, bias=bias)

    def forward(self, x):
        b, t, w = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, w // self.heads).unbind(2)
        y = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2),
                                           v.transpose(1, 2), is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, w))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class GPT(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.tokens = nn.Embedding(o.vocab, o.width)
        self.positions = nn.Embedding(o.context, o.width)
        self.blocks = nn.ModuleList(Block(o.width, o.heads, o.bias) for _ in range(o.layers))
        self.norm = nn.LayerNorm(o.width, bias=o.bias)
        for p in self.parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02)

    def forward(self, inputs, targets):
        x = self.tokens(inputs) + self.positions.weight[:inputs.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.norm(x), self.tokens.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


class Trainer:
    def __init__(self, o):
        self.o = o
        self.memory_before = peak_memory()
        model = GPT(o)
        self.parameters = list(model.parameters())
        self.count = sum(p.numel() for p in self.parameters)
        matrices = [p for p in self.parameters if p.dim() == 2]
        others = [p for p in self.parameters if p.dim() != 2]
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0}],
            lr=1e-4, betas=(0.9, 0.95), fused=True)
        self.loss = torch.compile(model) if o.compile else model

    def step(self):
        """Seconds of one step."""
        o = self.o
        tokens = torch.randint(o.vocab, (o.batch, o.context + 1))
        inputs, targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
        begin = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=o.dtype == "bf16"):
            loss = self.loss(inputs, targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        loss.item()
        return time.perf_counter() - begin

    def steps(self, count):
        """What `count` steps took, as an object for JSON."""
        seconds = sorted(self.step() for _ in range(count))
        median = seconds[len(seconds) // 2]
        o = self.o
        return {"peer": "PyTorch " + torch.__version__.split("+")[0],
                "mode": "compiled" if o.compile else "eager", "dtype": o.dtype,
                "parameters": self.count, "batch": o.batch, "context": o.context,
                "threads": torch.get_num_threads(), "steps": count, "ms_per_step": 1e3 * median,
                "tokens_per_s": o.batch * o.context / median,
                "seconds": seconds, "peak_memory_bytes": peak_memory(),
                "memory_before_bytes": self.memory_before}


def peak_memory():
    """Of this program: what getrusage tells is not less than what started it had."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    for name, value in [("layers", 12), ("heads", 12), ("width", 768), ("context", 1024),
                        ("batch", 4), ("vocab", 50257), ("steps", 5), ("warm-up", 2),
                        ("threads", 0)]:
        p.add_argument("--" + name, type=int, default=value)
    p.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    p.add_argument("--compile", action="store_true")
    p.add_argument("--no-bias", dest="bias", action="store_false")
    p.add_argument("--serve", action="store_true")
    o = p.parse_args()
    torch.manual_seed(1)
    if o.threads:
        torch.set_num_threads(o.threads)
    trainer = Trainer(o)
    for _ in range(o.warm_up):
        trainer.step()
    for count in (map(int, sys.stdin) if o.serve else [o.steps]):
        print(json.dumps(trainer.steps(count)), flush=True)


if __name__ == "__main__":
    main()
