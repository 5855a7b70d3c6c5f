// Package scripts holds the shell scripts behind make, and their tests.
package scripts

import (
	"bytes"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/afc-project/afc/internal/testutil"
)

// script returns the path of one of the scripts, where there is a shell.
func script(t *testing.T, name string) string {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip(err)
	}
	return filepath.Join(testutil.Root(t), "scripts", name)
}

func write(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestFuzz: a find, and anything else that goes wrong, ends the run; that time
// ran out in the middle of an input does not.
func TestFuzz(t *testing.T) {
	text, err := os.ReadFile(script(t, "fuzz.sh"))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	write(t, filepath.Join(root, "scripts/fuzz.sh"), string(text), 0o755)
	write(t, filepath.Join(root, "a", "x_test.go"), "func FuzzOne(f *testing.F) {\nfunc FuzzTwo(f *testing.F) {\n", 0o644)
	for name, tc := range map[string]struct {
		says  string // what go test prints when it fails, "" where it passes
		fails bool
	}{
		"passes":    {"", false},
		"find":      {"    Failing input written to testdata/fuzz/FuzzOne/x\n    context deadline exceeded", true},
		"late":      {"--- FAIL: FuzzOne (60.04s)\n    context deadline exceeded", false},
		"not built": {"undefined: x", true},
	} {
		t.Run(name, func(t *testing.T) {
			tools := t.TempDir()
			body := "echo 'fuzz: elapsed: 5s, execs: 1'\n"
			if tc.says != "" {
				body = fmt.Sprintf("cat <<'END'\n%s\nEND\nexit 1\n", tc.says)
			}
			write(t, filepath.Join(tools, "go"), "#!/bin/sh\n"+body, 0o755)
			cmd := exec.Command(filepath.Join(root, "scripts/fuzz.sh"), "5s")
			cmd.Env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			if (err != nil) != tc.fails || !tc.fails && strings.Count(string(out), "./a Fuzz") != 2 {
				t.Errorf("%v, output %q; want failure %v", err, out, tc.fails)
			}
		})
	}
}

// TestCheckSecurity: what the checkers say decides; that the database of
// vulnerabilities cannot be reached is said and let pass, anything else is not.
func TestCheckSecurity(t *testing.T) {
	dir := t.TempDir()
	tool := func(name, body string) string {
		return write(t, filepath.Join(dir, name), "#!/bin/sh\n"+body+"\n", 0o755)
	}
	good := tool("good", "exit 0")
	for _, tc := range []struct {
		name, gosec, govulncheck string
		fails                    bool
		want                     string
	}{
		{"clean", good, good, false, ""},
		{"unsafe habit", tool("gosec", "echo 'G401: weak'; exit 1"), good, true, "G401: weak"},
		{"vulnerable", good, tool("found", "echo GO-2026-0001; exit 3"), true, "GO-2026-0001"},
		{"unreachable", good, tool("unreachable", "echo 'govulncheck: fetching vulnerabilities: no such host' >&2; exit 1"), false, "govulncheck was not run"},
		{"broken", good, tool("broken", "echo 'no required module provides it' >&2; exit 1"), true, "no required module"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := exec.Command(script(t, "check-security.sh"), tc.gosec, tc.govulncheck)
			cmd.Dir = t.TempDir()
			out, err := cmd.CombinedOutput()
			if (err != nil) != tc.fails || !strings.Contains(string(out), tc.want) {
				t.Errorf("%v, output %q; want failure %v with %q", err, out, tc.fails, tc.want)
			}
		})
	}
}

