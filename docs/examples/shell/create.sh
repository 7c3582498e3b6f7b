#!/bin/sh
# create.sh NAME PROFILE: a server at DigitalOcean, by curl and jq. Prints its address; one that is there already is left alone.
#
#   DIGITALOCEAN_ACCESS_TOKEN=… ./create.sh shop ../shop.yaml
#
# `julia-bootstrap launch` does the same, and more.
set -eu
name=$1 profile=$2
api=${DIGITALOCEAN_API_URL:-https://api.digitalocean.com}
region=${REGION:-fra1} size=${SIZE:-s-2vcpu-4gb} image=${IMAGE:-debian-13-x64}

# Given secrets are in the user-data, and the token must not be in the list of processes.
umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "Authorization: Bearer $DIGITALOCEAN_ACCESS_TOKEN" >"$work/header"

call() {
    curl -fsS -H "@$work/header" -H 'Content-Type: application/json' "$@"
}

# What there is of that name; a refusal ends the script.
look() {
    call "$api/v2/droplets?name=$name" >"$work/droplets"
}

look
if [ "$(jq '.droplets | length' "$work/droplets")" = 0 ]; then
    julia-bootstrap render "$profile" --provider digitalocean -o "$work/user-data"
    jq -n --arg name "$name" --arg region "$region" --arg size "$size" --arg image "$image" --rawfile user_data "$work/user-data" \
        '{name: $name, region: $region, size: $size, image: $image, ipv6: true, user_data: $user_data}' >"$work/order"
    call --data "@$work/order" "$api/v2/droplets" >/dev/null
fi

# The address comes some seconds after the order.
for _ in $(seq 60); do
    look
    found=$(jq -r '[.droplets[].networks.v4[] | select(.type == "public").ip_address][0] // empty' "$work/droplets")
    if [ -n "$found" ]; then
        echo "$found"
        exit
    fi
    sleep "${PAUSE:-5}"
done
echo "$name has no address yet" >&2
exit 1
