#!/bin/sh
# inference.sh [URL [NAME]] - the Open Inference Protocol, which KServe, Triton and their clients speak.
set -eu
url=${1:-http://127.0.0.1:8080} name=${2:-words}

curl -fsS "$url/v2"
# {"name": "rasaed", "version": "0.1.0", "extensions": ["binary_tensor_data", ...]}

curl -fsS "$url/v2/models/$name"
# {"name": "words", "versions": ["1"], "platform": "rasae",
#  "inputs": [{"name": "latents", "datatype": "FP32", "shape": [-1, 1000]}, ...],
#  "outputs": [{"name": "reconstructions", "datatype": "FP32", "shape": [-1, 384]}]}

# One row with two active latents; the index -1 would be padding.
curl -fsS "$url/v2/models/$name/infer" -d '{"id": "7", "inputs": [
    {"name": "indices", "datatype": "INT64", "shape": [1, 2], "data": [5, 7]},
    {"name": "values", "datatype": "FP32", "shape": [1, 2], "data": [1.5, 0.25]}]}'
# {"model_name": "words", "model_version": "1", "id": "7",
#  "outputs": [{"name": "reconstructions", "datatype": "FP32", "shape": [1, 384], "data": [0.02, ...]}]}

curl -fsS "$url/v2/models/$name/stats"
# {"model_stats": [{"name": "words", "version": "1", "inference_count": 1, "execution_count": 1,
#   "inference_stats": {"success": {"count": 1, "ns": 51000}, ...}}]}

curl -fsS -X POST "$url/v2/repository/index"
# [{"name": "words", "version": "1", "state": "READY", "reason": ""}, ...]
