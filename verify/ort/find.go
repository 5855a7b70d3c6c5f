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

const howToGet = "run afc setup, or set " + LibraryVariable + " to ONNX Runtime's shared library"

// Find locates ONNX Runtime's shared library in the first of Places that has
// it; AFC_ORT_LIBRARY must name one if it is set. It fails with
// *UnavailableError.
func Find() (Library, error) {
	if path := os.Getenv(LibraryVariable); path != "" {
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			return Library{}, &UnavailableError{"ONNX Runtime", LibraryVariable + " names " + path + ", which is not a file", "correct the variable or unset it"}
		}
		return Library{path, LibraryVariable}, nil
	}
	places := Places()
	for _, p := range places {
		if p.Found != "" {
			return Library{p.Found, p.What}, nil
		}
	}
	var looked []string
	for _, p := range places {
		if p.What != systemPlace {
			looked = append(looked, p.Folder)
		}
	}
	reason := fmt.Sprintf("no %s in %s, nor in the system's library folders", libraryNames()[0], strings.Join(looked, ", "))
	return Library{}, &UnavailableError{"ONNX Runtime", reason, howToGet}
}

// Place is a folder where ONNX Runtime is looked for.
type Place struct {
	What   string `json:"what"`
	Folder string `json:"folder"`
	Found  string `json:"found,omitempty"` // path of the library, if it is there
}

const systemPlace = "the system's library folders"

// Places lists where ONNX Runtime is looked for, in order: a .ort folder of the
// project (beside or above the executable, in the working folder or up to its
// module's root), the user's cache, beside the executable, an active virtual
// environment of Python, the system's folders.
func Places() []Place {
	var places []Place
	add := func(what string, dirs ...string) {
		for _, dir := range dirs {
			places = append(places, Place{what, dir, libraryIn(dir)})
		}
	}
	projects := projectFolders()
	for _, dir := range projects {
		add("the project's .ort folder", filepath.Join(dir, ".ort"))
	}
	if dir, err := CacheFolder(); err == nil {
		add("the user's cache", dir)
	}
	if exe, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		add("the folder of the program", filepath.Dir(exe), filepath.Join(filepath.Dir(exe), "..", "lib"))
	}
	for _, v := range []string{"VIRTUAL_ENV", "CONDA_PREFIX"} {
		if env := os.Getenv(v); filepath.IsAbs(env) {
			found, _ := filepath.Glob(filepath.Join(env, "lib", "python3*", "site-packages", "onnxruntime", "capi"))
			add("the active Python environment", append(found, filepath.Join(env, "Lib", "site-packages", "onnxruntime", "capi"))...)
		}
	}
	add(systemPlace, systemFolders()...)
	return places
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
