#!/usr/bin/env bash
# One Cloudflare container per session: postern worker poll --on-work /etc/postern/cloudflare/launch.sh
#
# Not run here: no account was at hand. The script is checked by `bash -n` and shellcheck, its request by a stand-in for curl.
#
# Cloudflare's containers are started by a Worker (worker.mjs beside this file), not by a command; this script hands the item over to it.
#
#   LAUNCH_WORKER_URL    address of the deployed worker.mjs
#   LAUNCH_TOKEN_FILE    file with the token that worker.mjs checks (its secret LAUNCH_TOKEN)
#   LAUNCH_OPEN_NETWORK  must be 1: worker.mjs sets no rule for the containers' network, so that a session reaches the whole internet
#                        whatever its policy says
set -euo pipefail
# What a range of letters holds depends on the language otherwise.
LC_ALL=C

url="${LAUNCH_WORKER_URL:?set LAUNCH_WORKER_URL to the address of the deployed worker}"
token="${LAUNCH_TOKEN_FILE:?set LAUNCH_TOKEN_FILE to the file with the token}"
[[ "${LAUNCH_OPEN_NETWORK:-}" == 1 ]] || { echo "the container's network is open; LAUNCH_OPEN_NETWORK=1 accepts that" >&2; exit 1; }
[[ "$url" =~ ^https://[A-Za-z0-9._~:/%-]+$ ]] || { echo "LAUNCH_WORKER_URL must be an address that begins with https://" >&2; exit 1; }
[[ -r "$token" ]] || { echo "$token cannot be read" >&2; exit 1; }
bearer="$(cat "$token")"
[[ "$bearer" =~ ^[!-~]+$ ]] || { echo "$token must hold one line without spaces" >&2; exit 1; }
# From the control plane, and values of headers: a line's end in one would be another header. The item's own fields are checked by worker.mjs.
address='^https?://[]A-Za-z0-9._~:/%[-]+$'
policy='^[ -~]*$'
[[ "${ANTHROPIC_BASE_URL:-}" =~ $address ]] || { echo "ANTHROPIC_BASE_URL is not an http or https address" >&2; exit 1; }
[[ "${ANTHROPIC_WORK_POLICY:-}" =~ $policy ]] || { echo "ANTHROPIC_WORK_POLICY is not one line of ASCII" >&2; exit 1; }

[[ "${POSTERN_ENVIRONMENT_NAME:-}" =~ $policy ]] || { echo "POSTERN_ENVIRONMENT_NAME is not one line of ASCII" >&2; exit 1; }

# Token and item go in by files: arguments can be read by every user of the machine. The item comes on standard input.
curl --globoff --fail-with-body --silent --show-error --max-time 60 --proto '=https' --request POST \
    --header @<(printf 'Authorization: Bearer %s\n' "$bearer") --header 'Content-Type: application/json' \
    --header "Postern-Base-Url: $ANTHROPIC_BASE_URL" --header "Postern-Policy: ${ANTHROPIC_WORK_POLICY:-}" \
    --header "Postern-Environment-Name: ${POSTERN_ENVIRONMENT_NAME:-}" --data-binary @- "$url/launch"
