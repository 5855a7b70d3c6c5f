package chart

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc/internal/testutil"
)

func TestBars(t *testing.T) {
	f := Bars{
		Title: "TSM ResNet-50: cost of a clip <8 frames>", Unit: "10⁹ multiply–accumulates", Parts: []string{"stem", "layer1", "layer2", "layer3", "layer4", "head"},
		Bars: []Bar{
			{Name: "source", Values: []float64{0.94, 5.4, 8.3, 11.7, 6.5, 0.016}},
			{Name: "AFNet, a name that is rather long, 25 % selected", Values: []float64{0.94, 2.05, 2.8, 4.7, 6.5, 0.016}, Note: "÷ source 0.51"},
		},
	}
	check(t, "bars.svg", f.WriteSVG)
}

func TestScatter(t *testing.T) {
	f := Scatter{Title: "Accuracy against cost", X: "10⁹ multiply–accumulates", Y: "top-1, %", Series: []Series{
		{Name: "AFNet-TSM", Joined: true, Points: []Point{{18.3, 78.2, 1.3, "25 %"}, {19.5, 79.8, 1.3, "50 %"}}},
		{Name: "AdaFuse", Published: true, Points: []Point{{31.5, 46.8, 0, "8 frames"}}},
	}}
	check(t, "scatter.svg", f.WriteSVG)
}

// TestLabelsStandApart: labels of points that lie close do not cover one another,
// nor the points.
func TestLabelsStandApart(t *testing.T) {
	l := &labels{left: 0, right: 500, top: 0, bottom: 300}
	c := &Canvas{}
	for i := range 8 {
		x, y := 200+float64(i%3)*9, 150+float64(i)*4
		l.taken = append(l.taken, box{x - 6, y - 6, x + 6, y + 6})
	}
	for i := range 8 {
		l.put(c, 200+float64(i%3)*9, 150+float64(i)*4, "AFNet-TSM R50 RT")
	}
	for i, a := range l.taken[8:] {
		for _, b := range l.taken[:8+i] {
			if a.over(b) {
				t.Errorf("label %d, %v, stands on %v", i, a, b)
			}
		}
	}
}

// TestOnColours: figures are dark on every colour but the dark blue.
func TestOnColours(t *testing.T) {
	want := map[string]string{"#0072b2": "on pale"}
	for _, colour := range Colours {
		if got := on(colour); got != cmp.Or(want[colour], "on") {
			t.Errorf("on %s text is %q", colour, got)
		}
	}
}

func TestDots(t *testing.T) {
	f := Dots{Title: "What each layer leaves <of its target>", X: "squared error, in parts of the target's spread", Parts: []string{"first", "second", "third"}, Rows: []DotRow{
		{"layer1.refine_module.0", []float64{0.14, 0.19, 0.091}, []string{"conv1: 0.140", "conv2: 0.190", "conv3: 0.091"}},
		{"new_fc", []float64{0.035}, []string{"0.035"}},
	}}
	check(t, "dots.svg", f.WriteSVG)
}

func TestCurves(t *testing.T) {
	f := Curves{Title: "Loss <by term>", X: "steps", Lines: []Curve{
		{"all", [][2]float64{{10, 0.12}, {20, 0.09}, {30, math.NaN()}, {40, 0.05}}}, {"ratio", [][2]float64{{10, 0.01}, {20, 0.004}, {30, 0.003}, {40, 0.003}}},
	}}
	check(t, "curves.svg", f.WriteSVG)
}

func TestHeat(t *testing.T) {
	f := Heat{Title: "Frames <selected>", X: "frame", Rows: []HeatRow{{"layer1 focal 1", []float64{0, 0.25, 1}}, {"a block whose name is much too long", []float64{0.5, 0.5, 0.5}}}}
	check(t, "heat.svg", f.WriteSVG)
}

func TestEmptyFiguresAreDrawn(t *testing.T) {
	for _, draw := range []func(io.Writer) error{(&Bars{Title: "none"}).WriteSVG, (&Scatter{Title: "none"}).WriteSVG, (&Dots{Title: "none"}).WriteSVG, (&Curves{Title: "none"}).WriteSVG, (&Heat{Title: "none"}).WriteSVG} {
		var b bytes.Buffer
		if err := draw(&b); err != nil || strings.Contains(b.String(), "NaN") {
			t.Errorf("%v: %s", err, b.String())
		}
	}
}

// check holds a figure to its golden file, and to being well-formed.
func check(t *testing.T, name string, draw func(io.Writer) error) {
	t.Helper()
	var b bytes.Buffer
	if err := draw(&b); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(bytes.NewReader(b.Bytes()))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
	}
	testutil.Golden(t, name, b.String())
}

func TestScaleHasRoundSteps(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		want      []float64
	}{
		{0, 32.9, []float64{0, 10, 20, 30, 40}},
		{46.8, 79.8, []float64{40, 50, 60, 70, 80}},
		{0, 0.07, []float64{0, 0.02, 0.04, 0.06, 0.08}},
		{3, 3, []float64{3, 3.2, 3.4, 3.6, 3.8, 4}},
	} {
		got := NewScale(c.low, c.high, 5, 0, 100).Ticks()
		if !slices.EqualFunc(got, c.want, func(a, b float64) bool { return Number(a) == Number(b) }) {
			t.Errorf("%v to %v: %v, want %v", c.low, c.high, got, c.want)
		}
	}
}
