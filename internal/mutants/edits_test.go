package mutants

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"hash/fnv"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/afc-project/afc/internal/testutil"
)

var (
	forHowLong = flag.Duration("mutants", 0, "try edits of codegen for this time")
	seed       = flag.Uint64("seed", 1, "order in which edits are tried")
	most       = flag.Int("most", 0, "try the first so many; 0: all")
	only       = flag.String("edits", "", "try those alone that this regular expression matches, as file:line: line ⇒ edited line")
)

// change is an edit of one line of a source file.
type change struct {
	file     string
	line     int
	from, to int    // the bytes that become text
	text     string // what takes their place
	was, now string // the line
}

func (c change) String() string { return fmt.Sprintf("%s:%d: %s ⇒ %s", c.file, c.line, c.was, c.now) }

// exchanged are operators and what takes their place.
var exchanged = map[token.Token]token.Token{
	token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL, token.REM: token.MUL,
	token.EQL: token.NEQ, token.NEQ: token.EQL, token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.LAND: token.LOR, token.LOR: token.LAND,
}

// TestEdits tries one-line edits of codegen, in an order that the seed decides,
// as long as it is told to: make mutants. It fails on edits that nothing finds
// and that are not among those known to survive (survivors).
func TestEdits(t *testing.T) {
	if *forHowLong == 0 {
		t.Skip("-mutants says for how long")
	}
	wanted := regexp.MustCompile(*only)
	changes := slices.DeleteFunc(changesOf(t), func(c change) bool { return !wanted.MatchString(c.String()) })
	if *most > 0 {
		changes = changes[:min(*most, len(changes))]
	}
	deadline := time.Now().Add(*forHowLong)
	tried, found, refused := 0, 0, 0
	for _, c := range changes {
		if time.Now().After(deadline) {
			break
		}
		text := source(t, c.file)
		o := try(t, map[string]string{c.file: text[:c.from] + c.text + text[c.to:]})
		switch tried++; {
		case !o.built:
			refused++
		case o.found():
			found++
			t.Logf("%s: %s", c, o.said)
		case survivors[c.key()] == "":
			t.Errorf("nothing finds %s", c)
		default:
			t.Logf("survives, as known (%s): %s", survivors[c.key()], c)
		}
	}
	t.Logf("of %d edits, %d tried: %d found, %d do not compile, %d survive", len(changes), tried, found, refused, tried-found-refused)
}

// isText reports whether an operand is a text, which can be added alone.
func isText(e ast.Expr) bool {
	lit, ok := e.(*ast.BasicLit)
	return ok && lit.Kind == token.STRING
}

// key names a change beyond the edit of lines above it.
func (c change) key() string { return fmt.Sprintf("%s: %s ⇒ %s", c.file, c.was, c.now) }

// changesOf lists the edits of codegen's sources, in the order to try them. It
// hangs on what a line says, not on where it stands, so that edits elsewhere
// leave the first ones the same.
func changesOf(t *testing.T) []change {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(testutil.Root(t), "codegen", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var changes []change
	for _, path := range paths {
		name := filepath.Base(path)
		if strings.HasSuffix(name, "_test.go") || slices.Contains(notTried, name) {
			continue
		}
		changes = append(changes, changesIn(t, "codegen/"+name)...)
	}
	order := func(c change) uint64 {
		h := fnv.New64a()
		fmt.Fprint(h, *seed, c.key())
		return h.Sum64()
	}
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(order(a), order(b)) })
	return changes
}

// notTried are files of codegen that decide nothing about what a model computes:
// the choice of a lowering, costs, names for reports.
var notTried = []string{"target.go", "cost.go", "names.go", "steps.go", "doc.go", "codegen.go"}

// changesIn lists the edits of a file: operators exchanged, truths turned, small
// numbers one larger.
func changesIn(t *testing.T, file string) []change {
	t.Helper()
	text := source(t, file)
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	var changes []change
	add := func(pos token.Pos, length int, with string) {
		p := set.Position(pos)
		line := text[strings.LastIndexByte(text[:p.Offset], '\n')+1:]
		line, _, _ = strings.Cut(line, "\n")
		column := p.Column - 1
		edited := line[:column] + with + line[column+length:]
		changes = append(changes, change{file, p.Line, p.Offset, p.Offset + length, with, strings.TrimSpace(line), strings.TrimSpace(edited)})
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GenDecl:
			return n.Tok != token.IMPORT
		case *ast.BinaryExpr:
			if now, ok := exchanged[n.Op]; ok && !isText(n.X) && !isText(n.Y) {
				add(n.OpPos, len(n.Op.String()), now.String())
			}
		case *ast.BasicLit:
			if v, err := strconv.Atoi(n.Value); n.Kind == token.INT && err == nil && v < 8 {
				add(n.ValuePos, len(n.Value), strconv.Itoa(v+1))
			}
		case *ast.Ident:
			if now := map[string]string{"true": "false", "false": "true"}[n.Name]; now != "" {
				add(n.NamePos, len(n.Name), now)
			}
		}
		return true
	})
	return changes
}
