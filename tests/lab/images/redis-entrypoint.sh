#!/bin/sh
# Starts Redis in the manner of the official image: options are redis-server's, and root gives way to the account `redis`.
set -e

case "${1:-}" in
    -* | *.conf) set -- redis-server "$@" ;;
esac
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
    find . ! -user redis -exec chown redis:redis {} +
    exec setpriv --reuid redis --regid redis --clear-groups "$0" "$@"
fi
# The official build answers its neighbours without a password unless told otherwise; Debian's does not.
if [ "$1" = redis-server ]; then
    shift
    case "${1:-}" in
        "" | -*) set -- --protected-mode no "$@" ;;
        *)
            settings=$1
            shift
            set -- "$settings" --protected-mode no "$@"
            ;;
    esac
    set -- redis-server "$@"
fi
exec "$@"