// TestGovulncheck runs the pinned govulncheck through the script on a program
// that calls one function, with databases of one made-up entry.
func TestGovulncheck(t *testing.T) {
	if testing.Short() {
		t.Skip("builds govulncheck")
	}
	makefile, err := os.ReadFile(filepath.Join(testutil.Root(t), "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	pinned := regexp.MustCompile(`golang\.org/x/vuln/cmd/govulncheck@\S+`).FindString(string(makefile))
	bin := t.TempDir()
	install := exec.Command("go", "install", pinned)
	install.Env = append(os.Environ(), "GOBIN="+bin)
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("no %s here: %v %s", pinned, err, out)
	}
	program := t.TempDir()
	write(t, filepath.Join(program, "go.mod"), "module program\n\ngo "+strings.TrimPrefix(runtime.Version(), "go")+"\n", 0o644)
	write(t, filepath.Join(program, "main.go"), "package main\n\nimport \"strings\"\n\nfunc main() { println(strings.Repeat(\"x\", 3)) }\n", 0o644)
	for _, tc := range []struct {
		name, db string
		fails    bool
		want     string
	}{
		{"called", " -db " + vulnerability(t, "Repeat"), true, "GO-2026-0001"},
		{"not called", " -db " + vulnerability(t, "Fields"), false, ""},
		{"unreachable", "", false, "govulncheck was not run"}, // see HTTPS_PROXY below
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := exec.Command(script(t, "check-security.sh"), "true", filepath.Join(bin, "govulncheck")+tc.db)
			cmd.Dir = program
			cmd.Env = append(os.Environ(), "HTTPS_PROXY=http://127.0.0.1:1")
			out, err := cmd.CombinedOutput()
			if (err != nil) != tc.fails || !strings.Contains(string(out), tc.want) {
				t.Errorf("%v, output %q; want failure %v with %q", err, out, tc.fails, tc.want)
			}
		})
	}
}

// vulnerability writes a database (https://go.dev/doc/security/vuln/database)
// that says a function of package strings is vulnerable, and returns its URL.
func vulnerability(t *testing.T, function string) string {
	dir := t.TempDir()
	const day = `"2026-01-01T00:00:00Z"`
	for name, text := range map[string]string{
		"index/db.json":      `{"modified":` + day + `}`,
		"index/modules.json": `[{"path":"stdlib","vulns":[{"id":"GO-2026-0001","modified":` + day + `}]}]`,
		"index/vulns.json":   `[{"id":"GO-2026-0001","modified":` + day + `}]`,
		"ID/GO-2026-0001.json": `{"schema_version":"1.3.1","id":"GO-2026-0001","modified":` + day + `,"published":` + day + `,
			"summary":"made up","details":"made up","affected":[{"package":{"name":"stdlib","ecosystem":"Go"},
			"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}],
			"ecosystem_specific":{"imports":[{"path":"strings","symbols":["` + function + `"]}]}}],
			"database_specific":{"url":"https://pkg.go.dev/vuln/GO-2026-0001","review_status":"REVIEWED"}}`,
	} {
		write(t, filepath.Join(dir, name), text, 0o644)
	}
	return "file://" + dir
}

// TestBuildIsReproducible builds the program twice, from two folders: the bytes
// must be the same.
func TestBuildIsReproducible(t *testing.T) {
	if testing.Short() {
		t.Skip("links the program twice")
	}
	root := testutil.Root(t)
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.CopyFS(elsewhere, sources{os.DirFS(root)}); err != nil {
		t.Fatal(err)
	}
	var built [2][]byte
	for i, folder := range []string{root, elsewhere} {
		out := filepath.Join(t.TempDir(), "afc")
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", out, "./cmd/afc")
		cmd.Dir = folder
		if msg, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, msg)
		}
		var err error
		if built[i], err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(built[0], built[1]) {
		t.Errorf("two builds of one source differ: %d and %d bytes", len(built[0]), len(built[1]))
	}
}

// sources shows of a repository what the build reads.
type sources struct{ fs.FS }

func (s sources) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(s.FS, name)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		return strings.HasPrefix(e.Name(), ".") || e.Name() == "testdata" || e.Name() == "exports" ||
			name == "." && (e.Name() == "bin" || e.Name() == "build")
	}), err
}

