#!/bin/sh
# Runs afc's files in other runtimes and holds docs/PORTABILITY.md to what they
# say; with --quantize, what ONNX Runtime's int8 makes of them, with --speed how fast
# OpenVINO runs them. The runtimes, pinned, go to .portability/ of the project.
set -eu
cd "$(dirname "$0")/.."
home=.portability
die() { echo "portability: $*" >&2; exit 1; }

python=
for p in ${AFC_PYTHON:-} python3.11 python3.10 python3; do
	"$p" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 12))' 2>/dev/null && python=$p && break
done
[ -n "$python" ] || die "needs Python 3.10 or 3.11 with venv; set AFC_PYTHON to one"
command -v npm >/dev/null && command -v node >/dev/null || die "needs node and npm"

# environment NAME REQUIREMENTS: a virtual environment with just these.
environment() {
	if ! cmp -s "$home/$1/requirements.txt" "scripts/portability/$2"; then
		rm -rf "${home:?}/$1"
		"$python" -m venv "$home/$1"
		"$home/$1/bin/pip" install --quiet --disable-pip-version-check --only-binary=:all: -r "scripts/portability/$2"
		cp "scripts/portability/$2" "$home/$1/requirements.txt"
	fi
}
mkdir -p "$home/web"
environment new requirements.txt
environment oldest requirements-oldest.txt
cp scripts/portability/web.mjs "$home/web/"
if ! cmp -s "$home/web/package-lock.json" scripts/portability/package-lock.json || [ ! -d "$home/web/node_modules" ]; then
	cp scripts/portability/package.json scripts/portability/package-lock.json "$home/web/"
	npm ci --prefix "$home/web" --ignore-scripts --silent
fi

go build -o "$home/afc" ./cmd/afc
go build -o "$home/testmodel" ./cmd/testmodel
case "${1:-}" in
--quantize | --speed)
	script=scripts/portability/${1#--}.py
	shift
	exec "$home/new/bin/python" "$script" --afc "$home/afc" --testmodel "$home/testmodel" "$@"
	;;
esac
"$home/new/bin/python" scripts/portability/matrix.py --afc "$home/afc" --testmodel "$home/testmodel" \
	--oldest "$home/oldest/bin/python" --web "$home/web" "$@"
