#!/usr/bin/env bash
# FLUSHALL by accident: back to the second before.
source "$(dirname "$0")/common.sh"
recipient=$(basalt keygen -o "$work/identity.txt" 2> /dev/null)
start "$work/data" "${options[@]}" --backup-recipients "$recipient" --backup-archive yes --backup-archive-interval 1
until_field backup_archive_active 1
until_field backup_count 1
for i in $(seq 50); do ask SET "order:$i" "$i" > /dev/null; done
sleep 0.1
before=$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)
sleep 0.1
ask FLUSHALL > /dev/null
# Everything up to now is in the store a second later.
until_field backup_rpo_sec 0
stop
basalt restore "${place[@]}" -i "$work/identity.txt" --to "$work/restored" --at "$before"
start "$work/restored" --appendonly yes
same "$(ask DBSIZE)" 50
same "$(ask GET order:50)" 50
