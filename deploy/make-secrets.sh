#!/bin/sh
# Creates what is missing in deploy/secrets, for compose.yaml. Existing files stay
# as they are, so that it can run again after an upgrade. Keep a copy of the
# folder elsewhere: without data_key, jwt_secret and api_key_pepper a backup of
# the database is incomplete.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
cd secrets

# Each file is written under another name first, so that it is whole or missing.
# A pipeline fails with its last command only: that nothing was made shows here.
write() {
  [ -e "$1" ] && return
  cat > ".$1.new"
  [ -s ".$1.new" ] || { rm ".$1.new"; echo "make-secrets.sh: no $1 was made" >&2; return 1; }
  chmod "$2" ".$1.new" && mv ".$1.new" "$1"
}
random() { openssl rand -base64 48 | tr -d '\n/+='; }

# The containers' users read these; the folder keeps other users out.
for name in jwt_secret api_key_pepper admin_token metrics_token livekit_api_secret mongo_password mongo_keyfile; do
  random | write "$name" 644
done
openssl rand -base64 32 | tr -d '\n' | write data_key 644
printf 'mongodb://pulse:%s@mongodb:27017/?replicaSet=rs0&authSource=admin' "$(cat mongo_password)" | write mongo_uri 644
# LiveKit requires that others cannot read its keys.
printf 'pulse: %s\n' "$(cat livekit_api_secret)" | write livekit_keys 600
# Optional: fill in to use.
for name in redis_url smtp_url otel_headers; do
  [ -e "$name" ] || (umask 022 && : > "$name")
done
