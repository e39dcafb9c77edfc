#!/usr/bin/env bash
# Runs every test. Installs what they need and is missing (Debian packages), saying so.
set -euo pipefail
cd "$(dirname "$0")/.."

# Where Debian puts what not everybody runs.
PATH="$PATH:/usr/sbin:/sbin"

missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
# Tests cut the link to a process in a network namespace.
command -v ip >/dev/null || missing+=(iproute2)
# Tests start brokers of their own.
command -v nats-server >/dev/null || missing+=(nats-server)
# A second implementation of the protocol is written in it.
command -v python3 >/dev/null || missing+=(python3)
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing with apt: ${missing[*]}"
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  $sudo apt-get update -qq
  $sudo apt-get install -y -qq "${missing[@]}"
  if [[ " ${missing[*]} " == *" nats-server "* ]] && [ -d /run/systemd/system ]; then
    echo "stopping the nats-server that the package has started"
    $sudo systemctl disable --quiet --now nats-server
  fi
fi
command -v cargo >/dev/null || { echo "cargo is missing: install Rust with https://rustup.rs" >&2; exit 1; }

cargo test --locked --workspace --exclude rmi-benches "$@"
