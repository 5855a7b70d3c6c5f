package clips

import (
	"fmt"
	"image/color"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestParseList reads lists as TSN, TSM and mmaction2 have them.
func TestParseList(t *testing.T) {
	there := map[string]bool{"root/v 1": true, "root/a": true, "root/b": true, "root/w": true}
	exists := func(path string) bool { return there[filepath.ToSlash(path)] }
	for _, tt := range []struct {
		name, list string
		opt        ListOptions
		want       []video // "" of an error
		err        string
	}{
		{name: "blanks and tabs", list: "a 9 0\nb\t12\t1\r\n", want: []video{{"root/a", -1, 9, []int{0}, 1}, {"root/b", -1, 12, []int{1}, 2}}},
		{name: "commas", list: "a, 9, 0\nb,12,1\n", want: []video{{"root/a", -1, 9, []int{0}, 1}, {"root/b", -1, 12, []int{1}, 2}}},
		{name: "several labels", list: "a 9 0 3 5", want: []video{{"root/a", -1, 9, []int{0, 3, 5}, 1}}},
		{name: "no label", list: "a 9", want: []video{{"root/a", -1, 9, []int{}, 1}}},
		{name: "byte-order mark, header, comment", list: "\ufeffpath,frames,label\n# test\n\na,9,0", want: []video{{"root/a", -1, 9, []int{0}, 4}}},
		{name: "byte-order mark", list: "\ufeffa 9 0", want: []video{{"root/a", -1, 9, []int{0}, 1}}},
		{name: "a path that ends in a number", list: "v 1 9 0", want: []video{{"root/v 1", -1, 9, []int{0}, 1}}},
		{name: "a path with a comma", list: "x,a,9,0", want: []video{{"root/x,a", -1, 9, []int{0}, 1}}},
		{name: "offsets", list: "a 4 9 0", opt: ListOptions{Offset: true}, want: []video{{"root/a", 4, 9, []int{0}, 1}}},
		{name: "an offset not said", list: "a 9 0\na 0 9 0", err: `list:2: "a 0 9 0": expected "path frames label", found 0 frames behind "a"; if the first number is where the frames start`},
		{name: "an offset that is missing", list: "a 9", opt: ListOptions{Offset: true}, err: `list:1: "a 9": expected "path offset frames label"`},
		{name: "anywhere", list: "/abs 9 0\n../c 9 0", opt: ListOptions{Anywhere: true}, want: []video{{"/abs", -1, 9, []int{0}, 1}, {"c", -1, 9, []int{0}, 2}}},
		{name: "out of the folder", list: "a 9 0\n../c 9 0", err: `list:2: "../c 9 0": "../c" leads out of root; allow it`},
		{name: "an absolute path", list: "/etc 9 0", err: `list:1: "/etc 9 0": "/etc" leads out of root`},
		{name: "hidden behind a way back", list: "a/../../c 9 0", err: "leads out of root"},
		{name: "a word for a number", list: "a nine 0", err: `list:1: "a nine 0": expected "path frames label", found 0 frames behind "a nine"`},
		{name: "UTF-16", list: "\xff\xfea\x00 \x009\x00", err: `list: is written in UTF-16: save it as UTF-8`},
		{name: "a line without end", list: "a 9 0\n" + strings.Repeat("b", 1<<17), err: `list:2: a line of more than 65536 bytes`},
		{name: "no number", list: "a", err: `list:1: "a": expected "path frames label", found no number of frames`},
		{name: "a header further down", list: "a 9 0\npath frames label", err: "list:2:"},
		{name: "no path", list: " 9 0", err: `list:1: "9 0": `},
		{name: "a negative label", list: "a 9 -1", err: "list:1:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseList(strings.NewReader(tt.list), "root", "list", tt.opt, exists)
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
				got[i].path = filepath.ToSlash(got[i].path)
			}
			if d := cmp.Diff(tt.want, got, cmp.AllowUnexported(video{})); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestTemplate(t *testing.T) {
	for name, want := range map[string]string{
		"img_%05d.jpg": "v/img_00007.jpg", "img_{:05}.jpg": "v/img_00007.jpg", "{:06d}.png": "v/000007.png", "%d.jpg": "v/7.jpg",
		"{}.jpg": "v/7.jpg", "frame_{:d}.jpg": "v/frame_7.jpg", "rgb/%04d.jpg": "v/rgb/0007.jpg",
	} {
		got, err := parseTemplate(name)
		if err != nil || filepath.ToSlash(got.path("v", 7)) != want {
			t.Errorf("%s: %q, %v; want %s", name, got.path("v", 7), err, want)
		}
	}
	for _, bad := range []string{"img.jpg", "%s_%05d.jpg", "{:05}_{:05}.jpg", "%d_%d.jpg", "{name}.jpg", "../%d.jpg", "/%d.jpg", "%05d{}.jpg", "{:5000}.jpg", "%5000d.jpg", "%+d.jpg"} {
		if got, err := parseTemplate(bad); err == nil {
			t.Errorf("%s is read as %q", bad, got)
		}
	}
}

// TestFirstFrame: frames from 0 are found out, or said.
func TestFirstFrame(t *testing.T) {
	root := t.TempDir()
	for n := range 6 { // the red of frame n is n
		writeFrame(t, filepath.Join(root, "walk", "zero", fmt.Sprintf(pngTemplate, n)), 20, 10, color.RGBA{uint8(n), 0, 0, 255})
		writeFrame(t, filepath.Join(root, "walk", "one", fmt.Sprintf(pngTemplate, n+1)), 20, 10, color.RGBA{uint8(n), 0, 0, 255})
	}
	list := filepath.Join(root, "list.txt")
	writeFile(t, list, "walk/one 6 0\nwalk/zero 6 0\n")
	offset := filepath.Join(root, "offset.txt")
	writeFile(t, offset, "walk/one 1 6 0\nwalk/zero 0 6 0\n")
	zero := 0
	for name, opt := range map[string]Options{"folders": {}, "list": {List: list}, "offsets": {List: offset, ListOptions: ListOptions{Offset: true}}} {
		opt.Template, opt.Preprocessing = pngTemplate, Preprocessing{Scale: 8}
		f, err := ReadFrames(root, opt)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i := range 2 {
			clip, err := f.Clip(t.Context(), i, Form{Frames: 6, Channels: 3, Height: 8, Width: 8, Pixels: true})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for n := range 6 {
				if got := clip[n*3*64]; got != float32(n) {
					t.Errorf("%s, video %d: frame %d is %g", name, i, n, got)
				}
			}
		}
	}
	f, err := ReadFrames(root, Options{List: list, Template: pngTemplate, First: &zero})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Clip(t.Context(), 0, Form{Frames: 6, Channels: 3, Height: 8, Width: 8}); err == nil || !strings.Contains(err.Error(), "img_00000.png") {
		t.Errorf("said to begin at 0: %v", err)
	}
}

// TestSeveralLabels count for none, and that is said.
func TestSeveralLabels(t *testing.T) {
	root := frameTree(t)
	list := filepath.Join(root, "list.txt")
	writeFile(t, list, "jump/a b 12 7 3\nrun/c 4\nrun/c 4 2\n")
	f, err := ReadFrames(root, Options{List: list, Template: pngTemplate})
	if err != nil {
		t.Fatal(err)
	}
	if got := []int{f.Label(0), f.Label(1), f.Label(2)}; !cmp.Equal(got, []int{-1, -1, 2}) || !strings.Contains(f.String(), "1 of several labels") {
		t.Errorf("labels %v of %s", got, f)
	}
}
