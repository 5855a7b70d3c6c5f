package architecture

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc/internal/testutil"
)

const module = "github.com/afc-project/afc/"

// rooms says which packages of ours each room may import (docs/ARCHITECTURE.md).
// Helpers under internal/ are open to all; they may import only graph.
var rooms = map[string][]string{
	"graph":      {},
	"afblock":    {"graph"},
	"codegen":    {"afblock", "graph"},
	"passes":     {"graph", "afblock", "codegen"},
	"verify":     {"graph"},
	"testmodels": {"graph"},
	"internal":   {"graph"},
	"scripts":    {},
	"cmd":        {"graph", "afblock", "codegen", "passes", "verify"},
}

// onlyIn says in which folder an import from outside may stand.
var onlyIn = map[string]string{
	"google.golang.org/protobuf/":     "graph",
	"github.com/yalue/onnxruntime_go": "verify",
	"github.com/urfave/cli/":          "cmd",
	"testing":                         "internal/testutil",
}

func TestImports(t *testing.T) {
	list := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "./...")
	list.Dir = testutil.Root(t)
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) < len(rooms) {
		t.Fatalf("go list names only %d packages", len(lines))
	}
	for _, line := range lines {
		fields := strings.Fields(line)
		pkg := strings.TrimPrefix(fields[0], module)
		room, rest, _ := strings.Cut(pkg, "/")
		allowed, known := rooms[room]
		if !known {
			t.Errorf("package %s is in no room", pkg)
			continue
		}
		for _, imp := range fields[1:] {
			if ours, ok := strings.CutPrefix(imp, module); ok {
				to, _, _ := strings.Cut(ours, "/")
				command := strings.HasPrefix(rest, "cmd/") // a room's own tool
				if to != room && to != "internal" && !slices.Contains(allowed, to) && !command {
					t.Errorf("%s imports %s; %s may import %v", pkg, ours, room, allowed)
				}
			}
			for outside, folder := range onlyIn {
				if strings.HasPrefix(imp+"/", strings.TrimSuffix(outside, "/")+"/") && pkg != folder && !strings.HasPrefix(pkg, folder+"/") {
					t.Errorf("%s imports %s, which belongs in %s", pkg, imp, folder)
				}
			}
		}
	}
}
