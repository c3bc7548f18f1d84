#!/usr/bin/env bash
# A new identity takes over from the old one without a backup that nobody can open.
source "$(dirname "$0")/common.sh"
old=$(basalt keygen -o "$work/old.txt" 2> /dev/null)
new=$(basalt keygen -o "$work/new.txt" 2> /dev/null)
opens() { basalt verify "${place[@]}" --backup latest -i "$1" --drill > /dev/null 2>&1; }
start "$work/data" "${options[@]}" --backup-recipients "$old"
ask SET key value > /dev/null
ask SAVE > /dev/null
basalt backup --port "$port"
stop
# For as long as both are to open them. The first such backup is a full one.
start "$work/data" "${options[@]}" --backup-recipients "$old $new"
basalt backup --port "$port"
opens "$work/old.txt"
opens "$work/new.txt"
stop
# Then without the old one. Destroy old.txt once no backup is kept that only it opens.
start "$work/data" "${options[@]}" --backup-recipients "$new"
basalt backup --port "$port"
opens "$work/new.txt"
if opens "$work/old.txt"; then
  echo "the old identity still opens it"
  exit 1
fi
stop
# What earlier backups alone had, the old identity still opens.
first=$(basalt list "${place[@]}" --json | tr '{' '\n' | sed -n 's/.*"id":"\([^"]*\)".*/\1/p' | head -1)
basalt verify "${place[@]}" --backup "$first" -i "$work/old.txt" --drill
