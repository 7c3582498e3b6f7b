#!/bin/sh
# Starts PostgreSQL in the manner of the official image: on an empty PGDATA it makes the cluster, the account and the database
# that the environment names, and runs /docker-entrypoint-initdb.d; root gives way to the account `postgres`.
set -e

die() {
    echo "$*" >&2
    exit 1
}

# NAME or the contents of the file that NAME_FILE names.
value() {
    eval "plain=\${$1:-} file=\${$1_FILE:-}"
    # shellcheck disable=SC2154 # set by eval
    if [ -n "$file" ]; then cat "$file"; else printf '%s' "$plain"; fi
}

make_cluster() {
    user=$(value POSTGRES_USER)
    user=${user:-postgres}
    password=$(value POSTGRES_PASSWORD)
    database=$(value POSTGRES_DB)
    database=${database:-$user}
    method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    [ -n "$password" ] || [ "$method" = trust ] ||
        die "Error: Database is uninitialized and superuser password is not specified."
    passwords=$(mktemp)
    printf '%s\n' "$password" >"$passwords"
    # shellcheck disable=SC2086 # a list of options
    initdb --username="$user" --pwfile="$passwords" ${POSTGRES_INITDB_ARGS:-}
    rm -f "$passwords"
    printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"

    # A server without the network, so that nobody connects to a half-made database.
    pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -p 5432" -w start
    if [ "$database" != postgres ]; then
        printf 'CREATE DATABASE :"db";\n' | psql -v ON_ERROR_STOP=1 --no-psqlrc -U "$user" -d postgres --set db="$database"
    fi
    for script in /docker-entrypoint-initdb.d/*; do
        # shellcheck disable=SC1090
        case $script in
            *.sh) if [ -x "$script" ]; then "$script"; else . "$script"; fi ;;
            *.sql) psql -v ON_ERROR_STOP=1 --no-psqlrc -U "$user" -d "$database" -f "$script" ;;
        esac
    done
    pg_ctl -D "$PGDATA" -m fast -w stop
    echo "PostgreSQL init process complete; ready for start up."
}

case "${1:-}" in
    -*) set -- postgres "$@" ;;
esac
if [ "$1" = postgres ]; then
    if [ "$(id -u)" = 0 ]; then
        mkdir -p "$PGDATA" /run/postgresql
        find "$PGDATA" /run/postgresql ! -user postgres -exec chown postgres {} +
        chmod 700 "$PGDATA"
        exec setpriv --reuid postgres --regid postgres --clear-groups "$0" "$@"
    fi
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA" || true
    [ -s "$PGDATA/PG_VERSION" ] || make_cluster
fi
exec "$@"
