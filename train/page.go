package train

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/internal/chart"
)

//go:embed page.html.tmpl
var pageText string

var pageTemplate = template.Must(template.New("tune").Funcs(template.FuncMap{
	"percent": func(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) },
	"maybe": func(x *float64) string {
		if x == nil {
			return ""
		}
		return fmt.Sprintf("%.1f %%", 100**x)
	},
	"small": func(x *float64) string {
		if x == nil {
			return ""
		}
		return fmt.Sprintf("%.4f", *x)
	},
}).Parse(pageText))

// Page is a training as a web page.
type Page struct {
	Model, From, Source string // names of the files; Source "": none
	Program             string // what made it
	How                 string // in a line
	Tune                *Result
}

// WriteHTML writes the page, which needs nothing else.
func (p *Page) WriteHTML(w io.Writer) error {
	var figures []template.HTML // of chart, which escapes what it is given
	for _, f := range p.Tune.figures() {
		var b strings.Builder
		if err := f.WriteSVG(&b); err != nil {
			return err
		}
		figures = append(figures, template.HTML(b.String())) // #nosec G203 -- chart escapes
	}
	type row struct {
		Name string
		*Score
	}
	var rows []row
	for _, r := range []row{{"before", p.Tune.Before}, {fmt.Sprintf("kept, of epoch %d", p.Tune.Of), p.Tune.Best}, {"last", p.Tune.Last}} {
		if r.Score != nil {
			rows = append(rows, r)
		}
	}
	return pageTemplate.Execute(w, struct {
		*Page
		Figures []template.HTML
		Rows    any
	}{p, figures, rows})
}

// figure is one of chart.
type figure interface{ WriteSVG(io.Writer) error }

// figures are the curves that say something, and which frames blocks selected: over
// the steps, and on the validation clips at the end.
func (r *Result) figures() []figure {
	list := []figure{
		r.curves("Loss", "loss", "loss_classes", "loss_teacher", "loss_ratio"),
		r.curves("Norm of the gradient", "gradient_norm"),
		&chart.Curves{Title: "Learning rate", X: "steps", Lines: []chart.Curve{r.line("rate", func(m Moment) float64 { return m.Rate })}},
	}
	if lost := r.validation("squared error, in parts of their spread", func(s *Score) *float64 { return s.Error }); len(lost.Points) > 0 {
		list = append(list, &chart.Curves{Title: "Scores of the clips held back, against the source's", X: "steps", Lines: []chart.Curve{lost}})
	}
	var named []chart.Curve
	for _, l := range []chart.Curve{
		r.validation("right", func(s *Score) *float64 { return s.Right }), r.validation("source's first class", func(s *Score) *float64 { return s.Agrees }),
	} {
		if len(l.Points) > 0 {
			named = append(named, l)
		}
	}
	if named != nil {
		list = append(list, &chart.Curves{Title: "First classes of the clips held back", X: "steps", Lines: named})
	}
	if len(r.Curve) > 0 && r.Curve[0].Tau > 0 {
		list = append(list, &chart.Curves{Title: "Temperature τ, and the target R_T beside the ratio reached", X: "steps", Lines: []chart.Curve{
			r.line("τ", func(m Moment) float64 { return m.Tau }), r.line("R_T", func(m Moment) float64 { return m.Target }), r.line("selected", r.selected),
		}})
	}
	list = append(list, r.overSteps())
	if r.Last != nil {
		list = append(list, r.atLast())
	}
	return list
}

// line is one number over the steps.
func (r *Result) line(name string, of func(Moment) float64) chart.Curve {
	l := chart.Curve{Name: name}
	for _, m := range r.Curve {
		l.Points = append(l.Points, [2]float64{float64(m.Step), of(m)})
	}
	return l
}

// curves are facts over the steps, those that there are.
func (r *Result) curves(title string, facts ...string) *chart.Curves {
	f := &chart.Curves{Title: title, X: "steps"}
	for _, name := range facts {
		if len(r.Curve) > 0 {
			if _, ok := r.Curve[0].Facts[name]; !ok {
				continue
			}
		}
		words := strings.ReplaceAll(strings.TrimPrefix(name, "loss_"), "_", " ")
		f.Lines = append(f.Lines, r.line(words, func(m Moment) float64 { return m.Facts[name] }))
	}
	return f
}

// selected is the mean of the blocks' ratios.
func (r *Result) selected(m Moment) float64 {
	sum := 0.0
	for i := range r.Blocks {
		sum += m.Facts[fmt.Sprintf("selected_%d", i)] / float64(len(r.Blocks))
	}
	return sum
}

// validation is a number found on the clips held back, over the steps; no points
// where it was not.
func (r *Result) validation(name string, of func(*Score) *float64) chart.Curve {
	l := chart.Curve{Name: name}
	for _, m := range r.Scores {
		if x := of(m.Val); x != nil {
			l.Points = append(l.Points, [2]float64{float64(m.Step), *x})
		}
	}
	return l
}

// overSteps is each block's ratio over the steps.
func (r *Result) overSteps() *chart.Heat {
	f := &chart.Heat{Title: "Share of the frames that each block computed, over the steps", X: "steps, from left to right"}
	for i, key := range r.Blocks {
		row := chart.HeatRow{Name: names.InWords(key)}
		for _, m := range r.Curve {
			row.Values = append(row.Values, m.Facts[fmt.Sprintf("selected_%d", i)])
		}
		f.Rows = append(f.Rows, row)
	}
	return f
}

// atLast is how often each block selects each frame of the clips held back.
func (r *Result) atLast() *chart.Heat {
	f := &chart.Heat{Title: "Share of the clips held back of which each block computes a frame, at the end", X: "frame of the clip"}
	for i, key := range r.Blocks {
		if i < len(r.Last.Frames) {
			f.Rows = append(f.Rows, chart.HeatRow{Name: names.InWords(key), Values: r.Last.Frames[i]})
		}
	}
	return f
}
