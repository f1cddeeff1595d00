#!/bin/sh
# administer.sh URL NAME KEY - requests that change the server need an admin key from the file of --keys.
set -eu
url=${1:-http://127.0.0.1:8080} name=${2:-words} key=${3:?the admin key}

curl -fsS "$url/health/ready"
# {"status": "ready"}

# After the file was replaced, open it again. Requests in flight keep the generation that they began with. Another content
# is another revision and the next generation; the same content, as here, keeps both.
curl -fsS -X POST "$url/v1/dictionaries/$name/reload" -H "Authorization: Bearer $key"
# {"name": "words", ..., "revision": "5f0c...", "generation": 1, ...}

# Take it out of service: the list of what is known and not loaded has it, with the reason.
curl -fsS -X POST "$url/v1/dictionaries/$name/unload" -H "Authorization: Bearer $key"
curl -fsS "$url/v1/dictionaries?state=all" -H "Authorization: Bearer $key"
# {"dictionaries": [], "unavailable": [{"name": "words", "state": "unloaded", ...}], ...}

# And back again, here over the Open Inference Protocol, whose answer is empty.
curl -fsS -X POST "$url/v2/repository/models/$name/load" -H "Authorization: Bearer $key"

curl -fsS "$url/metrics" -H "Authorization: Bearer $key" | grep rasaed_dictionary_generation
# rasaed_dictionary_generation{dictionary="words"} 1
