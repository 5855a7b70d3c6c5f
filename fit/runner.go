package fit

import (
	"context"
	"fmt"
	"slices"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/verify/ort"
)

// batchValues bounds the values of the streams that one run reads: whole clips,
// as many as fit, at least one. Larger batches are no faster: a frame's maps
// fall out of the cache.
const batchValues = 4 << 20

// runner runs parts of models on the clips, a few at a time.
type runner struct {
	ctx     context.Context
	session ort.SessionOptions
	clips   int
	frames  int // T, of a clip
}

// maps are feature maps of whole clips, [frames, c, h, w].
type maps struct {
	clips  []int
	frames int // of all these clips
	c      int
	at     afblock.Size
	values []float32
}

// frame is the number among all frames of the i-th here.
func (m maps) frame(i int) int {
	n := m.frames / len(m.clips)
	return m.clips[i/n]*n + i%n
}

// clip returns the values of the i-th clip here.
func (m maps) clip(i int) []float32 {
	n := len(m.values) / len(m.clips)
	return m.values[i*n : (i+1)*n]
}

// feed says what an input of a part is fed with: a stream, or one number a
// frame.
type feed struct {
	name   string
	stream *stream
	scalar []float32 // of every frame; nil: stream
}

func (f feed) port() port {
	if f.scalar != nil {
		return port{f.name, graph.Shape{graph.Sym("frames")}}
	}
	s := f.stream
	return port{f.name, graph.Shape{graph.Sym("frames"), graph.D(int64(s.c)), graph.D(int64(s.at[0])), graph.D(int64(s.at[1]))}}
}

// all lists all clips.
func (r *runner) all() []int {
	out := make([]int, r.clips)
	for i := range out {
		out[i] = i
	}
	return out
}

// each computes values of a model from what is fed for clips, and shows visit
// the maps, in the order of names, for some of the clips after the others.
func (r *runner) each(m *graph.Model, feeds []feed, names []string, clips []int, visit func([]maps) error) error {
	fed := func(name string) int { return slices.IndexFunc(feeds, func(f feed) bool { return f.name == name }) }
	var ports []port
	perClip := 1
	for _, f := range feeds {
		ports = append(ports, f.port())
		if f.stream != nil {
			perClip += f.stream.perFrame() * r.frames
		}
	}
	made := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return fed(n) >= 0 })
	var session *ort.Session
	if len(made) > 0 {
		part, err := cut(m, ports, made)
		if err != nil {
			return err
		}
		if session, err = ort.NewSession(part, r.session); err != nil {
			return err
		}
		defer session.Close()
	}
	batch := max(1, batchValues/perClip)
	for some := range slices.Chunk(clips, batch) {
		in, err := r.read(feeds, some)
		if err != nil {
			return err
		}
		var out []*graph.Tensor
		if session != nil {
			if out, err = session.Run(r.ctx, in...); err != nil {
				return err
			}
		} else if err := r.ctx.Err(); err != nil {
			return err
		}
		shown := make([]maps, len(names))
		for i, name := range names {
			t := (*graph.Tensor)(nil)
			if k := fed(name); k >= 0 {
				t = in[k]
			} else {
				t = out[slices.Index(made, name)]
			}
			if shown[i], err = mapsOf(t, some); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		if err := visit(shown); err != nil {
			return err
		}
	}
	return nil
}

// read returns what is fed for clips.
func (r *runner) read(feeds []feed, clips []int) ([]*graph.Tensor, error) {
	var in []*graph.Tensor
	frames := len(clips) * r.frames
	for _, f := range feeds {
		var values []float32
		if f.scalar != nil {
			for _, c := range clips {
				values = append(values, f.scalar[c*r.frames:(c+1)*r.frames]...)
			}
			in = append(in, tensorOf(values, frames))
			continue
		}
		values = make([]float32, frames*f.stream.perFrame())
		per := r.frames * f.stream.perFrame()
		for i, c := range clips {
			if err := f.stream.read(c*r.frames, values[i*per:(i+1)*per]); err != nil {
				return nil, err
			}
		}
		in = append(in, tensorOf(values, frames, f.stream.c, f.stream.at[0], f.stream.at[1]))
	}
	return in, nil
}

func mapsOf(t *graph.Tensor, clips []int) (maps, error) {
	values, err := valuesOf(t)
	if err != nil {
		return maps{}, err
	}
	if len(t.Dims) != 4 {
		return maps{}, fmt.Errorf("BUG: %v is no feature map", t.Dims)
	}
	return maps{clips, int(t.Dims[0]), int(t.Dims[1]), afblock.Size{int(t.Dims[2]), int(t.Dims[3])}, values}, nil
}
