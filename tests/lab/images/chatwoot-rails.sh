#!/bin/sh
# Chatwoot's docker/entrypoints/rails.sh in small: waits for PostgreSQL, then becomes the command.
set -e

rm -f /app/tmp/pids/server.pid
until /usr/lib/postgresql/17/bin/pg_isready -q -h "${POSTGRES_HOST:-localhost}" -p "${POSTGRES_PORT:-5432}"; do
    echo "Waiting for postgres to become ready...."
    sleep 2
done
exec "$@"
