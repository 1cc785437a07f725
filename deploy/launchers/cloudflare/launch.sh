#!/usr/bin/env bash
# One Cloudflare container per session: postern worker poll --on-work /etc/postern/cloudflare/launch.sh
#
# Not run here: no account was at hand. The script is checked by `bash -n` and shellcheck, its request by a stand-in for curl.
#
# Cloudflare's containers are started by a Worker (worker.mjs beside this file), not by a command; this script hands the item over to it.
#
#   LAUNCH_WORKER_URL    address of the deployed worker.mjs
#   LAUNCH_TOKEN_FILE    file with the token that worker.mjs checks (its secret LAUNCH_TOKEN)
set -euo pipefail

url="${LAUNCH_WORKER_URL:?set LAUNCH_WORKER_URL to the address of the deployed worker}"
token="${LAUNCH_TOKEN_FILE:?set LAUNCH_TOKEN_FILE to the file with the token}"
[[ "$url" == https://* ]] || { echo "LAUNCH_WORKER_URL must begin with https://" >&2; exit 1; }
[[ -r "$token" ]] || { echo "$token cannot be read" >&2; exit 1; }

# Token and item go in by files: arguments can be read by every user of the machine. The item comes on standard input.
curl --fail-with-body --silent --show-error --max-time 60 --proto '=https' --request POST \
    --header @<(printf 'Authorization: Bearer %s\n' "$(cat "$token")") --header 'Content-Type: application/json' \
    --header "Postern-Base-Url: ${ANTHROPIC_BASE_URL:?}" --data-binary @- "$url/launch"
