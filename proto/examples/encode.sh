#!/bin/sh
# encode.sh [URL [NAME]] - inputs to latents, the concepts in an input, and inputs moved along atoms. Inputs are rows of
# data. The one here is made: the mean of the data, and eight times what latent 5 adds to a reconstruction. (The vector of
# an atom is not an input: where a dictionary is standardized, it is in other units.)
set -eu
url=${1:-http://127.0.0.1:8080} name=${2:-words}

curl -fsS "$url/v1/dictionaries/$name/atoms/5?fields=direction"
# {"atom": 5, "direction": [0.02, ...]}                  what latent 5 adds
curl -fsS "$url/v1/dictionaries/$name/standardization"
# {"standardized": true, "mean": [0.11, ...], "scale": [1.9, ...]}     zeros and ones when it is not standardized

# Latents are sparse: those that are not named are 0.
input=$(curl -fsS "$url/v1/dictionaries/$name/reconstruct" -H 'Content-Type: application/json' \
    -d '{"latents": {"indices": [[5]], "values": [[8]]}}' | sed 's/.*"reconstructions":\[\(\[.*\]\)\].*/\1/')

curl -fsS "$url/v1/dictionaries/$name/encode" -H 'Content-Type: application/json' -d "{\"inputs\": [$input]}"
# {"indices": [[5, 76, ...]], "values": [[0.5, 0.1, ...]]}

curl -fsS "$url/v1/dictionaries/$name/explain" -H 'Content-Type: application/json' \
    -d "{\"inputs\": [$input], \"k\": 3}"
# {"explanations": [{"concepts": [{"atom": 5, "code": 7.5, "contribution": 0.93, "label": "bound",
#                                 "label_source": "rows"}, ...],
#                   "active": 16, "residual_norm": 0.2, "input_norm": 6.5, "r2": 0.95, ...,
#                   "units": "standardized"}]}

# With what the atoms of the concepts are made of; `fields` takes all members of an atom, or all.
curl -fsS "$url/v1/dictionaries/$name/explain?k=1&fields=label,archetypes" \
    -H 'Content-Type: application/json' -d "{\"inputs\": [$input]}"
# {"explanations": [{"concepts": [{"atom": 5, ..., "archetypes": [{"point": 5, "label": "bound", ...}]}], ...}]}

# x + 2 direction[5] - 0.5 direction[7]
curl -fsS "$url/v1/dictionaries/$name/steer" -H 'Content-Type: application/json' \
    -d "{\"inputs\": [$input], \"on\": \"input\",
         \"steer\": [{\"atom\": 5, \"scale\": 2}, {\"atom\": 7, \"scale\": -0.5}]}"
# {"outputs": [[0.06, ...]]}

# What the input would be if atom 5 were twice as strong and atom 7 silent; the error of the dictionary is kept.
curl -fsS "$url/v1/dictionaries/$name/edit" -H 'Content-Type: application/json' \
    -d "{\"inputs\": [$input],
         \"set\": [{\"atom\": 5, \"op\": \"scale\", \"value\": 2}, {\"atom\": 7, \"op\": \"ablate\"}]}"
# {"outputs": [[0.04, ...]], "edits": [{"atom": 5, "before": [0.31], "after": [0.62]}, ...]}
