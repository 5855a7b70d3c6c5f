package fit

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

var pageTemplate = template.Must(template.New("fit").Funcs(template.FuncMap{
	"percent": func(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) },
	"maybe": func(x *float64) string {
		if x == nil {
			return ""
		}
		return fmt.Sprintf("%.1f %%", 100**x)
	},
	"giga": func(x float64) string { return fmt.Sprintf("%.4g", x/1e9) },
}).Parse(pageText))

// Page is a fit as a web page.
type Page struct {
	Model, Source string // names of the files
	Program       string // what made it
	Fit           *Result
	// Multiply–accumulates of a clip; 0 where frames are of any size.
	SourceMACs, MACs float64
}

// WriteHTML writes the page, which needs nothing else.
func (p *Page) WriteHTML(w io.Writer) error {
	var residuals strings.Builder
	if err := p.Fit.residuals().WriteSVG(&residuals); err != nil {
		return err
	}
	return pageTemplate.Execute(w, struct {
		*Page
		Residuals template.HTML // of chart, which escapes what it is given
		Times     string
	}{p, template.HTML(residuals.String()), fmt.Sprintf("%.3f", p.MACs/max(p.SourceMACs, 1))}) // #nosec G203 -- chart escapes
}

// residuals draws what each layer leaves: a row a block, a mark a layer.
func (r *Result) residuals() *chart.Dots {
	f := &chart.Dots{
		Title: "What each layer leaves of its target", X: "squared error, in parts of the target's spread",
		Parts: []string{"first convolution, or all there is", "second", "third"},
	}
	for _, b := range ByBlock(r.Layers) {
		row := chart.DotRow{Name: b.Name}
		for _, l := range b.Layers {
			row.Values = append(row.Values, l.Residual)
			row.Titles = append(row.Titles, fmt.Sprintf("%s: %.3f, of %d positions", names.InWords(l.Name), l.Residual, l.Rows))
		}
		f.Rows = append(f.Rows, row)
	}
	return f
}

// BlockLayers are the layers of a residual block, or one that stands alone.
type BlockLayers struct {
	Name   string // as the paper has it: "layer1 focal 1"
	Layers []Layer
}

// ByBlock gathers layers under the block whose name theirs begin with.
func ByBlock(layers []Layer) []BlockLayers {
	var blocks []BlockLayers
	for _, l := range layers {
		name := l.Name
		if i := strings.LastIndex(name, ".conv"); i >= 0 {
			name = name[:i]
		}
		name = names.InWords(name)
		if len(blocks) == 0 || blocks[len(blocks)-1].Name != name {
			blocks = append(blocks, BlockLayers{Name: name})
		}
		b := &blocks[len(blocks)-1]
		b.Layers = append(b.Layers, l)
	}
	return blocks
}
