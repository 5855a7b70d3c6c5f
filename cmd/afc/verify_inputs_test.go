package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/testmodels"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// TestVerifyVideos runs source and AFNet on labelled folders of frames.
func TestVerifyVideos(t *testing.T) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	var list strings.Builder
	for v := range 3 {
		name := fmt.Sprintf("class%d/video", v)
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= 6; n++ {
			img := image.NewRGBA(image.Rect(0, 0, 48, 40))
			for i := range 48 * 40 {
				img.SetRGBA(i%48, i/48, color.RGBA{uint8(80*v + n), uint8(5 * (i % 48)), uint8(6 * (i / 48)), 255})
			}
			var b bytes.Buffer
			if err := jpeg.Encode(&b, img, nil); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name, fmt.Sprintf(clips.FrameTemplate, n)), b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Fprintf(&list, "%s 6 %d\n", name, v)
	}
	listFile := writeFile(t, "list.txt", []byte(list.String()))
	source := modelFile(t, testmodels.Spec{Blocks: []int{2, 2, 2, 2}, Width: 8, Frames: 4, Size: 33, Classes: 7})
	af := filepath.Join(t.TempDir(), "af.onnx")
	mustRun(t, "convert", source, "-o", af)

	args := []string{"verify", source, af, "--videos", dir, "--list", listFile, "--only", "reference,agreement", "--threads", "1"}
	var report verify.Report
	if err := json.Unmarshal([]byte(mustRun(t, append(args, "--json")...).stdout), &report); err != nil {
		t.Fatal(err)
	}
	if report.Agreement == nil || report.Agreement.Clips != 3 {
		t.Errorf("agreement %+v, want one of 3 clips", report.Agreement)
	}
	for _, m := range report.Models {
		if m.Accuracy == nil {
			t.Errorf("%s: no accuracy, though every video has a label", m.Role)
		}
	}

	page := filepath.Join(t.TempDir(), "report.html")
	mustRun(t, append(args, "--report", page)...)
	if html, err := os.ReadFile(page); err != nil || !bytes.Contains(html, []byte("3 videos from ")) {
		t.Errorf("the report's page: %v, %d bytes", err, len(html))
	}

	for want, bad := range map[string][]string{
		"choose one":              {"--input", "x.npy"},
		"--mean and --std":        {"--mean", "1,2,3"},
		"expected three numbers":  {"--mean", "1,2", "--std", "1,1,1"},
		"choose a larger scale":   {"--scale", "20"},
		"frame1.png":              {"--template", "frame%d.png"},
		"the output is the input": {"--report", af},
		"there is no folder":      {"--report", filepath.Join(dir, "none", "r.html")},
		"no such file":            {"--list", filepath.Join(dir, "list.txt")},
	} {
		if o := tryRun(t, append(args, bad...)...); o.code != exitUsage && o.code != exitInvalid || !strings.Contains(o.stderr, want) {
			t.Errorf("%v: exit %d, %q does not say %q", bad, o.code, o.stderr, want)
		}
	}
}
