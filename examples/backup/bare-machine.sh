#!/usr/bin/env bash
# The machine is gone. What is left: the repository, and the identity in a safe.
source "$(dirname "$0")/common.sh"
recipient=$(basalt keygen -o "$work/identity.txt" 2> /dev/null)
start "$work/data" "${options[@]}" --backup-recipients "$recipient" --backup-archive yes --backup-archive-interval 1
until_field backup_archive_active 1
until_field backup_count 1
ask SET last-words "still here" > /dev/null
until_field backup_rpo_sec 0
stop
rm -rf "$work/data"
# On the new machine: what can be restored, and does it come back?
basalt list "${place[@]}"
basalt verify "${place[@]}" -i "$work/identity.txt" --drill
# An empty directory, and a server that begins with the backup and all of the log that had arrived.
start "$work/new" "${options[@]}" --backup-recipients "$recipient" --backup-archive yes --appendonly yes \
  --restore-on-start latest --restore-identity "$work/identity.txt"
same "$(ask GET last-words)" "still here"
# It makes backups of its own, beside those of the lost machine.
until_field backup_last_status ok
