#!/bin/sh
# As the official image: options alone are Redis's, the server does not run as root, and it lets in those who are not on
# its own machine, unless it is told otherwise.
set -e

case "${1:-}" in
    -* | *.conf) set -- redis-server "$@" ;;
esac
if [ "$1" = redis-server ]; then
    if [ "$(id -u)" = 0 ]; then
        find . ! -user redis -exec chown redis {} +
        # By its path: the shell would take a smaller one of its own.
        exec /usr/bin/setpriv --reuid=redis --regid=redis --clear-groups -- "$0" "$@"
    fi
    case "$*" in
        *protected-mode* | *' --version' | *' -v' | *' --help' | *' -h' | *' --test-memory '*) ;;
        *.conf* | */*) grep -qsE '^ *protected-mode' "$2" || set -- "$@" --protected-mode no ;;
        *) set -- "$@" --protected-mode no ;;
    esac
fi
# Its files are for it alone, unless somebody has said otherwise.
[ "$(umask)" != 0022 ] || umask 0077
exec "$@"
