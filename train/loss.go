package train

import (
	"fmt"

	"github.com/afc-project/afc/graph"
)

// loss writes what a step makes smaller:
//
//	labels · cross-entropy(clip scores)
//	+ distill · (distance(clip scores) + ½ distance(frame scores))
//	+ λ · mean over blocks of (R_T − r)²
//
// the distance to the teacher's scores being the squared error over the variance
// of the teacher's, r a block's selected ratio in the batch.
func (s *stepWriter) loss(a answer) (*graph.Value, error) {
	var terms []*graph.Value
	if s.opt.Labels > 0 {
		terms = append(terms, s.term(s.crossEntropy(a.clips), "classes", s.number(s.opt.Labels)))
	}
	if s.opt.Distill > 0 {
		terms = append(terms, s.term(s.distillation(a), "teacher", s.number(s.opt.Distill)))
	}
	if s.opt.Selection == Learned && len(s.masks) > 0 {
		terms = append(terms, s.term(s.ratioLoss(), "ratio", s.input(LambdaIn)))
	}
	if len(terms) == 0 {
		return nil, fmt.Errorf("nothing to learn from: neither labels nor a teacher")
	}
	total := terms[0]
	for _, t := range terms[1:] {
		total = s.binary("Add", "loss", total, t)
	}
	s.fact(total, "loss")
	s.selected()
	return total, nil
}

// term is a term of the loss, times its weight; the fact is without.
func (s *stepWriter) term(v *graph.Value, name string, weight *graph.Value) *graph.Value {
	s.fact(v, "loss_"+name)
	return s.binary("Mul", "loss."+name, v, weight)
}

// crossEntropy is −mean over clips of the log-probability of their classes.
func (s *stepWriter) crossEntropy(scores *graph.Value) *graph.Value {
	classes := s.input(ClassesIn, s.clips, int64(s.net.Head.FC.Out()))
	logs := s.node("LogSoftmax", "classes.logs", []*graph.Value{scores}, graph.Int("axis", 1))
	return s.scaled(s.sum(s.binary("Mul", "classes.picked", logs, classes), "classes.sum"), -1/float64(s.clips), "classes.entropy")
}

// distillation is the distance of the clips' scores from the teacher's, and half
// that of the frames'.
func (s *stepWriter) distillation(a answer) *graph.Value {
	frames, classes := int64(s.net.Frames), int64(s.net.Head.FC.Out())
	teacher := s.input(TeacherIn, s.clips*frames, classes)
	sum := s.sum(s.reshape(teacher, "teacher.clips", s.clips, frames, classes), "teacher.sum", 1)
	clips := s.distance(a.clips, s.scaled(sum, 1/float64(frames), "teacher.scores"), s.clips, "teacher.clip")
	each := s.distance(a.frames, teacher, s.clips*frames, "teacher.frame")
	return s.binary("Add", "teacher.distance", clips, s.scaled(each, 0.5, "teacher.half"))
}

// leastVariance keeps scores that do not differ from being divided by.
const leastVariance = 1e-12

// distance is the mean squared error of rows of scores over the mean variance of
// a row of those wanted.
func (s *stepWriter) distance(got, want *graph.Value, rows int64, name string) *graph.Value {
	classes := float64(s.net.Head.FC.Out())
	sums := s.reshape(s.sum(want, name+".sum", 1), name+".sums", rows, 1)
	centred := s.binary("Sub", name+".centred", want, s.scaled(sums, 1/classes, name+".mean"))
	variance := s.scaled(s.sum(s.binary("Mul", name+".squares", centred, centred), name+".spread"), 1/float64(rows)/max(classes-1, 1), name+".variance")
	apart := s.binary("Sub", name+".apart", got, want)
	lost := s.scaled(s.sum(s.binary("Mul", name+".squared", apart, apart), name+".lost"), 1/float64(rows)/classes, name+".error")
	return s.binary("Div", name, lost, s.binary("Max", name+".least", variance, s.number(leastVariance)))
}

// ratio is the part of the frames that a block computes in the batch.
func (s *stepWriter) ratio(mask *graph.Value, name string) *graph.Value {
	return s.scaled(s.sum(mask, name+".selected"), 1/float64(s.clips*int64(s.net.Frames)), name)
}

func (s *stepWriter) ratioLoss() *graph.Value {
	target := s.input(RatioIn)
	var sum *graph.Value
	for i, m := range s.masks {
		name := fmt.Sprintf("ratio.%d", i)
		off := s.binary("Sub", name+".off", s.ratio(m, name), target)
		square := s.binary("Mul", name+".square", off, off)
		if sum == nil {
			sum = square
		} else {
			sum = s.binary("Add", "ratio.sum", sum, square)
		}
	}
	return s.scaled(sum, 1/float64(len(s.masks)), "ratio.loss")
}

// selected notes each block's ratio.
func (s *stepWriter) selected() {
	for i, m := range s.masks {
		s.fact(s.ratio(m, fmt.Sprintf("selected.%d", i)), fmt.Sprintf("selected_%d", i))
	}
}
