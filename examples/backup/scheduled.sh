#!/usr/bin/env bash
# Backups by themselves, off this machine: encrypted, on a schedule, pruned.
#   AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... REPOSITORY=s3://backups/demo BACKUP_ENDPOINT=http://minio:9000 examples/backup/scheduled.sh
source "$(dirname "$0")/common.sh"
# On a machine that is not the server. Without identity.txt no backup can be read.
recipient=$(basalt keygen -o "$work/identity.txt" 2> /dev/null)
# In production: backup-schedule "0 3 * * *" and backup-retention "7d 4w 12m".
start "$work/data" "${options[@]}" --backup-recipients "$recipient" --backup-schedule "every 1s" --backup-retention 2
ask SET greeting hello > /dev/null
for _ in $(seq 300); do
  if [ "$(field backup_count)" -ge 4 ]; then break; fi
  sleep 0.1
done
same "$(field backup_last_status)" ok
stop
basalt list "${place[@]}"
basalt verify "${place[@]}" -i "$work/identity.txt" --drill
