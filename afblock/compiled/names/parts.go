package names

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// derived is before the names of constants that are computed from weights.
const derived = "afc."

// constants is what BlockOf says of indices and shapes, which belong to no
// block.
const constants = "constants"

// BlockOf is the block or layer that an initializer belongs to: what stands
// before the last two parts of a weight's name ("layer1.refine_module.0" of
// "….conv1.weight").
func BlockOf(initializer string) string {
	name, _, _ := strings.Cut(initializer, "[") // a piece of a weight
	name, made := strings.CutPrefix(name, derived)
	parts := strings.Split(name, ".")
	switch {
	case made && len(parts) <= 2:
		return constants
	case made: // "….zero", of the block itself
		return strings.Join(parts[:len(parts)-1], ".")
	case len(parts) <= 2:
		return parts[0]
	}
	return strings.Join(parts[:len(parts)-2], ".")
}

// StageOf is which of the stages a node's name bears, "" if it bears none.
// Runtimes name what they fuse after the nodes it was, with more before and
// behind; of "layer1" and "layer10" the one that stands there is taken.
func StageOf(node string, stages []string) string {
	for _, s := range stages {
		for rest := node; ; {
			i := strings.Index(rest, s)
			if i < 0 {
				break
			}
			if rest = rest[i+len(s):]; rest == "" || rest[0] < '0' || rest[0] > '9' {
				return s
			}
		}
	}
	return ""
}

var torchStage = regexp.MustCompile(`layer[0-9]+`)

// TorchStage is the stage that a name bears where no network tells the stages:
// as torchvision's ResNets call them, "" if it bears none.
func TorchStage(name string) string { return torchStage.FindString(name) }

// Focal says by which names a focal block is found in a compiled model.
type Focal struct {
	Key    string // of the block
	Chosen string // value of the selection, bool [N·T]
	Logits string // value of navigation's answer, float32 [N, T, 2]
	// Cells and CellLogits are the values of the choice inside the frames, bool
	// [N·T, g, g] or [1, g, g], and of navigation's answer, float32 [N·T, 2, g, g];
	// Grid is g, 0 where whole frames are chosen.
	Cells, CellLogits string
	Grid              int
	// NavWeight and NavBias are initializers of the navigation's last
	// convolution, 2T outputs, whose output 2t+1 against 2t decides frame t.
	NavWeight, NavBias string
	// ConvWeights are the weights of the block's main convolutions, whole or in
	// pieces (PieceOf).
	ConvWeights []string
}

// Owns reports whether a node is named as one of the block.
func (f Focal) Owns(node string) bool { return strings.HasPrefix(node, f.Key+".") }

var inWords = []struct {
	key    *regexp.Regexp
	words  string
	number bool // with the number of the block behind
}{
	{regexp.MustCompile(`^(.+)\.refine_module\.(\d+)((?:\..+)?)$`), "focal", true},
	{regexp.MustCompile(`^(.+)\.base_module\.(\d+)((?:\..+)?)$`), "ample", true},
	{regexp.MustCompile(`^(.+)\.fusion\.(0)((?:\..+)?)$`), "fusion", false},
	{regexp.MustCompile(`^(.+)\.base_transform\.(0)()$`), "base transform", false},
	{regexp.MustCompile(`^(.+)\.list_gen\.(\d+)()$`), "navigation", true},
	{regexp.MustCompile(`^(layer\d+)\.(\d+)()$`), "block", true},
}

// InWords names a part of an AF module, or a layer of one, as the paper does:
// "layer1 focal 1" of "layer1.refine_module.0", "layer1 focal 1 conv2" of its
// second convolution. Other keys stay.
func InWords(key string) string {
	if key == "new_fc" {
		return "head"
	}
	for _, w := range inWords {
		m := w.key.FindStringSubmatch(key)
		if m == nil {
			continue
		}
		n, err := strconv.Atoi(m[2])
		if err != nil {
			continue
		}
		words := m[1] + " " + w.words
		if w.number {
			words += fmt.Sprintf(" %d", n+1)
		}
		return words + strings.Replace(m[3], ".", " ", 1)
	}
	return key
}

// Tiles is the value that lists the tiles which a block computes, where it
// computes cells inside the frames one by one: int64 [1, K].
func Tiles(block string) string { return block + ".tiles" }

// Boxes is the value that says what a block computes of each frame, where it
// computes the box around the selected cells: int64 [N·T, K]: the first and, behind
// it, the last row and column that it reads, then how these are padded and put
// back.
func Boxes(block string) string { return block + ".boxes" }

// BoxPays is the value that says of each frame whether its box is computed or the
// whole frame, bool [N·T], where that is not known before.
func BoxPays(block string) string { return block + ".box_pays" }

// SomeCell is the value that says which frames have a cell selected, bool [N·T],
// where a block computes only those.
func SomeCell(block string) string { return block + ".some_cell" }

// RestPixels is the value that is 1 where a frame's pixel is not selected, else 0,
// float32 [N·T, 1, h, w], beside SomeCell.
func RestPixels(block string) string { return block + ".rest" }
