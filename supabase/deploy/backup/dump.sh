#!/bin/sh
# A consistent dump of an installation on a Supabase of your own, encrypted, with rotation. For cron:
#   17 2 * * *  SUPABASE_DB_URL=… OVERTURE_BACKUP_DIR=/backups OVERTURE_BACKUP_RECIPIENT=age1… /path/to/dump.sh
#
# SUPABASE_DB_URL            connection of the role postgres, straight to the database (no transaction pooler)
# OVERTURE_BACKUP_DIR        where the files go; another machine's disk or a mounted bucket
# OVERTURE_BACKUP_KEEP       how many are kept; 14 unless set
# OVERTURE_BACKUP_RECIPIENT  public key of age (age-encryption.org); without one the file is not encrypted
# OVERTURE_ENV_FILE          the file with OVERTURE_KEYS and the other secrets; packed beside the dump, only where it is encrypted
#
# The schema is not in it but the data of everything the product and Auth own: a restore migrates a fresh Supabase first.
set -eu
umask 077

: "${SUPABASE_DB_URL:?is not set}" "${OVERTURE_BACKUP_DIR:?is not set}"
keep=${OVERTURE_BACKUP_KEEP:-14}
recipient=${OVERTURE_BACKUP_RECIPIENT:-}
stamp=$(date -u +%Y-%m-%dT%H-%M-%S)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

mkdir -p "$OVERTURE_BACKUP_DIR"
mkdir "$work/dump"
# Unlogged tables are scratch space, cron's log is Supabase's, and pg_cron's jobs are registered by the setup.
pg_dump "$SUPABASE_DB_URL" --format=directory --jobs=2 --compress=6 --data-only --no-unlogged-table-data \
  --schema=public --schema=kernel --schema=private --schema=pgmq --schema=auth \
  --exclude-table='auth.schema_migrations' --file="$work/dump/data"
psql "$SUPABASE_DB_URL" --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 \
  --command='select max(version) from supabase_migrations.schema_migrations' > "$work/dump/version"
[ -s "$work/dump/version" ] || { echo "The database has no migrations: is this the right one?" >&2; exit 1; }

if [ -n "$recipient" ]; then
  if [ -n "${OVERTURE_ENV_FILE:-}" ]; then cp "$OVERTURE_ENV_FILE" "$work/dump/secrets.env"; fi
  name="overture-$stamp.tar.age"
  tar -C "$work/dump" -cf - . | age --encrypt --recipient "$recipient" --output "$OVERTURE_BACKUP_DIR/$name.part"
else
  if [ -n "${OVERTURE_ENV_FILE:-}" ]; then echo "The secrets are left out: set OVERTURE_BACKUP_RECIPIENT to pack them." >&2; fi
  name="overture-$stamp.tar"
  tar -C "$work/dump" -cf "$OVERTURE_BACKUP_DIR/$name.part" .
fi
mv "$OVERTURE_BACKUP_DIR/$name.part" "$OVERTURE_BACKUP_DIR/$name"

# Only ours by name, and only after a new one is there.
find "$OVERTURE_BACKUP_DIR" -maxdepth 1 -type f -name 'overture-20*.tar*' ! -name '*.part' | sort -r | tail -n "+$((keep + 1))" |
  while IFS= read -r old; do rm -f -- "$old"; done
echo "$OVERTURE_BACKUP_DIR/$name"
