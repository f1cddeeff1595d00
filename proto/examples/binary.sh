#!/bin/sh
# binary.sh [URL [NAME]] - the same numbers as bytes: raw little-endian tensors and npy (proto/tensors.md).
set -eu
url=${1:-http://127.0.0.1:8080} name=${2:-words}
temporary=$(mktemp -d)
trap 'rm -r "$temporary"' EXIT

# An atom in the units of the data, float32. The headers say what the bytes are.
curl -fsS -D - "$url/v1/dictionaries/$name/atoms/5?format=raw&fields=direction" -o "$temporary/x.raw"
# X-Tensor-Shape: 384
# X-Tensor-Dtype: F32

# Raw bytes in, sparse codes out: three tensors, start [rows + 1], index and value [entries].
curl -fsS -D - "$url/v1/dictionaries/$name/encode?format=raw" -H 'Content-Type: application/octet-stream' \
    --data-binary "@$temporary/x.raw" -o "$temporary/codes.raw"
# X-Tensor-Shape: 2; 16; 16
# X-Tensor-Dtype: I64; I32; F32

# npy both ways: what numpy.save() writes, and numpy.load() reads.
curl -fsS "$url/v1/dictionaries/$name/atoms?limit=2&fields=direction" -H 'Accept: application/x-npy' \
    -o "$temporary/x.npy"
curl -fsS "$url/v1/dictionaries/$name/steer?steer=5:2.0&format=npy" -H 'Content-Type: application/x-npy' \
    --data-binary "@$temporary/x.npy" -o "$temporary/y.npy"
head -c 6 "$temporary/y.npy" | tail -c 5 && echo
# NUMPY
