#!/bin/sh
# search.sh [URL [NAME]] - the atoms nearest to a vector: here those nearest to atom 5, which is nearest to itself.
set -eu
url=${1:-http://127.0.0.1:8080} name=${2:-words}
vector=$(curl -fsS "$url/v1/dictionaries/$name/atoms/5?fields=vector" | sed 's/.*"vector":\(\[.*\]\).*/\1/')

curl -fsS "$url/v1/dictionaries/$name/search" -H 'Content-Type: application/json' \
    -d "{\"vectors\": [$vector], \"k\": 3, \"metric\": \"cosine\"}"
# {"metric": "cosine", "results": [[{"atom": 5, "score": 1, "label": "bound"}, ...]]}
