package clips

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/afc-project/afc/internal/testutil"
)

// fileTree writes two classes of video files, lossless, and what is broken.
func fileTree(t *testing.T) (root string, frames [][]byte) {
	root = t.TempDir()
	frames = testutil.VideoFrames(12, 16, 16)
	for name, n := range map[string]int{"jump/a b.mkv": 12, "run/c.mkv": 4} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		testutil.WriteVideo(t, path, 16, 16, frames[:n], testutil.Lossless...)
	}
	writeFile(t, filepath.Join(root, "run", "broken.mp4"), "no video at all")
	return root, frames
}

// TestFiles: clips of files are those of the frames that were put in.
func TestFiles(t *testing.T) {
	root, frames := fileTree(t)
	list := filepath.Join(root, "list.txt")
	writeFile(t, list, "jump/a b.mkv 7\nrun/c.mkv 3\nrun/gone.mkv 2\nrun/broken.mp4 3\n")
	for name, labels := range map[string][]int{list: {7, 3}, "": {0, 1}} {
		var broken []string
		opt := Options{List: name, Preprocessing: Preprocessing{Scale: 16}, Broken: func(b Broken) { broken = append(broken, b.Path) }}
		v, err := Read(t.Context(), root, opt)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{filepath.Join(root, "run", "broken.mp4")}
		if name != "" {
			want = []string{filepath.Join(root, "run", "gone.mkv"), want[0]}
		}
		if v.Len() != 2 || v.Label(0) != labels[0] || v.Label(1) != labels[1] || !slices.Equal(broken, want) || !strings.Contains(v.String(), "left out") {
			t.Errorf("%s, labels %d and %d, broken %q", v, v.Label(0), v.Label(1), broken)
		}
		form := Form{Frames: 3, Channels: 3, Height: 16, Width: 16, Pixels: true}
		for i, numbers := range [][]int{{2, 6, 10}, {0, 2, 3}} {
			clip, err := v.Clip(t.Context(), i, form)
			if err != nil {
				t.Fatal(err)
			}
			for k, n := range numbers {
				for at := range 3 * 256 {
					if got, want := clip[k*768+at], float32(frames[n][3*(at%256)+at/256]); got != want {
						t.Fatalf("video %d, frame %d, value %d: %g, want %g", i, n, at, got, want)
					}
				}
			}
		}
		form.Frames = 9 // more than the second has: frames come again
		if clip, err := v.Clip(t.Context(), 1, form); err != nil || len(clip) != 9*768 {
			t.Errorf("%d values: %v", len(clip), err)
		}
		opt.Strict = true
		if _, err := Read(t.Context(), root, opt); err == nil || !strings.Contains(err.Error(), filepath.Join("run", "")) {
			t.Errorf("strict: %v", err)
		}
	}
	if v, err := Read(t.Context(), filepath.Join(root, "run", "c.mkv"), Options{}); err != nil || v.Len() != 1 || v.Label(0) != -1 {
		t.Errorf("one file: %v, %v", v, err)
	}
	if v, err := Read(t.Context(), root, Options{List: list, Most: 1}); err != nil || v.Len() != 1 || v.Label(0) != 2 && v.Label(0) != 3 {
		if err == nil || !strings.Contains(err.Error(), "gone.mkv") { // the middle one of the list is the missing one
			t.Errorf("thinned: %v, %v", v, err)
		}
	}
}

