#!/usr/bin/env python3
"""Encoding and learning byte pairs by tiktoken and Hugging Face's tokenizers: the peers of
`beaver bench tokenizer`.

Each line of standard input is a wish in JSON, answered by a line of JSON:

    {"do": "tiktoken", "ranks": FILE, "text": FILE}     encodes on one thread
    {"do": "hf-train", "text": FILE, "vocab": N, "threads": N}

"mbps" is megabytes (10^6) of text a second; of encoding also the SHA-256 of all tokens as 32-bit
little-endian numbers, so that somebody can compare them.
"""
import base64
import hashlib
import json
import os
import sys
import time
from importlib.metadata import version

R50K = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
CL100K = (r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++"""
          r"""[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s""")


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()


def rate(text, seconds, **more):
    size = len(text.encode())
    return {"bytes": size, "seconds": seconds, "mbps": size / 1e6 / seconds, **more}


def with_tiktoken(wish):
    import numpy
    import tiktoken
    ranks = {}
    with open(wish["ranks"], "rb") as file:
        for line in file:
            token, rank = line.split()
            ranks[base64.b64decode(token)] = int(rank)
    pattern = CL100K if "cl100k" in wish["ranks"] else R50K
    encoding = tiktoken.Encoding("ranks", pat_str=pattern, mergeable_ranks=ranks,
                                 special_tokens={})
    text = read(wish["text"])
    begin = time.perf_counter()
    tokens = encoding.encode_ordinary(text)
    seconds = time.perf_counter() - begin
    digest = hashlib.sha256(numpy.array(tokens, "<u4").tobytes()).hexdigest()
    return rate(text, seconds, peer="tiktoken " + version("tiktoken"), tokens=len(tokens),
                sha256=digest)


def hf_train(wish):
    os.environ["RAYON_NUM_THREADS"] = str(wish["threads"])  # read when its pool starts
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=wish["vocab"], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    text = read(wish["text"])
    begin = time.perf_counter()
    tokenizer.train_from_iterator(text.splitlines(keepends=True), trainer, length=None)
    return rate(text, time.perf_counter() - begin, peer="tokenizers " + version("tokenizers"),
                threads=wish["threads"], vocab=tokenizer.get_vocab_size())


def main():
    ways = {"tiktoken": with_tiktoken, "hf-train": hf_train}
    for line in sys.stdin:
        wish = json.loads(line)
        print(json.dumps(ways[wish["do"]](wish)), flush=True)


if __name__ == "__main__":
    main()
