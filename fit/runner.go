package fit

import (
	"context"
	"fmt"
	"slices"

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

// maps are feature maps of consecutive frames, [frames, c, h, w].
type maps struct {
	first, frames int // counted over all clips
	c             int
	at            size
	values        []float32
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
	return port{f.name, graph.Shape{graph.Sym("frames"), graph.D(int64(s.c)), graph.D(int64(s.at.h)), graph.D(int64(s.at.w))}}
}

// each computes values of a model from what is fed for all clips, and shows
// visit the maps, in the order of names, for some clips after the others.
func (r *runner) each(m *graph.Model, feeds []feed, names []string, visit func([]maps) error) error {
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
	for clip := 0; clip < r.clips; clip += batch {
		n := min(batch, r.clips-clip) * r.frames
		in, err := readFeeds(feeds, clip*r.frames, n)
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
			if shown[i], err = mapsOf(t, clip*r.frames); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		if err := visit(shown); err != nil {
			return err
		}
	}
	return nil
}

func readFeeds(feeds []feed, frame, n int) ([]*graph.Tensor, error) {
	var in []*graph.Tensor
	for _, f := range feeds {
		if f.scalar != nil {
			in = append(in, tensorOf(f.scalar[frame:frame+n], n))
			continue
		}
		values, err := f.stream.read(frame, n)
		if err != nil {
			return nil, err
		}
		in = append(in, tensorOf(values, n, f.stream.c, f.stream.at.h, f.stream.at.w))
	}
	return in, nil
}

func mapsOf(t *graph.Tensor, first int) (maps, error) {
	values, err := valuesOf(t)
	if err != nil {
		return maps{}, err
	}
	if len(t.Dims) != 4 {
		return maps{}, fmt.Errorf("BUG: %v is no feature map", t.Dims)
	}
	return maps{first, int(t.Dims[0]), int(t.Dims[1]), size{int(t.Dims[2]), int(t.Dims[3])}, values}, nil
}