// TestFilesRefused: what cannot be read says so.
func TestFilesRefused(t *testing.T) {
	root, _ := fileTree(t)
	list := filepath.Join(root, "list.txt")
	for text, want := range map[string]string{
		"jump/a b.mkv 1\nrun/frames 12 1": "line 2",
		"../x.mkv 1":                      "leads out of",
		"gone.mkv 1":                      "none of 1 videos",
		"run/frames 12 1\nrun/c.mkv 1":    "make two lists",
	} {
		writeFile(t, list, text)
		if _, err := Read(t.Context(), root, Options{List: list}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	first := 0
	for name, opt := range map[string]Options{"template": {Template: "x_%d.png"}, "first": {First: &first}} {
		if _, err := Read(t.Context(), root, opt); err == nil || !strings.Contains(err.Error(), "folders of frames") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Read(t.Context(), list, Options{}); err == nil || !strings.Contains(err.Error(), "is no video") {
		t.Errorf("a text file: %v", err)
	}
}

// TestDataSets: the lists of Kinetics, Something-Something and ActivityNet as
// they are published.
func TestDataSets(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"val/tying knot/-3B32lodo2M_000059_000069.mp4", "78687.webm", "v_sJFgo9H6zNo.mkv", "abc_000001_000011.avi"} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, "")
	}
	labels := filepath.Join(root, "labels.json")
	writeFile(t, labels, `{"Holding something": "41", "Putting something into something": 107}`)
	named := filepath.Join(root, "names.txt")
	writeFile(t, named, "tying knot\nabseiling\n")
	kinetics := "label,youtube_id,time_start,time_end,split,is_cc\n" +
		"\"tying knot\",-3B32lodo2M,59,69,val,0\nabseiling,abc,1,11,train,0\nzumba,gone,5,15,val,0\n"
	for name, tt := range map[string]struct {
		list string
		opt  ListOptions
		want []video
		err  string
	}{
		"kinetics": {list: kinetics, want: []video{
			{path: "val/tying knot/-3B32lodo2M_000059_000069.mp4", labels: []int{1}, line: 1}, {path: "abc_000001_000011.avi", labels: []int{0}, line: 2},
			{path: "gone_000005_000015.mp4", labels: []int{2}, line: 3}}},
		"kinetics, a part of it": {list: kinetics, opt: ListOptions{Subset: "train"}, want: []video{{path: "abc_000001_000011.avi", labels: []int{0}, line: 2}}},
		"kinetics, named":        {list: kinetics, opt: ListOptions{Subset: "train", Labels: named}, want: []video{{path: "abc_000001_000011.avi", labels: []int{1}, line: 2}}},
		"kinetics, not named":    {list: kinetics, opt: ListOptions{Labels: named}, err: `class "zumba" has no number`},
		"something": {list: `[{"id": "78687", "label": "holding it", "template": "Holding [something]", "placeholders": ["it"]}, {"id": 5}]`, opt: ListOptions{Labels: labels},
			want: []video{{path: "78687.webm", labels: []int{41}, line: 1}, {path: "5.mp4", line: 2}}},
		"activitynet": {list: `{"version": "1.3", "database": {"sJFgo9H6zNo": {"subset": "validation", "annotations": [{"label": "Zumba", "segment": [0, 1]}, {"label": "Zumba"}]},
			"a": {"subset": "training", "annotations": [{"label": "Archery"}, {"label": "Zumba"}]}, "z": {"subset": "testing", "annotations": []}}}`,
			want: []video{{path: "v_a.mp4", labels: []int{0, 1}, line: 1}, {path: "v_sJFgo9H6zNo.mkv", labels: []int{1}, line: 2}, {path: "v_z.mp4", line: 3}}},
		"no such part":     {list: kinetics, opt: ListOptions{Subset: "test"}, err: `no subset "test", but "train", "val"`},
		"way out":          {list: `[{"id": "../../x"}]`, err: "leads out of"},
		"other JSON":       {list: `{"videos": []}`, err: "expected Something-Something's"},
		"broken JSON":      {list: `[{"id": `, err: "unexpected end"},
		"subset of lines":  {list: "a.mp4 1", opt: ListOptions{Subset: "val"}, err: "no subsets"},
		"a class of a way": {list: "label,youtube_id\n../../..,x\n", err: "leads out of"},
	} {
		t.Run(name, func(t *testing.T) {
			list := filepath.Join(root, "list")
			writeFile(t, list, tt.list)
			got, _, err := readFileList(root, list, tt.opt)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, %v; want an error with %q", got, err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for i := range got {
				rel, err := filepath.Rel(root, got[i].path)
				if err != nil {
					t.Fatal(err)
				}
				got[i].path = filepath.ToSlash(rel)
			}
			if d := cmp.Diff(tt.want, got, cmp.AllowUnexported(video{})); d != "" {
				t.Error(d)
			}
		})
	}
}

// FuzzFileLists: whatever the list, an error or videos inside of the folder.
func FuzzFileLists(f *testing.F) {
	f.Add("a.mp4 1\nb c.webm 2 3")
	f.Add("label,youtube_id,time_start,time_end,split\na b,x,1,2,val")
	f.Add(`[{"id": "1", "template": "Holding [something]"}]`)
	f.Add(`{"database": {"x": {"subset": "training", "annotations": [{"label": "a"}]}}}`)
	root := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		list := filepath.Join(t.TempDir(), "list")
		writeFile(t, list, text)
		videos, _, err := readFileList(root, list, ListOptions{})
		if err != nil {
			return
		}
		for _, v := range videos {
			if rest, inside := strings.CutPrefix(v.path, root+string(filepath.Separator)); !inside || !filepath.IsLocal(rest) {
				t.Errorf("%q leads out of the folder", v.path)
			}
		}
	})
}
