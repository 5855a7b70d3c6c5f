package ort

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Pinned is the version of ONNX Runtime that afc is tested with, and that
// Install brings.
const Pinned = "1.30.0"

// Digests of the archives that hold the pinned version. npm's holds the
// libraries of every platform.
const (
	npmSHA512   = "twhs1C2C/BFkz1yc5OY0KIU2GUq6DURO7hD4bx5Q2Qy3nAMJwRXW8xU3NVczE29VA9lolLOYepoD8fjTGOfIqw=="
	wheelSHA256 = "fd54b314ea385bcecac69ab431f020ba503e3878dad4ebb645fec5a24b041242" // cp311 manylinux_2_28_x86_64
)

// The most bytes of an archive and of a file unpacked from it.
const (
	maxArchive = 1 << 30
	maxLibrary = 512 << 20
)

// platforms are the folders of npm's archive.
var platforms = map[string]string{
	"linux/amd64": "linux/x64", "linux/arm64": "linux/arm64", "darwin/arm64": "darwin/arm64", "windows/amd64": "win32/x64", "windows/arm64": "win32/arm64",
}

// CacheFolder is where Install puts the library, and Find looks for it: a
// folder of this user, version and platform.
func CacheFolder() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(base, "afc", fmt.Sprintf("onnxruntime-%s-%s-%s", Pinned, runtime.GOOS, runtime.GOARCH)), nil
}

// Install brings the pinned ONNX Runtime into CacheFolder, from npm's registry
// or from PyPI: through their clients, which know of proxies and mirrors, or
// without. What is fetched must have the digest that is pinned here. It does
// nothing where the library is there already. say is told what is being done.
func Install(ctx context.Context, say func(string)) (Library, error) {
	dir, err := CacheFolder()
	if err != nil {
		return Library{}, err
	}
	found := Library{libraryIn(dir), "the user's cache"}
	if found.Path != "" {
		return found, nil
	}
	folder, ok := platforms[runtime.GOOS+"/"+runtime.GOARCH]
	if !ok {
		return Library{}, &UnavailableError{"ONNX Runtime", "there is no prebuilt " + Pinned + " for " + runtime.GOOS + "/" + runtime.GOARCH, "build it and set " + LibraryVariable}
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return Library{}, err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".fetch-")
	if err != nil {
		return Library{}, err
	}
	defer os.RemoveAll(tmp)
	var failed []string
	for _, way := range ways {
		if way.only != "" && way.only != runtime.GOOS+"/"+runtime.GOARCH {
			continue
		}
		say("fetching ONNX Runtime " + Pinned + " with " + way.name)
		raw, err := way.fetch(ctx, tmp)
		if err == nil {
			err = way.unpack(raw, folder, filepath.Join(tmp, "lib"))
		}
		if err == nil {
			if err = os.Rename(filepath.Join(tmp, "lib"), dir); err != nil {
				return Library{}, err
			}
			found.Path = libraryIn(dir)
			return found, nil
		}
		if ctx.Err() != nil {
			return Library{}, ctx.Err()
		}
		failed = append(failed, way.name+": "+err.Error())
		os.RemoveAll(filepath.Join(tmp, "lib"))
	}
	return Library{}, &UnavailableError{"ONNX Runtime", "it cannot be fetched (" + strings.Join(failed, "; ") + ")",
		"make npm's registry or PyPI reachable, or set " + LibraryVariable + " to a library of version " + Pinned}
}

// ways are the places to fetch the archive from, in the order tried.
var ways = []struct {
	name   string
	only   string // platform
	fetch  func(ctx context.Context, tmp string) ([]byte, error)
	unpack func(raw []byte, folder, to string) error
}{
	{"npm", "", withNPM, unpackNPM},
	{"npm's registry", "", fromRegistry, unpackNPM},
	{"pip", "linux/amd64", withPip, unpackWheel},
}

