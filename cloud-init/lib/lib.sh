# shellcheck shell=sh
# What the shell stages share. Sourced, never run.
set -eu
NAME=$(python3 -c 'import json;print(json.load(open("/etc/julia-bootstrap/plan.json"))["name"])')
VAR=/var/lib/julia-bootstrap
export NAME VAR ATTEMPT="${ATTEMPT:-1}" DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1

get() { # a value of plan.json: lists come one item a line
  python3 - "$1" <<'PY'
import json, sys
v = json.load(open("/etc/julia-bootstrap/plan.json"))
for k in sys.argv[1].split("."):
    v = v.get(k) if isinstance(v, dict) else None
for x in v if isinstance(v, list) else [v]:
    print("" if x is None else x)
PY
}

apt_get() {
  apt-get -qy -o DPkg::Lock::Timeout=900 -o Acquire::Retries=3 -o Acquire::http::Timeout=30 \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
}

# What a power cut in the middle of an installation can leave behind: packages that dpkg believes in
# and whose files never reached the disk, and empty files in /etc where a package's own script
# had just written one (dpkg's are synced, those are not). Both are what is new since it began.
present() {
  dpkg-query -Wf '${Package}\n'
  find /etc -xdev -type f -empty ! -path '/etc/julia-bootstrap/*'
}

repair() {
  [ -e "$VAR/apt-running" ] || return 0
  dpkg --configure -a --force-confdef --force-confold || :
  if ! cmp -s "$VAR/apt-running" /proc/sys/kernel/random/boot_id; then
    echo "interrupted: repairing"
    apt-get clean
    find /var/lib/apt/lists -type f -delete
    apt_get update
    apt_get -f install
    present | sort | comm -13 "$VAR/apt-before" - >/run/julia-bootstrap/new
    grep ^/ /run/julia-bootstrap/new | xargs -rd '\n' rm -f
    grep -v ^/ /run/julia-bootstrap/new | UCF_FORCE_CONFFMISS=1 xargs -r apt-get -qy -o DPkg::Lock::Timeout=900 \
      -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-confmiss install --reinstall
  fi
  apt_get -f install
}

install() {
  # One stage at a time, beneath apt's own lock, so that the marker tells the truth.
  exec 9>/run/julia-bootstrap/apt.lock
  flock 9
  repair
  if [ ! -e "$VAR/apt-running" ]; then
    present | sort >"$VAR/apt-before"
    sync "$VAR/apt-before"
  fi
  cat /proc/sys/kernel/random/boot_id >"$VAR/apt-running"
  sync "$VAR/apt-running" "$VAR"
  if [ "$ATTEMPT" != 1 ] || [ ! -e /run/julia-bootstrap/apt-updated ]; then apt_get update; fi
  : >/run/julia-bootstrap/apt-updated
  apt_get install --no-install-recommends "$@"
  sync
  rm -f "$VAR/apt-running"
  exec 9>&-
}
