#!/bin/sh
# inference.sh [URL [NAME]] - the Open Inference Protocol, which KServe, Triton and their clients speak.
set -eu
url=${1:-http://127.0.0.1:8080} name=${2:-words}

curl -fsS "$url/v2"
# {"name": "rasaed", "version": "0.1.0", "extensions": ["binary_tensor_data", ...]}

curl -fsS "$url/v2/models/$name"
# {"name": "words", "versions": ["1"], "platform": "rasae",
#  "inputs": [{"name": "latents", "datatype": "FP32", "shape": [-1, 1000]},
#             {"name": "indices", "datatype": "INT64", "shape": [-1, -1], "optional": true}, ...],
#  "outputs": [{"name": "reconstructions", "datatype": "FP32", "shape": [-1, 384]}]}

# One row with two active latents; the index -1 would be padding.
curl -fsS "$url/v2/models/$name/infer" -d '{"id": "7", "inputs": [
    {"name": "indices", "datatype": "INT64", "shape": [1, 2], "data": [5, 7]},
    {"name": "values", "datatype": "FP32", "shape": [1, 2], "data": [1.5, 0.25]}]}'
# {"model_name": "words", "model_version": "1", "id": "7",
#  "outputs": [{"name": "reconstructions", "datatype": "FP32", "shape": [1, 384], "data": [0.02, ...]}]}

# The encoder of a dictionary is a model of its own: inputs in, indices and values out, padded with -1 and 0 to the row
# with the most.
width=$(curl -fsS "$url/v1/dictionaries/$name" | sed 's/.*"dimensions":\([0-9]*\).*/\1/')
zeros=$(printf '0,%.0s' $(seq 2 "$width"))
curl -fsS "$url/v2/models/$name.encode/infer" -d "{\"inputs\": [
    {\"name\": \"inputs\", \"datatype\": \"FP32\", \"shape\": [1, $width], \"data\": [${zeros}2.5]}]}"
# {"model_name": "words.encode", "model_version": "1", "outputs": [
#   {"name": "indices", "datatype": "INT64", "shape": [1, 16], "data": [5, 76, ...]},
#   {"name": "values", "datatype": "FP32", "shape": [1, 16], "data": [0.5, 0.1, ...]}]}

curl -fsS "$url/v2/models/$name/stats"
# {"model_stats": [{"name": "words", "version": "1", "inference_count": 1, "execution_count": 1,
#   "inference_stats": {"success": {"count": 1, "ns": 51000}, ...}}]}

curl -fsS -X POST "$url/v2/repository/index"
# [{"name": "words", "version": "1", "state": "READY", "reason": ""}, ...]