func withNPM(ctx context.Context, tmp string) ([]byte, error) {
	return fetched(ctx, tmp, "*.tgz", "npm", "pack", "--silent", "--ignore-scripts", "onnxruntime-node@"+Pinned)
}

func withPip(ctx context.Context, tmp string) ([]byte, error) {
	return fetched(ctx, tmp, "*.whl", "pip3", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", "3.11",
		"--implementation", "cp", "--abi", "cp311", "--platform", "manylinux_2_28_x86_64", "--dest", ".", "onnxruntime=="+Pinned)
}

// fetched runs a registry's client in a folder and reads the file it left.
func fetched(ctx context.Context, tmp, pattern, client string, args ...string) ([]byte, error) {
	program, err := exec.LookPath(client)
	if err != nil {
		return nil, errors.New("not installed")
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = tmp
	if out, err := cmd.CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return nil, fmt.Errorf("%w: %s", err, lines[len(lines)-1])
	}
	files, err := filepath.Glob(filepath.Join(tmp, pattern))
	if err != nil || len(files) != 1 {
		return nil, fmt.Errorf("it left %d files of %s", len(files), pattern)
	}
	return os.ReadFile(files[0])
}

// fromRegistry reads the archive from the registry that npm would use.
func fromRegistry(ctx context.Context, _ string) ([]byte, error) {
	registry := strings.TrimRight(os.Getenv("npm_config_registry"), "/")
	if registry == "" {
		registry = "https://registry.npmjs.org"
	}
	url := registry + "/onnxruntime-node/-/onnxruntime-node-" + Pinned + ".tgz"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil) // #nosec G704 -- the user's own registry; what comes is held to a checksum
	if err != nil {
		return nil, err
	}
	client := http.Client{Timeout: 15 * time.Minute}
	resp, err := client.Do(req) // #nosec G704 -- see above
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxArchive))
}

// unpackNPM checks npm's archive and writes a platform's libraries to a folder.
func unpackNPM(raw []byte, folder, to string) error {
	sum := sha512.Sum512(raw)
	if got := base64.StdEncoding.EncodeToString(sum[:]); got != npmSHA512 {
		return fmt.Errorf("onnxruntime-node-%s.tgz has SHA-512 %s, expected %s", Pinned, got, npmSHA512)
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	inside := path.Join("package/bin/napi-v6", folder)
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if name := path.Base(h.Name); h.Typeflag == tar.TypeReg && path.Dir(h.Name) == inside && isLibrary(name) {
			if err := writeLibrary(to, name, t); err != nil {
				return err
			}
		}
	}
	return complete(to)
}

// unpackWheel checks PyPI's wheel and writes its library to a folder.
func unpackWheel(raw []byte, _, to string) error {
	sum := sha256.Sum256(raw)
	if got := hex.EncodeToString(sum[:]); got != wheelSHA256 {
		return fmt.Errorf("the wheel has SHA-256 %s, expected %s", got, wheelSHA256)
	}
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		return err
	}
	for _, f := range z.File {
		name := path.Base(f.Name)
		if path.Dir(f.Name) != "onnxruntime/capi" || !isLibrary(name) {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return err
		}
		err = writeLibrary(to, strings.Replace(name, ".so."+Pinned, ".so.1", 1), r)
		if err = errors.Join(err, r.Close()); err != nil {
			return err
		}
	}
	return complete(to)
}

func isLibrary(name string) bool {
	return strings.HasPrefix(name, "libonnxruntime") || strings.HasPrefix(name, "onnxruntime") && strings.HasSuffix(name, ".dll")
}

func writeLibrary(dir, name string, r io.Reader) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, io.LimitReader(r, maxLibrary+1))
	if n > maxLibrary {
		err = fmt.Errorf("%s has more than %d bytes", name, maxLibrary)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// complete reports whether what was unpacked has the library.
func complete(dir string) error {
	if libraryIn(dir) == "" {
		return fmt.Errorf("no %s in the archive", libraryNames()[0])
	}
	return nil
}
