#!/bin/sh
# administer.sh URL NAME KEY - requests that change the server need an admin key from the file of --keys.
set -eu
url=${1:-http://127.0.0.1:8080} name=${2:-words} key=${3:?the admin key}

curl -fsS "$url/health/ready"
# {"status": "ready"}

# After the file was replaced, open it again. Requests in flight keep the generation that they began with.
curl -fsS -X POST "$url/v1/dictionaries/$name/reload" -H "Authorization: Bearer $key"
# {"name": "words", ..., "generation": 2, ...}

# The same over the Open Inference Protocol; the answers are empty.
curl -fsS -X POST "$url/v2/repository/models/$name/unload" -H "Authorization: Bearer $key"
curl -fsS -X POST "$url/v2/repository/models/$name/load" -H "Authorization: Bearer $key"

curl -fsS "$url/metrics" -H "Authorization: Bearer $key" | grep rasaed_dictionary_generation
# rasaed_dictionary_generation{dictionary="words"} 3