// TestFetchORT: an archive with another checksum than the pinned one is
// refused and leaves nothing; the pinned one is taken, and a library that was
// changed since is fetched again.
func TestFetchORT(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("names the archive's folder for Linux on x86-64")
	}
	for _, tool := range []string{"openssl", "tar"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	text, err := os.ReadFile(script(t, "fetch-ort.sh"))
	if err != nil {
		t.Fatal(err)
	}
	// npm packs a library that anyone could have made; there is no pip.
	archive := filepath.Join(t.TempDir(), "archive.tgz")
	content := t.TempDir()
	write(t, filepath.Join(content, "package/bin/napi-v6/linux/x64/libonnxruntime.so.1"), "a library", 0o644)
	if out, err := exec.Command("tar", "-czf", archive, "-C", content, "package").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	packed, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(packed)
	tools := t.TempDir()
	write(t, filepath.Join(tools, "npm"), fmt.Sprintf("#!/bin/sh\ncp %q onnxruntime-node-1.30.0.tgz\n", archive), 0o755)
	for _, pip := range []string{"pip", "pip3", "python3"} {
		write(t, filepath.Join(tools, pip), "#!/bin/sh\nexit 1\n", 0o755)
	}
	fetch := func(root string) (string, error) {
		cmd := exec.Command(filepath.Join(root, "scripts", "fetch-ort.sh"))
		cmd.Env = []string{"PATH=" + tools + ":" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir()}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}

	root := t.TempDir()
	write(t, filepath.Join(root, "scripts/fetch-ort.sh"), string(text), 0o755)
	out, err := fetch(root)
	if err == nil || !strings.Contains(out, "has SHA-512") {
		t.Errorf("another archive: %v, %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(root, ".ort")); err == nil {
		t.Error("a library was installed although its archive was refused")
	}

	pinned := regexp.MustCompile(`(?m)^npm_sha512=.*$`).ReplaceAllString(string(text), "npm_sha512="+base64.StdEncoding.EncodeToString(sum[:]))
	write(t, filepath.Join(root, "scripts/fetch-ort.sh"), pinned, 0o755)
	library := filepath.Join(root, ".ort", "libonnxruntime.so.1")
	for _, before := range []string{"", "a library", "a library, changed"} {
		if before != "" {
			write(t, library, before, 0o644)
		}
		out, err := fetch(root)
		if got, rerr := os.ReadFile(library); err != nil || rerr != nil || string(got) != "a library" {
			t.Errorf("with %q there before: %v, %v, library %q\n%s", before, err, rerr, got, out)
		}
	}
}

// dockerfile reads the instructions of the Dockerfile, continued lines joined.
func dockerfile(t *testing.T) []string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(testutil.Root(t), "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(string(raw), "\\\n", " ")) {
		if line = strings.Join(strings.Fields(line), " "); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// dockerFaults says what is wrong with a Dockerfile for afc: bases that are not
// pinned, another Go than go.mod's, files from elsewhere, root at the end.
func dockerFaults(lines []string, goVersion string) []string {
	var faults []string
	user, entry := "", ""
	for _, line := range lines {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "FROM":
			user, entry = "", ""
			image, _, _ := strings.Cut(rest, " ")
			name, tag, _ := strings.Cut(image, ":")
			if tag == "" || strings.Contains(tag, "latest") {
				faults = append(faults, image+" is not pinned")
			}
			if name == "golang" && !strings.HasPrefix(tag, goVersion+"-") {
				faults = append(faults, image+" is not Go "+goVersion)
			}
		case "ADD":
			faults = append(faults, "ADD fetches and unpacks: COPY does not")
		case "USER":
			user = rest
		case "ENTRYPOINT":
			entry = rest
		}
		if strings.Contains(line, "curl ") || strings.Contains(line, "wget ") {
			faults = append(faults, "what is fetched is not checked: "+line)
		}
	}
	if id, err := strconv.Atoi(user); err != nil || id == 0 {
		faults = append(faults, fmt.Sprintf("it ends as user %q, not as a numbered one other than root", user))
	}
	if entry != `["afc"]` {
		faults = append(faults, "its entry point is "+entry)
	}
	return faults
}

// TestDockerfile: there is no engine to build it with in these tests; what makes
// such files go wrong is looked at instead.
func TestDockerfile(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join(testutil.Root(t), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(mod))[1]
	lines := dockerfile(t)
	for _, fault := range dockerFaults(lines, version) {
		t.Error(fault)
	}
	for _, line := range lines { // what it copies from the repository is there
		if files, ok := strings.CutPrefix(line, "COPY "); ok && !strings.HasPrefix(files, "--from") {
			names := strings.Fields(files)
			for _, name := range names[:len(names)-1] {
				if _, err := os.Stat(filepath.Join(testutil.Root(t), name)); err != nil {
					t.Errorf("%s: %v", line, err)
				}
			}
		}
	}
	for want, lines := range map[string][]string{
		"not pinned":      {"FROM debian", "USER 1", `ENTRYPOINT ["afc"]`},
		"debian:latest":   {"FROM debian:latest", "USER 1", `ENTRYPOINT ["afc"]`},
		"is not Go":       {"FROM golang:1.2-bookworm", "USER 1", `ENTRYPOINT ["afc"]`},
		"ADD":             {"FROM debian:12", "ADD x /", "USER 1", `ENTRYPOINT ["afc"]`},
		"not checked":     {"FROM debian:12", "RUN curl x | sh", "USER 1", `ENTRYPOINT ["afc"]`},
		`as user ""`:      {"FROM debian:12", "USER 1", "FROM debian:12", `ENTRYPOINT ["afc"]`},
		`as user "root"`:  {"FROM debian:12", "USER root", `ENTRYPOINT ["afc"]`},
		"its entry point": {"FROM debian:12", "USER 1"},
	} {
		if faults := dockerFaults(lines, version); len(faults) != 1 || !strings.Contains(faults[0], want) {
			t.Errorf("%q: %q, want %q", lines, faults, want)
		}
	}
}

// TestCheckSBOM: a list of components that is not that of the program's modules
// fails, and so does the tool that makes it.
func TestCheckSBOM(t *testing.T) {
	text, err := os.ReadFile(script(t, "check-sbom.sh"))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	sbom := write(t, filepath.Join(root, "check-sbom.sh"), string(text), 0o755)
	tools := t.TempDir()
	write(t, filepath.Join(tools, "go"), "#!/bin/sh\n[ \"$1\" = build ] && touch \"$4\"\nprintf '\\tdep\\texample.org/a\\tv1\\th1:x\\n'\n", 0o755)
	list := func(components string) string {
		return write(t, filepath.Join(tools, "cyclonedx"), "#!/bin/sh\necho '"+components+"' >build/afc.cdx.json\n", 0o755)
	}
	for _, tc := range []struct {
		name, components string
		fails            bool
	}{
		{"right", `"purl": "pkg:golang/github.com/afc-project/afc@v0", "purl": "pkg:golang/example.org/a@v1?type=module",`, false},
		{"another version", `"purl": "pkg:golang/example.org/a@v2?type=module",`, true},
		{"one more", `"purl": "pkg:golang/example.org/a@v1?type=module", "purl": "pkg:golang/b@v1"`, true},
		{"empty", `{}`, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := exec.Command(sbom, list(tc.components))
			cmd.Dir = root
			cmd.Env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"))
			if out, err := cmd.CombinedOutput(); (err != nil) != tc.fails {
				t.Errorf("%v, %s; want failure %v", err, out, tc.fails)
			}
		})
	}
	cmd := exec.Command(sbom, "false")
	cmd.Dir = root
	if err := cmd.Run(); err == nil {
		t.Error("the tool fails, the check passes")
	}
}
