package explain

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc/internal/testutil"
)

// sample is a report of three clips of four frames through two stages.
func sample() *Report {
	on, off := true, false
	masks := func(rows ...[]bool) [][]bool { return rows }
	clip := func(name string, label, answer, source int, macs float64, m [][]bool) Clip {
		c := Clip{Name: name, Label: label, Answer: answer, Source: source, MACs: macs, Computed: m}
		for t := range 4 {
			img := image.NewRGBA(image.Rect(0, 0, 48, 36))
			for i := range 48 * 36 {
				img.Set(i%48, i/48, color.RGBA{uint8(60 * t), uint8(i % 48 * 5), uint8(i / 48 * 7), 255})
			}
			c.Thumbnails = append(c.Thumbnails, img)
		}
		return c
	}
	r := &Report{
		Model: "af.onnx", Source: "tsm.onnx", Input: "3 clips of <b>frames</b>", Frames: 4, SourceMACs: 4e9,
		Stages:     []Stage{{"layer1", []string{"layer1 focal 1", "layer1 focal 2"}}, {"layer2", []string{"layer2 focal 1"}}},
		ClassNames: []string{"left", "right <turn>"},
		Clips: []Clip{
			clip("a/one", 0, 0, 0, 2e9, masks([]bool{on, off, on, off}, []bool{on, on, off, off}, []bool{off, off, off, off})),
			clip("b/two", 1, 0, 1, 3e9, masks([]bool{on, on, on, on}, []bool{on, on, on, on}, []bool{on, on, on, on})),
			clip("c/three", -1, 1, 1, 2.5e9, masks([]bool{off, off, off, off}, []bool{off, on, off, off}, []bool{on, off, off, on})),
		},
	}
	grid := [][]bool{{on, off}, {off, on}}
	r.Clips[1].Cells = [][][][]bool{nil, nil, {grid, grid, grid, grid}}
	return r
}

func TestTotals(t *testing.T) {
	got := sample().Totals()
	want := Totals{Clips: 3, Labelled: 2, Right: 1, SourceRight: 2, Compared: 3, Agreed: 2, MACs: 2.5e9}
	want.Ratio = (4.0/12 + 1 + 3.0/12) / 3
	if math.Abs(got.Ratio-want.Ratio) > 1e-12 || math.Abs(got.MACs-want.MACs) > 1 {
		t.Errorf("ratio %v, MACs %v; want %v, %v", got.Ratio, got.MACs, want.Ratio, want.MACs)
	}
	got.Ratio, got.MACs, want.Ratio, want.MACs = 0, 0, 0, 0
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestWeightsMultiplyMasks(t *testing.T) {
	c := sample().Clips[0]
	if got, want := c.Weights(0, 2), []bool{true, false, false, false}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestShare(t *testing.T) {
	got := sample().Share()[0]
	for i, want := range []float64{2. / 3, 1. / 3, 2. / 3, 1. / 3} {
		if math.Abs(got[i]-want) > 1e-12 {
			t.Errorf("frame %d: %v of the clips, want %v", i, got[i], want)
		}
	}
}

func TestExtremes(t *testing.T) {
	r := sample()
	most, least := r.Extremes(1)
	if !slices.Equal(most, []int{1}) || !slices.Equal(least, []int{0}) {
		t.Errorf("most %v, least %v", most, least)
	}
	for i := range r.Clips {
		r.Clips[i].MACs = 1
	}
	if most, least := r.Extremes(1); most != nil || least != nil {
		t.Errorf("clips of one cost have extremes %v, %v", most, least)
	}
}

func TestClasses(t *testing.T) {
	got := sample().Classes()
	if len(got) != 2 || got[0].Label != 0 || got[0].Right != 1 || got[1].Right != 0 || got[1].MACs != 3e9 {
		t.Errorf("got %+v", got)
	}
}

func TestPage(t *testing.T) {
	var b bytes.Buffer
	if err := sample().WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, bad := range []string{"<b>frames</b>", "<turn>", "<script", "http://", "https://"} {
		// The pictures of cells are base64, so their namespace does not show.
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q in it", bad)
		}
	}
	for what, want := range map[string]int{`class="clip"`: 3, `<img class="thumb"`: 12, `class="grid"`: 4, `tr class="product"`: 3} {
		if got := strings.Count(page, what); got != want {
			t.Errorf("%s stands %d times on the page, want %d", what, got, want)
		}
	}
	testutil.Golden(t, "page.html", page)
}

func TestJSONHoldsMasksAsLists(t *testing.T) {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(sample().Data()); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Clips []struct {
			Label *int
			Masks [][]int
			Cells [][][][]int
		}
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Clips[2].Label != nil || !slices.Equal(got.Clips[0].Masks[0], []int{1, 0, 1, 0}) || got.Clips[1].Cells[2][0][1][1] != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestHeadline(t *testing.T) {
	timed := sample()
	timed.Time, timed.Threads = 0.58, 1
	if got, want := timed.Headline(), "0.62 of the source's multiply-accumulates and 0.58 of its time on one thread; answers"; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s in it", got, want)
	}
	want := "53 % of the frames computed over 3 clips, 0.62 of the source's multiply-accumulates; answers as the source does on 66.7 %; right on 50.0 % (source 100.0 %)."
	if got := sample().Headline(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
