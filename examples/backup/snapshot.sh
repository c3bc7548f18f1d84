#!/usr/bin/env bash
# A backup before something risky, and the way back.
source "$(dirname "$0")/common.sh"
recipient=$(basalt keygen -o "$work/identity.txt" 2> /dev/null)
start "$work/data" "${options[@]}" --backup-recipients "$recipient"
ask SET account 100 > /dev/null
basalt backup --port "$port"
ask SET account 0 > /dev/null
# Only this key, into the server that runs.
basalt restore "${place[@]}" -i "$work/identity.txt" --into "127.0.0.1:$port" --key account --replace
same "$(ask GET account)" 100
stop
# All of it, as a new data directory.
basalt restore "${place[@]}" -i "$work/identity.txt" --to "$work/restored"
start "$work/restored"
same "$(ask GET account)" 100
