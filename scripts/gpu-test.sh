#!/bin/sh
# Runs the tests of GPU providers. Without a GPU they run on SwiftShader, the
# software Vulkan driver in Debian's chromium package, which is installed here
# if that can be done; otherwise the tests are skipped, saying so.
set -eu
cd "$(dirname "$0")/.."

note() { echo "gpu-test: $*" >&2; }
loader() { ldconfig -p 2>/dev/null | grep -q 'libvulkan\.so\.1'; }
swiftshader() { find /usr/lib/chromium /usr/lib/chromium-browser -name vk_swiftshader_icd.json 2>/dev/null | head -n 1; }

if [ -z "${VK_ICD_FILENAMES:-}" ] && [ -z "${VK_DRIVER_FILES:-}" ]; then
	if { [ -z "$(swiftshader)" ] || ! loader; } && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		note "installing chromium and the Vulkan loader"
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium libvulkan1; } >/dev/null ||
			note "apt-get failed"
	fi
	icd=$(swiftshader)
	if [ -n "$icd" ]; then
		export VK_ICD_FILENAMES="$icd" VK_DRIVER_FILES="$icd"
		note "using $icd"
	else
		note "no vk_swiftshader_icd.json: install Debian's chromium and libvulkan1, or set VK_ICD_FILENAMES to a driver; the tests will skip"
	fi
fi
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}"
exec go test -count=1 -timeout 20m -run 'WebGPU|Provider' -v ./verify/...
