#!/usr/bin/env bash
set -euo pipefail

readonly LIMIT=10
declare -A sizes=([small]=1 [large]="$LIMIT")

usage() {
  cat <<EOF >&2
usage: ${0##*/} [-n COUNT] FILE...
EOF
  exit "${1:-1}"
}

while getopts ":n:h" option; do
  case "$option" in
    n) count=$OPTARG ;;
    h | \?) usage 0 ;;
  esac
done
shift $((OPTIND - 1))

for file in "$@"; do
  [[ -r $file && ! -d $file ]] || { echo "cannot read $file" >&2; continue; }
  while IFS=$'\t' read -r name size _; do
    if (( size > LIMIT )) || [[ $name =~ ^[a-z]+$ ]]; then
      sizes[$name]=$(( ${sizes[$name]:-0} + size ))
    fi
  done < <(sort -u "$file" | grep -v '^#')
done

trap 'rm -f "$tmp"' EXIT
tmp=$(mktemp)
printf '%s\n' "${!sizes[@]}" | tee "$tmp" >/dev/null 2>&1
diff <(sort "$tmp") "$tmp" && echo "sorted: $(wc -l <"$tmp")" || true
