#!/usr/bin/env bash
# What a stranger with an empty machine sees: the README's first command, in a root folder with the
# oldest Debian whose Python is new enough, and nothing in it but python3, make and this checkout.
#
#   tests/first-run.sh [COMMAND...]        `make demo` if left out
#
# Needs root, mmdebstrap and a Debian mirror; takes some minutes and 2 GB in TMPDIR, and leaves
# nothing. Prints the command's output and, at the end, how long each part took.
set -euo pipefail
if [ "${1:-}" != --inside ]; then
    # What is mounted goes with the mount namespace.
    exec unshare --mount --propagation private bash "$0" --inside "${@:-make demo}"
fi
shift
cd "$(dirname "$0")/.."
suite=bookworm
variant=${VARIANT:-minbase} # apt: still less
work=$(mktemp -d)
root=$work/root
trap 'umount --recursive --lazy "$root" 2>/dev/null || true; rm -rf --one-file-system "$work"' EXIT

# mmdebstrap reads nothing of the host's apt configuration: hand on how to reach a mirror.
{
    apt-config dump | grep -E '^Acquire::(https?::|ForceIPv|Retries|Check-)' | grep -v '"";$' || true
    echo 'Acquire::Check-Valid-Until "false";'
} >"$work/apt.conf"
begin=$SECONDS
mmdebstrap --quiet --mode=root --variant="$variant" --aptopt="$work/apt.conf" \
    --dpkgopt=force-unsafe-io --include=python3,make "$suite" "$root"
made=$((SECONDS - begin))

# The network's settings are this machine's; so are its certificates, which may be its own.
mount --bind "$root" "$root"
for path in /proc /sys /dev; do
    mount --rbind "$path" "$root$path"
done
for file in /etc/resolv.conf /etc/hosts /etc/pip.conf; do
    [ ! -e "$file" ] || cp --dereference "$file" "$root$file"
done
for folder in /etc/ssl/certs /usr/local/share/ca-certificates; do
    [ ! -d "$folder" ] || {
        mkdir -p "$root$folder"
        cp --recursive --dereference "$folder/." "$root$folder"
    }
done
mapfile -t network < <(env | grep -iE '^(pip_|https?_proxy=|no_proxy=|ssl_cert_file=|requests_ca)')

mkdir "$root/root/vboxkit"
git ls-files --cached --others --exclude-standard -z |
    tar --create --null --files-from=- --ignore-failed-read | tar --extract --directory="$root/root/vboxkit"

inside() {
    chroot "$root" /usr/bin/env -i "${network[@]}" HOME=/root TERM=dumb \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
        sh -c 'cd /root/vboxkit && exec "$@"' sh "$@"
}

times=("a root folder with $suite, made: $made s")
# shellcheck disable=SC2016  # that shell's variables
inside sh -c '. /etc/os-release; echo "$PRETTY_NAME, $(python3 --version), $(dpkg -l | grep -c ^ii) packages"'
for command; do
    echo "\$ $command"
    begin=$SECONDS code=0
    inside sh -c "$command" </dev/null || code=$?
    times+=("$command: exit code $code, $((SECONDS - begin)) s")
    [ "$code" = 0 ] || break
done
printf '== %s\n' "${times[@]}"
exit "$code"
