package ort

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// LibraryVariable is the environment variable that names ONNX Runtime's
// shared library.
const LibraryVariable = "AFC_ORT_LIBRARY"

// Library is an ONNX Runtime shared library on disk.
type Library struct {
	Path string
	From string // how it was found: the variable, the project's .ort, the system's folders
}

// UnavailableError says that ONNX Runtime, or a provider of it, cannot be
// used here.
type UnavailableError struct {
	What   string // "ONNX Runtime", "provider cuda"
	Reason string
	Do     string // what the user can do about it
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("%s is not available: %s; %s", e.What, e.Reason, e.Do)
}

const howToGet = "run scripts/fetch-ort.sh, or set " + LibraryVariable + " to ONNX Runtime's shared library"

// Find locates ONNX Runtime's shared library: what AFC_ORT_LIBRARY names, else
// a .ort folder of the project (beside or above the executable, in the working
// folder or up to its module's root), else the system's library folders. It
// fails with *UnavailableError.
func Find() (Library, error) {
	if path := os.Getenv(LibraryVariable); path != "" {
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			return Library{}, &UnavailableError{"ONNX Runtime", LibraryVariable + " names " + path + ", which is not a file", "correct the variable or unset it"}
		}
		return Library{path, LibraryVariable}, nil
	}
	projects := projectFolders()
	for _, dir := range projects {
		if path := libraryIn(filepath.Join(dir, ".ort")); path != "" {
			return Library{path, "the project's .ort folder"}, nil
		}
	}
	for _, dir := range systemFolders() {
		if path := libraryIn(dir); path != "" {
			return Library{path, "the system's library folders"}, nil
		}
	}
	reason := fmt.Sprintf("no %s in .ort of %s, nor in the system's library folders", libraryNames()[0], strings.Join(projects, ", "))
	return Library{}, &UnavailableError{"ONNX Runtime", reason, howToGet}
}

// projectFolders lists where a .ort folder is looked for. It never leaves the
// working folder's module, so that a stray .ort higher up is not loaded.
func projectFolders() []string {
	var dirs []string
	add := func(dir string) {
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	if exe, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		dir := filepath.Dir(exe)
		add(dir)
		if filepath.Base(dir) == "bin" {
			add(filepath.Dir(dir))
		}
	}
	wd, err := os.Getwd()
	if err != nil {
		return dirs
	}
	add(wd)
	for dir := wd; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			add(dir)
			break
		}
		if filepath.Dir(dir) == dir {
			break
		}
	}
	return dirs
}

func systemFolders() []string {
	var dirs []string
	for _, v := range []string{"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"} {
		for _, dir := range filepath.SplitList(os.Getenv(v)) {
			if filepath.IsAbs(dir) {
				dirs = append(dirs, dir)
			}
		}
	}
	dirs = append(dirs, "/usr/local/lib", "/opt/onnxruntime/lib")
	switch runtime.GOARCH {
	case "amd64":
		dirs = append(dirs, "/usr/lib/x86_64-linux-gnu")
	case "arm64":
		dirs = append(dirs, "/usr/lib/aarch64-linux-gnu")
	}
	return append(dirs, "/usr/lib64", "/usr/lib", "/opt/homebrew/lib")
}

// libraryNames lists the file names of the library, plainest first; the last
// is a pattern.
func libraryNames() []string {
	switch runtime.GOOS {
	case "darwin":
		return []string{"libonnxruntime.dylib", "libonnxruntime.1.dylib", "libonnxruntime.*.dylib"}
	case "windows":
		return []string{"onnxruntime.dll"}
	}
	return []string{"libonnxruntime.so", "libonnxruntime.so.1", "libonnxruntime.so.*"}
}

// libraryIn returns the library in a folder, "" if there is none. Of several
// versions it takes the name that sorts last.
func libraryIn(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	for _, pattern := range libraryNames() {
		for _, e := range slices.Backward(entries) {
			if ok, _ := filepath.Match(pattern, e.Name()); ok && !e.IsDir() {
				return filepath.Join(dir, e.Name())
			}
		}
	}
	return ""
}
