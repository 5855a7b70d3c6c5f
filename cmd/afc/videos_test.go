package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/afc-project/afc/internal/testutil"
	"github.com/afc-project/afc/verify"
	"github.com/afc-project/afc/verify/ort"
)

// TestVideoFiles runs verify on video files of a list: what is broken is named
// and counted, views are averaged, --strict fails, and without ffmpeg it says
// what to do.
func TestVideoFiles(t *testing.T) {
	if _, err := ort.Version(); err != nil {
		t.Skip(err)
	}
	source := modelFile(t, small)
	dir := t.TempDir()
	testutil.WriteVideo(t, filepath.Join(dir, "a.mkv"), 40, 32, testutil.VideoFrames(9, 40, 32), testutil.Lossless...)
	testutil.WriteVideo(t, filepath.Join(dir, "b.avi"), 32, 40, testutil.VideoFrames(30, 32, 40), "-c:v", "mpeg4")
	for name, text := range map[string]string{"broken.mp4": "no video", "list.txt": "a.mkv 1\nbroken.mp4 0\nb.avi 2\ngone.webm 0\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"verify", source, source, "--videos", dir, "--list", filepath.Join(dir, "list.txt"), "--only", "agreement", "--clips-per-video", "2", "--crops", "3", "--json"}
	o := tryRun(t, args...) // exit 1: agreement alone proves nothing
	var r verify.Report
	if err := json.Unmarshal([]byte(o.stdout), &r); err != nil {
		t.Fatal(err, o.stderr)
	}
	if r.Agreement == nil || r.Agreement.Clips != 2 || r.Agreement.Top1 != 1 || r.Models[0].Accuracy == nil {
		t.Errorf("agreement %+v", r.Agreement)
	}
	if !strings.Contains(r.Inputs, "2 left out") || !strings.Contains(r.Inputs, "2 clips × 3 crops") {
		t.Errorf("inputs %q", r.Inputs)
	}
	for _, name := range []string{"broken.mp4: left out", "gone.webm: left out: there is no such file"} {
		if !strings.Contains(o.stderr, name) {
			t.Errorf("no word of %q:\n%s", name, o.stderr)
		}
	}
	if o := tryRun(t, append(args, "--strict")...); o.code != exitUsage || !strings.Contains(o.stderr, "broken.mp4") && !strings.Contains(o.stderr, "gone.webm") {
		t.Errorf("--strict: exit %d\n%s", o.code, o.stderr)
	}
	t.Setenv("PATH", t.TempDir())
	if o := tryRun(t, args...); o.code != exitUnavailable || !strings.Contains(o.stderr, "apt install ffmpeg") {
		t.Errorf("without ffmpeg: exit %d\n%s", o.code, o.stderr)
	}
}
