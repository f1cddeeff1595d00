#!/bin/sh
# search.sh [URL [NAME]] - the atoms nearest to a row of data, to other atoms, to examples, or to a vector.
set -eu
url=${1:-http://127.0.0.1:8080} name=${2:-words}

# Inputs are rows of data, as encode takes them. This one is what latent 5 alone stands for.
input=$(curl -fsS "$url/v1/dictionaries/$name/reconstruct" -H 'Content-Type: application/json' \
    -d '{"latents": {"indices": [[5]], "values": [[8]]}}' | sed 's/.*"reconstructions":\[\(\[.*\]\)\].*/\1/')
curl -fsS "$url/v1/dictionaries/$name/search" -H 'Content-Type: application/json' \
    -d "{\"inputs\": [$input], \"k\": 3, \"metric\": \"cosine\"}"
# {"results": [[{"atom": 5, "score": 1, "label": "bound", "label_source": "rows"}, ...]], "metric": "cosine"}

# By atoms, each left out of its own list.
curl -fsS "$url/v1/dictionaries/$name/search?fields=label,norm" -H 'Content-Type: application/json' \
    -d '{"atoms": [5, 7], "k": 2, "exclude_self": true}'
# {"results": [[{"atom": 377, "score": 0.31, "norm": 0.9, "label": "norm", ...}, ...], [...]], "metric": "cosine"}

# Like atoms 5 and 7 and not like atom 3, among those whose latents are active in at least a thousandth of the rows.
curl -fsS "$url/v1/dictionaries/$name/search" -H 'Content-Type: application/json' \
    -d '{"positive": [5, 7], "negative": [3], "exclude": [9], "filter": {"min_frequency": 0.001}, "min_score": 0, "k": 2}'
# {"results": [[{"atom": 61, "score": 0.42, "label": "tie", ...}, ...]], "metric": "cosine"}

# Vectors are in the units of the atoms, and so are dot products.
vector=$(curl -fsS "$url/v1/dictionaries/$name/atoms/5?fields=vector" | sed 's/.*"vector":\(\[.*\]\).*/\1/')
curl -fsS "$url/v1/dictionaries/$name/search" -H 'Content-Type: application/json' \
    -d "{\"vectors\": [$vector], \"k\": 3, \"metric\": \"dot\"}"
# {"results": [[{"atom": 5, "score": 0.66, ...}, ...]], "metric": "dot", "units": "standardized"}
