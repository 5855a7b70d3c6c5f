package atomicfile

import (
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// owner begins the random part of a temporary file's name: which machine, and
// which process on it, writes the file.
func owner() string { return fmt.Sprintf("%s-%d-", machine(), os.Getpid()) }

func machine() string {
	name, err := os.Hostname()
	if err != nil {
		return "0"
	}
	h := fnv.New32a()
	h.Write([]byte(name))
	return strconv.FormatUint(uint64(h.Sum32()), 36)
}

// removeStale deletes temporary files for the same target whose process, on this
// machine, is no more.
func removeStale(dir, base string) {
	entries, err := os.ReadDir(filepath.Clean(dir + "."))
	if err != nil {
		return
	}
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), "."+base+".afc-"+machine()+"-")
		pid, rest, cut := strings.Cut(rest, "-")
		n, err := strconv.Atoi(pid)
		if ours && cut && err == nil && strings.HasSuffix(rest, ".tmp") && n != os.Getpid() && !running(n) {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
