package train

// Moment is what some steps of a training were in the mean, or what a validation
// found behind a step.
type Moment struct {
	Step   int                `json:"step"`            // the last of them, of all epochs, from 1 on
	Steps  int                `json:"steps,omitempty"` // how many
	Facts  map[string]float64 `json:"facts,omitempty"`
	Tau    float64            `json:"tau,omitempty"` // of the last
	Target float64            `json:"target_ratio,omitempty"`
	Rate   float64            `json:"rate,omitempty"`
	Val    *Score             `json:"validation,omitempty"`
}

// moments bounds how many a curve has.
const maxMoments = 400

// add adds a step, which some are done with, of all, to a curve.
func add(curve []Moment, all, done int, p Progress) []Moment {
	each := (all + maxMoments - 1) / maxMoments
	if (done-1)%each == 0 || len(curve) == 0 {
		curve = append(curve, Moment{Facts: map[string]float64{}})
	}
	m := &curve[len(curve)-1]
	for name, x := range p.Facts {
		m.Facts[name] += (x - m.Facts[name]) / float64(m.Steps+1)
	}
	m.Step, m.Steps, m.Tau, m.Target, m.Rate = done, m.Steps+1, p.Tau, p.Target, p.Rate
	return curve
}
