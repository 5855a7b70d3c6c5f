package afc

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Version is the release, which names itself in the models it writes; the
// linker may set another (-X github.com/afc-project/afc.Version=…).
var Version = "0.1.0"

// Program names release, commit if the build knows it, Go and platform.
func Program() string {
	commit := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				commit = " (" + s.Value[:12] + ")"
			}
		}
	}
	return fmt.Sprintf("afc %s%s %s %s/%s", Version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
