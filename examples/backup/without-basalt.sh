#!/usr/bin/env bash
# Opening a backup with age, zstd and Redis only.
source "$(dirname "$0")/common.sh"
unset REPOSITORY
recipient=$(basalt keygen -o "$work/identity.txt" 2> /dev/null)
start "$work/data" "${options[@]}" --backup-recipients "$recipient"
ask MSET one 1 two 2 three 3 > /dev/null
basalt backup --port "$port" > /dev/null
stop
# From here on nothing of ours. What there is, and which chunks it has:
manifest=$(ls "$repository"/backups/*.json)
grep -E '"(cut_ms|keys|tables)"' "$manifest" | head -3
tables=$repository/$(sed -n 's/.*"object": "\(.*\)".*/\1/p' "$manifest")
zstd -dcq "$tables" | tr ',' '\n' | sed -n 's/.*"object":"\(.*\)".*/\1/p' > "$work/chunks"
mkdir "$work/redis"
while read -r chunk; do
  age -d -i "$work/identity.txt" "$repository/$chunk" | zstd -dcq > "$work/redis/dump.rdb"
  head -c 9 "$work/redis/dump.rdb"
  echo "  <- $chunk"
done < "$work/chunks"
# Redis 7.2 loads such a file as it is; for Redis 7.0: basalt convert --target redis-7.0.
if redis-server --version | grep -q 'v=7\.0'; then
  basalt convert --target redis-7.0 "$work/redis/dump.rdb" "$work/redis/older.rdb" > /dev/null
  mv "$work/redis/older.rdb" "$work/redis/dump.rdb"
fi
redis-server --port "$port" --dir "$work/redis" --save "" --logfile "$work/redis/log" &
server=$!
for _ in $(seq 100); do
  if [ "$(ask PING 2> /dev/null)" = PONG ]; then break; fi
  sleep 0.1
done
same "$(ask MGET one two three | tr '\n' ' ')" "1 2 3 "
