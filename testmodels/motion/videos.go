package motion

import (
	"bufio"
	"context"
	_ "embed"
	"fmt"
	goimage "image"
	"image/png"
	"os"
	"path/filepath"

	"github.com/afc-project/afc/clips"
	"github.com/afc-project/afc/graph"
)

// Source is the encoded TSM that was trained on such clips.
//
//go:embed tsm.onnx
var Source []byte

// Videos are clips of a seed.
type Videos struct {
	Seed  uint64
	Count int
	// Shapes asks for the actor's shape in place of the event; nothing else stands
	// about then.
	Shapes bool
}

// Len returns the number of clips.
func (v Videos) Len() int { return v.Count }

// Label returns the class of clip i.
func (v Videos) Label(i int) int {
	if v.Shapes {
		return sceneOf(v.Seed, i, false).kind
	}
	return classOf(v.Seed, i)
}

func (v Videos) String() string { return fmt.Sprintf("%d motion clips (seed %d)", v.Count, v.Seed) }

// ImageNet's mean and deviation, of pixels of 0 to 255.
var mean, deviation = [3]float32{123.675, 116.28, 103.53}, [3]float32{58.395, 57.12, 57.375}

// Clip returns clip i.
func (v Videos) Clip(_ context.Context, i int, form clips.Form) ([]float32, error) {
	if form.Channels != 3 || form.Height != Side || form.Width != Side {
		return nil, fmt.Errorf("motion clips have frames of 3×%d×%d, not %d×%d×%d", Side, Side, form.Channels, form.Height, form.Width)
	}
	if ticks%form.Frames != 0 {
		return nil, fmt.Errorf("motion clips have frames that divide %d, not %d", ticks, form.Frames)
	}
	pixels := sceneOf(v.Seed, i, !v.Shapes).clip(v.Seed, i, form.Frames)
	out := make([]float32, len(pixels))
	for k, p := range pixels {
		out[k] = float32(p)
		if c := k / Side / Side % 3; !form.Pixels {
			out[k] = (out[k] - mean[c]) / deviation[c]
		}
	}
	return out, nil
}

// Arrays returns the clips' pixels, uint8 [clips, T, 3, 64, 64], and labels.
func (v Videos) Arrays() (pixels, labels *graph.Tensor, err error) {
	var raw []byte
	var classes []int64
	for i := range v.Count {
		raw = append(raw, sceneOf(v.Seed, i, !v.Shapes).clip(v.Seed, i, Frames)...)
		classes = append(classes, int64(v.Label(i)))
	}
	n := int64(v.Count)
	pixels, err = graph.NewTensor(graph.Uint8, []int64{n, Frames, 3, Side, Side}, raw)
	return pixels, graph.Int64s([]int64{n}, classes...), err
}

// Write writes the clips as folders of images, CLASS/VIDEO/img_00001.png, class
// names in the order of Classes.
func (v Videos) Write(dir string) error {
	for i := range v.Count {
		pixels, class := Clip(v.Seed, i, Frames)
		folder := filepath.Join(dir, fmt.Sprintf("%02d_%s", class, Classes[class]), fmt.Sprintf("%05d", i))
		if err := os.MkdirAll(folder, 0o777); err != nil {
			return err
		}
		for t := range Frames {
			if err := writeFrame(filepath.Join(folder, fmt.Sprintf("img_%05d.png", t+1)), pixels[t*3*Side*Side:]); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeFrame(path string, pixels []byte) error {
	img := goimage.NewRGBA(goimage.Rect(0, 0, Side, Side))
	for k := range Side * Side {
		img.Pix[4*k], img.Pix[4*k+1], img.Pix[4*k+2], img.Pix[4*k+3] = pixels[k], pixels[Side*Side+k], pixels[2*Side*Side+k], 255
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	if err = (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(w, img); err == nil {
		err = w.Flush()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
