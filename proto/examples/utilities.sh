#!/bin/sh
# utilities.sh [URL [NAME]] - three calls of Neuronpedia's inference server. A source is a dictionary here.
set -eu
url=${1:-http://127.0.0.1:8080} name=${2:-words}

curl -fsS "$url/v1/util/sae-vector" -H 'Content-Type: application/json' \
    -d "{\"model\": \"gpt2-small\", \"source\": \"$name\", \"index\": 5}"
# {"vector": [0.02, ...], "hookName": "blocks.6.hook_resid_post"}

curl -fsS "$url/v1/util/sae-topk-by-decoder-cossim" -H 'Content-Type: application/json' \
    -d "{\"feature\": {\"model\": \"gpt2-small\", \"source\": \"$name\", \"index\": 5},
         \"model\": \"gpt2-small\", \"source\": \"$name\", \"num_results\": 3}"
# {"feature": {"model": "gpt2-small", "source": "words", "index": 5}, "topk_decoder_cossim_features":
#   [{"feature": {"model": "gpt2-small", "source": "words", "index": 5}, "cosine_similarity": 1}, ...]}

curl -fsS "$url/v1/capabilities"
# {"backend": "rasae", "sae_sets": ["words"], "model": "gpt2-small", ...}
