#!/bin/sh
# Known vulnerabilities (govulncheck) and unsafe habits (gosec).
# Usage: check-security.sh GOSEC GOVULNCHECK, each a command line.
set -eu
gosec=$1 govulncheck=$2
mkdir -p build

# Left out, each because it is what a tool that reads the files it is told to
# does, or because the check cannot see the bounds tests before it:
#   G103 unsafe: tensors alias mapped files (graph), checked for alignment
#   G104 unhandled errors: staticcheck and review look after them
#   G115 integer conversion: sizes are checked where they are read
#   G204 subprocess: afc runs itself and ffmpeg
#   G301 G302 G306 permissions: outputs are the user's, the umask decides
#   G304 G703 file path from variable: paths come from the command line and AFC_ORT_LIBRARY
#   G602 slice index: it cannot follow lengths that are equal by construction; the compiler's own
#        checks remain
#   G404 math/rand: test inputs are seeded on purpose
$gosec -quiet -exclude-generated -exclude=G103,G104,G115,G204,G301,G302,G304,G306,G404,G602,G703 ./...

if ! $govulncheck ./... 2>build/govulncheck.log; then
	if grep -q 'fetching vulnerabilities' build/govulncheck.log; then
		echo "check: the vulnerability database is not reachable: govulncheck was not run" >&2
	else
		cat build/govulncheck.log >&2
		exit 1
	fi
fi
