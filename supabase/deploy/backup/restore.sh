#!/bin/sh
# Puts a dump of dump.sh into a fresh Supabase whose database was migrated to the same version (npm run setup) and where nobody works yet.
#   SUPABASE_DB_URL=… ./restore.sh FILE [age identity file]
# All or nothing: one transaction. Afterwards run npm run setup again, with the OVERTURE_KEYS of the old installation.
set -eu
umask 077

: "${SUPABASE_DB_URL:?is not set}"
file=${1:?name the file}
identity=${2:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

case $file in
  *.age)
    [ -n "$identity" ] || { echo "$file is encrypted: name the age identity file." >&2; exit 1; }
    age --decrypt --identity "$identity" "$file" | tar -C "$work" -xf -
    ;;
  *) tar -C "$work" -xf "$file" ;;
esac

query() { psql "$SUPABASE_DB_URL" --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --command="$1"; }
wanted=$(cat "$work/version")
there=$(query 'select max(version) from supabase_migrations.schema_migrations')
if [ "$wanted" != "$there" ]; then
  echo "The dump is of version $wanted, the database of ${there:-none}: check out that version, run npm run setup, restore, then update." >&2
  exit 1
fi
if [ "$(query 'select count(*) from public.members')" != 0 ]; then
  echo "This database has members already. Restore into a fresh one." >&2
  exit 1
fi

# What the migrations and the setup wrote is in the dump as it was last. Triggers and foreign keys rest: the rows were consistent.
{
  echo 'begin;'
  echo "set local session_replication_role = replica;"
  query "select pg_catalog.format('delete from %s;', c.oid::regclass) from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and not c.relispartition and n.nspname in ('public', 'kernel', 'private', 'pgmq', 'auth')
      and c.oid::regclass::text <> 'auth.schema_migrations' and has_table_privilege(c.oid, 'DELETE')"
  # Months that have no partition yet go where a later run of the product finds them.
  pg_restore --data-only --no-owner --file=- "$work/data" | sed 's/^SET session_replication_role.*//'
  echo 'commit;'
} > "$work/restore.sql"
psql "$SUPABASE_DB_URL" --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --file="$work/restore.sql" > /dev/null
query 'analyze'
echo "Restored version $wanted: $(query 'select count(*) from public.tenants') teams."
if [ -f "$work/secrets.env" ]; then
  cp "$work/secrets.env" ./restored-secrets.env
  echo "The secrets of the old installation are in ./restored-secrets.env."
fi
