# What the scripts of this folder share; sourced, not run. BASALT_BIN is where basalt-server and basalt are (default: the PATH).
set -euo pipefail
[ -z "${BASALT_BIN:-}" ] || PATH=$BASALT_BIN:$PATH
work=$(mktemp -d)
port=${PORT:-7399}
server=""
finish() {
  [ -z "$server" ] || kill "$server" 2> /dev/null || true
  [ -z "$server" ] || wait "$server" 2> /dev/null || true
  rm -rf "$work"
}
trap finish EXIT
# Where backups go: a directory, or for example REPOSITORY=s3://bucket/prefix with BACKUP_ENDPOINT=http://minio:9000.
repository=${REPOSITORY:-$work/repository}
place=("$repository")
options=(--backup-url "$repository")
if [ -n "${BACKUP_ENDPOINT:-}" ]; then
  place+=(--endpoint "$BACKUP_ENDPOINT" --region "${AWS_REGION:-us-east-1}")
  options+=(--backup-endpoint "$BACKUP_ENDPOINT" --backup-region "${AWS_REGION:-us-east-1}")
else
  mkdir -p "$repository"
fi
ask() { redis-cli -p "$port" "$@"; }
start() { # directory, options
  local dir=$1
  shift
  mkdir -p "$dir"
  basalt-server --port "$port" --dir "$dir" --save "" --logfile "$dir/log" "$@" &
  server=$!
  for _ in $(seq 300); do
    if [ "$(ask PING 2> /dev/null)" = PONG ]; then return 0; fi
    sleep 0.1
  done
  cat "$dir/log"
  return 1
}
stop() { # as a crash would
  kill -9 "$server"
  wait "$server" 2> /dev/null || true
  server=""
}
field() { ask INFO backup | tr -d '\r' | sed -n "s/^$1://p"; }
until_field() { # field, value
  for _ in $(seq 300); do
    if [ "$(field "$1")" = "$2" ]; then return 0; fi
    sleep 0.1
  done
  echo "$1 is $(field "$1"), not $2"
  return 1
}
same() { # found, expected
  if [ "$1" != "$2" ]; then
    echo "found '$1', expected '$2'"
    exit 1
  fi
}
