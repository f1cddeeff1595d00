#!/bin/bash
# Runs as root in the machine of machine.py, under its systemd: the life of a service, from its first client to the
# purge of its package. It prints one line per proof; the first failure ends it.
set -euo pipefail
trap 'echo "failed in line $LINENO: $BASH_COMMAND"; journalctl --no-pager -u "rasaed@*" | tail -n 40' ERR

proved() { echo "proved: $1"; }
eventually() { # within a minute
    for _ in $(seq 600); do "$@" && return; sleep 0.1; done
    echo "in vain: $*"
    return 1
}
show() { systemctl show --value -p "$1" rasaed@digits.service; }
ask() { # PATH [METHOD PORT HEADER]
    exec 9<>"/dev/tcp/127.0.0.1/${3:-8080}"
    printf '%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n%b\r\n' "${2:-GET}" "$1" "${4:-}" >&9
    timeout 60 cat <&9
    exec 9>&-
}
answers() { ask "$1" | grep -q "$2"; }
well() { rasaed --probe http://127.0.0.1:8080/health/ready >/dev/null; }

rasae train /root/digits.npy -o /root/digits.checkpoint.safetensors --concepts 64 --top-k 8 --steps 50 --quiet
rasae fuse /root/digits.checkpoint.safetensors -o /var/lib/rasaed/digits.safetensors --quiet
mkdir /etc/systemd/system/rasaed@digits.service.d
printf '[Service]\nWatchdogSec=3s\n' >/etc/systemd/system/rasaed@digits.service.d/test.conf
echo RASAED_MAX_ROWS=7 >/etc/rasaed/digits.env
systemctl daemon-reload

systemctl enable --now rasaed@digits.socket
[[ $(show ActiveState) == inactive ]]
answers /v1/dictionaries/digits '"concepts":64'
[[ $(show ActiveState) == active && $(show Type) == notify ]]
proved "the first client starts it"

[[ $(show StatusText) == "serving 1 dictionaries" ]]
answers /v2/models/digits/config '"max_batch_size":7'
proved "it tells how it is, and its settings are taken"

pid=$(show MainPID)
[[ $(stat -c %U "/proc/$pid") == "$(show User)" || $(stat -c %u "/proc/$pid") -ge 61184 ]] # the dynamic ones
[[ $(readlink "/proc/$pid/ns/net") != "$(readlink /proc/self/ns/net)" ]]
[[ $(readlink "/proc/$pid/ns/mnt") != "$(readlink /proc/self/ns/mnt)" ]]
grep -q '^NoNewPrivs:[[:space:]]*1' "/proc/$pid/status"
grep -q '^Seccomp:[[:space:]]*2' "/proc/$pid/status"
grep -q '^CapEff:[[:space:]]*0*$' "/proc/$pid/status"
proved "it is a user of its own, without rights and without a network"

systemctl reload rasaed@digits.service
eventually answers /metrics 'rasaed_dictionary_loads_total{dictionary="digits"} 2'
answers /v1/dictionaries/digits '"generation":1' # of the same content
eventually test "$(show StatusText)" = "reloaded, 0 of 1 dictionaries failed"
rasae fuse /root/digits.checkpoint.safetensors -o /var/lib/rasaed/digits.safetensors --dtype f16 --quiet
eventually answers /v1/dictionaries/digits '"dtype":"f16"'
answers /v1/dictionaries/digits '"generation":2'
proved "reload and a new file are taken"

( for _ in $(seq 40); do well || { echo refused; exit 1; }; done ) & clients=$!
systemctl restart rasaed@digits.service
wait "$clients"
[[ $(show MainPID) != "$pid" ]]
proved "a restart refuses nobody"

sleep 4 # longer than the watchdog waits
[[ $(show NRestarts) == 0 ]]
pid=$(show MainPID)
kill -STOP "$pid"
eventually test ! -e "/proc/$pid"
eventually well
[[ $(show NRestarts) == 1 ]]
proved "one that hangs is started anew, one that does not is left alone"

systemctl stop rasaed@digits.service
[[ $(show Result) == success && $(show ExecMainStatus) == 0 ]]
well # the socket is there still
proved "a stop is a stop, and the socket starts it again"

cat >/etc/systemd/system/rasaed@digits.service.d/keys.conf <<'UNIT'
[Service]
LoadCredential=keys:/etc/rasaed/digits.keys
Environment=RASAED_KEYS=%d/keys
UNIT
cat >/etc/systemd/system/rasaed-admin@.socket <<'UNIT'
[Socket]
ListenStream=127.0.0.1:9090
FileDescriptorName=admin
Service=rasaed@%i.service

[Install]
WantedBy=sockets.target
UNIT
printf 'read %032d\nadmin %032d\n' 1 2 >/etc/rasaed/digits.keys
chmod 600 /etc/rasaed/digits.keys
systemctl stop rasaed@digits.socket rasaed@digits.service
systemctl daemon-reload
systemctl enable --now rasaed-admin@digits.socket rasaed@digits.service
atom=/v1/dictionaries/digits/atoms/1 reload=/v1/dictionaries/digits/reload
key() { printf 'Authorization: Bearer %032d\\r\\n' "$1"; }
ask $atom | grep -q '^HTTP/1.1 401'
ask $atom GET 8080 "$(key 1)" | grep -q '^HTTP/1.1 200'
ask $reload POST 8080 "$(key 2)" | grep -q '^HTTP/1.1 404'
ask $reload POST 9090 "$(key 2)" | grep -q '"generation":1'
proved "keys come as a credential, and a second socket is for administration"

apt-get -qq purge -y rasaed rasae librasae-dev >/dev/null
[[ $(systemctl is-active rasaed@digits.service) != active ]]
for gone in /usr/bin/rasae /usr/bin/rasaed /usr/lib/systemd/system/rasaed@.service /usr/share/man/man8/rasaed.8.gz \
    /usr/include/rasae /usr/share/zsh/vendor-completions/_rasae; do
    [[ ! -e $gone ]]
done
[[ -e /var/lib/rasaed/digits.safetensors ]] # is not the package's
proved "a purge takes all that the packages brought, and nothing else"
echo "all is well"
