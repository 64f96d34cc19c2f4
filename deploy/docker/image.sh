#!/bin/sh
# Lays out the files of the image: the program with the libraries that it is linked with, a user, names and authorities.
#
#   image.sh PROGRAM DIRECTORY       makes DIRECTORY/root, all of the image, and DIRECTORY/app, which its user owns
#
# It runs where the program was built or runs, since its libraries are taken from there.
set -eu
# Whoever runs it in the image is somebody else.
umask 022

[ $# -eq 2 ] || { echo "image.sh: say which program, and a directory: image.sh PROGRAM DIRECTORY" >&2; exit 2; }
program=$1
root=$2/root
[ -x "$program" ] || { echo "image.sh: $program is no program" >&2; exit 1; }
[ ! -e "$root" ] || { echo "image.sh: $root is there already" >&2; exit 1; }

mkdir -p "$root/usr/local/bin" "$root/etc/ssl/certs" "$root/tmp" "$2/app/clusters"
chmod 1777 "$root/tmp"
cp "$program" "$root/usr/local/bin/throome"
chmod 755 "$root/usr/local/bin/throome"
ln -s throome "$root/usr/local/bin/throome-cli"

# Each library at the path by which the loader looks for it, and the loader itself.
missing=$(ldd "$program" | grep 'not found' || true)
[ -z "$missing" ] || { echo "image.sh: a library of $program is missing here:$missing" >&2; exit 1; }
ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done

# Clients of TLS look here. Without it every certificate of a public authority would be refused.
authorities=/etc/ssl/certs/ca-certificates.crt
[ -s "$authorities" ] || { echo "image.sh: $authorities is not there; install ca-certificates" >&2; exit 1; }
cp -L "$authorities" "$root$authorities"

# 65532 is nobody's on most machines, and the same in other images without a shell.
cat >"$root/etc/passwd" <<'END'
root:x:0:0:root:/:/sbin/nologin
throome:x:65532:65532:throome:/app:/sbin/nologin
END
cat >"$root/etc/group" <<'END'
root:x:0:
throome:x:65532:
END
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
