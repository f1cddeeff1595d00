#!/bin/sh
# dictionaries.sh [URL [NAME]] - what is served, and all of a dictionary as a file.
set -eu
url=${1:-http://127.0.0.1:8080} name=${2:-words}
temporary=$(mktemp -d)
trap 'rm -r "$temporary"' EXIT

# What the server is, the most that a request may ask of it, and what the caller's key may do.
curl -fsS "$url/v1"
# {"name": "rasaed", "version": "0.1.0", "access": "read", ..., "keeps_changes": false, "forms": [...], "limits": {"rows": 4096, ...}}

curl -fsS "$url/v1/dictionaries"
# {"dictionaries": [{"name": "words", ..., "atom_count": 1000, "dimensions": 384, "point_count": 1000, ...}, ...]}

curl -fsS "$url/v1/dictionaries/$name"
# {"name": "words", ..., "atom_count": 1000, "dimensions": 384, ..., "revision": "5f0c...", "generation": 1, ...,
#  "settings": {"sae": "topk", "top_k": 16, ...}}

# All of it as safetensors, which can be served again and answers the same; D alone as npy, for numpy.load(), or as the
# bare bytes.
curl -fsS "$url/v1/dictionaries/$name/dictionary" -o "$temporary/words.safetensors"
curl -fsS "$url/v1/dictionaries/$name/dictionary?format=npy" -o "$temporary/words.npy"
head -c 6 "$temporary/words.npy" | tail -c 5 && echo

# The file itself that the server opened, byte for byte.
curl -fsS "$url/v1/dictionaries/$name/artifact" -o "$temporary/served.safetensors"

# A part of it, and nothing if it has not changed: the answers are 206 and 304.
curl -fsS "$url/v1/dictionaries/$name/dictionary" -H 'Range: bytes=0-63' -o "$temporary/part" \
    -w '%{http_code}\n'
tag=$(curl -fsSI "$url/v1/dictionaries/$name/dictionary" | tr -d '\r' | sed -n 's/^ETag: //ip')
curl -fsS "$url/v1/dictionaries/$name/dictionary" -H "If-None-Match: $tag" -w '%{http_code}\n'

# Several requests about one content: each names the revision, and is answered 412 when another one is served by then.
revision=$(curl -fsSI "$url/v1/dictionaries/$name" | tr -d '\r' | sed -n 's/^X-Dictionary-Revision: //ip')
curl -fsS "$url/v1/dictionaries/$name/atoms/5?fields=norm" -H "If-Match: \"$revision\"" -D - -o "$temporary/atom"
# X-Dictionary-Revision: 5f0c6a1b9d2e4c7788a1f0e3b2d4c6a9

# The course of the training, for a chart: a table with a line for each bin of steps.
curl -sS "$url/v1/dictionaries/$name/training?columns=step,loss,r2,l0,dead&format=csv"
# step,loss,r2,l0,dead
# 8,0.0123,0.41,16,0.2

# How alike two dictionaries are that the server has, here one and itself.
curl -fsS "$url/v1/dictionaries/$name/compare" -H 'Content-Type: application/json' -d "{\"with\": \"$name\"}"
# {"dictionary": "words", "with": "words", ..., "stability_with_flips": 1, ..., "match": [0, 1, ...], ...}
