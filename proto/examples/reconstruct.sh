#!/bin/sh
# reconstruct.sh [URL [NAME]] - from latents back to inputs.
set -eu
url=${1:-http://127.0.0.1:8080} name=${2:-words}

# Two rows: 1.5 D[5] + 0.25 D[7], and 2 D[1].
curl -fsS "$url/v1/dictionaries/$name/reconstruct" -H 'Content-Type: application/json' \
    -d '{"latents": {"indices": [[5, 7], [1]], "values": [[1.5, 0.25], [2]]}}'
# {"reconstructions": [[0.02, ...], [0.11, ...]]}       rows of as many numbers as there are dimensions
