#!/bin/sh
# Makes the list of what is in afc (CycloneDX, build/afc.cdx.json) and holds it to
# the modules that Go built into the program.
# Usage: check-sbom.sh CYCLONEDX, a command line.
set -eu
cyclonedx=$1
mkdir -p build
if [ -f .git ]; then
	echo "check: the list of components is made in a clone, not in a worktree: it was not made" >&2
	exit 0
fi
if ! $cyclonedx app -json -licenses -noserial -main cmd/afc -output build/afc.cdx.json . 2>build/cyclonedx.log; then
	cat build/cyclonedx.log >&2
	exit 1
fi
go build -trimpath -o build/afc-sbom ./cmd/afc
go version -m build/afc-sbom | awk '$1 == "dep" { print $2 "@" $3 }' | LC_ALL=C sort >build/modules.txt
rm build/afc-sbom
tr ',' '\n' <build/afc.cdx.json | sed -n 's/.*"purl": *"pkg:golang\/\([^?"]*\).*/\1/p' | grep -v '^github.com/afc-project/afc@' | LC_ALL=C sort -u >build/components.txt
[ -s build/components.txt ] && diff build/modules.txt build/components.txt || {
	echo "check: build/afc.cdx.json does not list the modules of the program (< program, > list)" >&2
	exit 1
}
