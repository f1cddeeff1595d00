#!/bin/sh
# encode.sh [URL [NAME]] - inputs to latents, the concepts in an input, and inputs moved along atoms. The
# input is an atom's own vector; any vector of the dictionary's width works.
set -eu
url=${1:-http://127.0.0.1:8080} name=${2:-words}
vector=$(curl -fsS "$url/v1/dictionaries/$name/atoms/5?fields=vector" | sed 's/.*"vector":\(\[.*\]\).*/\1/')

curl -fsS "$url/v1/dictionaries/$name/encode" -H 'Content-Type: application/json' -d "{\"inputs\": [$vector]}"
# {"indices": [[5, 76, ...]], "values": [[0.5, 0.1, ...]]}

curl -fsS "$url/v1/dictionaries/$name/explain" -H 'Content-Type: application/json' \
    -d "{\"inputs\": [$vector]}"
# {"explanations": [{"concepts": [{"atom": 5, "code": 0.5, "contribution": 0.31, "label": "bound",
#                                 "archetypes": [...]}, ...],
#                   "residual": {"norm": 0.2}, "input": {"norm": 0.81}, "r2": 0.75}]}

# x + 2 D[5] - 0.5 D[7]
curl -fsS "$url/v1/dictionaries/$name/steer" -H 'Content-Type: application/json' \
    -d "{\"inputs\": [$vector], \"on\": \"input\",
         \"steer\": [{\"atom\": 5, \"scale\": 2}, {\"atom\": 7, \"scale\": -0.5}]}"
# {"outputs": [[0.06, ...]]}
