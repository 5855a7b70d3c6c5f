package passes

import (
	"errors"

	"github.com/afc-project/afc/afblock/compiled/names"
	"github.com/afc-project/afc/afblock/recognize"
	"github.com/afc-project/afc/codegen"
	"github.com/afc-project/afc/graph"
)

// reshift writes the temporal shifts of a trunk that afc does not know, a
// MobileNet's for one, in few operators: exporters spell a slice assignment with
// a hundred. What is a shift is told by its data movement, wherever it stands.
func reshift(s *State) error {
	if s.Model.Meta(names.OptimizedKey) != "" || s.noFrames {
		return nil // the whole trunk was written anew, or all of it stays
	}
	opt := s.opt.Recognize
	found, err := recognize.Shifts(s.Model, opt)
	if no := (*recognize.Error)(nil); errors.As(err, &no) {
		if no.NeedFrames {
			s.note(nil, "%v; the shifts keep their form", err)
		}
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.Base.Type.Elem != graph.Float32 || len(f.Base.Type.Shape) != 4 || !f.Base.Type.Shape[1].Known() || f.Base.Graph() != f.Value.Graph() {
			continue
		}
		for _, n := range codegen.Reshift(f.Value, f.Base, &f.Shift, f.Frames) {
			s.stamp(n)
		}
		s.changed(1)
	}
	return nil
}
