package clips

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/afc-project/afc/clips/ffmpeg"
	"github.com/afc-project/afc/internal/regular"
)

// maxListBytes is far more than any data set's list has.
const maxListBytes = 1 << 30

// listsFiles reports whether an annotation list names video files: it is a
// data set's own, or its first line names one.
func listsFiles(list string) (bool, error) {
	raw, err := readAll(list)
	if err != nil {
		return false, err
	}
	if isJSON(raw) || isKinetics(raw) {
		return true, nil
	}
	line, _ := firstLine(raw)
	path, _ := fileLine(line)
	return isVideoFile(path), nil
}

func readAll(path string) ([]byte, error) {
	file, err := regular.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxListBytes+1))
	if err == nil && len(raw) > maxListBytes {
		err = fmt.Errorf("%s: it is larger than %d bytes", path, maxListBytes)
	}
	return bytes.TrimPrefix(raw, []byte(byteOrderMark)), err
}

func isJSON(raw []byte) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) > 0 && (raw[0] == '[' || raw[0] == '{')
}

func isKinetics(raw []byte) bool {
	line, _, _ := bytes.Cut(raw, []byte("\n"))
	return bytes.Contains(line, []byte("youtube_id")) && bytes.Contains(line, []byte(","))
}

// firstLine is the first line of a list that names something, and its number.
func firstLine(raw []byte) (string, int) {
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for n := 1; lines.Scan(); n++ {
		if line := strings.TrimSpace(lines.Text()); line != "" && !strings.HasPrefix(line, "#") && !isHeader(line) {
			return line, n
		}
	}
	return "", 0
}

// fileLine reads "path label": labels none, one or several.
func fileLine(line string) (path string, labels []int) {
	rests, numbers := trailing(line)
	if len(rests) > 0 {
		line = rests[len(rests)-1]
	}
	return strings.Trim(line, `"`), numbers
}

// readFileList reads a list of video files. Notes say what was taken for granted.
func readFileList(root, list string, opt ListOptions) (videos []video, notes []string, err error) {
	if opt.Offset {
		return nil, nil, fmt.Errorf("%s: it lists video files: an offset is for folders of frames", list)
	}
	raw, err := readAll(list)
	if err != nil {
		return nil, nil, err
	}
	p := &places{root: root, opt: opt}
	named := isJSON(raw) || isKinetics(raw)
	switch {
	case !named && (opt.Labels != "" || opt.Subset != ""):
		err = errors.New("its lines hold numbers of classes and no subsets: a file of labels and a subset are for lists of names")
	case !named:
		videos, err = p.lines(raw)
	default:
		var entries []entry
		if entries, err = entriesOf(raw); err == nil {
			videos, notes, err = p.entries(entries)
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", list, err)
	}
	return videos, notes, nil
}

// places finds files of lists.
type places struct {
	root string
	opt  ListOptions
}

// lines reads lines "path label".
func (p *places) lines(raw []byte) (videos []video, err error) {
	lines := bufio.NewScanner(bytes.NewReader(raw))
	first := true
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") || first && isHeader(line) {
			continue
		}
		first = false
		path, labels := fileLine(line)
		if !isVideoFile(path) {
			return nil, fmt.Errorf("line %d: %.200q: expected %q, a path that ends in %s", n, line, "path label", endings)
		}
		v := video{labels: labels, line: n}
		if v.path, err = place(p.root, path, p.opt); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		videos = append(videos, v)
	}
	return videos, lines.Err()
}

// entry is a video in a data set's own list.
type entry struct {
	bases   []string // what its file may be called, without ending
	folders []string // where it may lie
	classes []string // names; none where the list tells none
	subset  string   // "" where the list has none
}

// entriesOf reads a data set's own list.
func entriesOf(raw []byte) ([]entry, error) {
	if isKinetics(raw) {
		return kinetics(raw)
	}
	if raw = bytes.TrimSpace(raw); raw[0] == '[' {
		return something(raw)
	}
	return activityNet(raw)
}

// kinetics reads lines label,youtube_id,time_start,time_end,split. Its
// downloaders call the file ID_000012_000022.mp4, in folders of classes or not.
func kinetics(raw []byte) ([]entry, error) {
	r := csv.NewReader(bytes.NewReader(raw))
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	at := func(name string) int { return slices.Index(rows[0], name) }
	id, label, start, end, split := at("youtube_id"), at("label"), at("time_start"), at("time_end"), at("split")
	if id < 0 {
		return nil, errors.New("expected a column youtube_id")
	}
	var out []entry
	for n, row := range rows[1:] {
		field := func(i int) string {
			if i < 0 || i >= len(row) {
				return ""
			}
			return strings.TrimSpace(row[i])
		}
		e := entry{bases: []string{field(id)}, subset: field(split)}
		if field(id) == "" {
			return nil, fmt.Errorf("row %d: no youtube_id", n+2)
		}
		if from, err := strconv.Atoi(field(start)); err == nil {
			if to, err := strconv.Atoi(field(end)); err == nil {
				e.bases = []string{fmt.Sprintf("%s_%06d_%06d", field(id), from, to), field(id)}
			}
		}
		e.folders = []string{""}
		if name := field(label); name != "" {
			e.classes = []string{name}
			e.folders = append(e.folders, name, strings.ReplaceAll(name, " ", "_"))
		}
		for _, f := range slices.Clone(e.folders) {
			if e.subset != "" {
				e.folders = append(e.folders, e.subset+"/"+f)
			}
		}
		out = append(out, e)
	}
	return out, nil
}

// text is a JSON string, or a number as it is written.
type text string

func (t *text) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '"' {
		return json.Unmarshal(raw, (*string)(t))
	}
	var n json.Number
	if err := json.Unmarshal(raw, &n); err != nil {
		return err
	}
	*t = text(n)
	return nil
}

// something reads [{"id": "78687", "template": "Holding [something]"}], whose
// files are ID.webm. The labels file has the templates without brackets.
func something(raw []byte) ([]entry, error) {
	var videos []struct {
		ID       text   `json:"id"`
		Template string `json:"template"`
	}
	if err := json.Unmarshal(raw, &videos); err != nil {
		return nil, err
	}
	var out []entry
	for i, v := range videos {
		if v.ID == "" {
			return nil, fmt.Errorf("video %d has no id", i)
		}
		e := entry{bases: []string{string(v.ID)}, folders: []string{""}}
		if v.Template != "" {
			e.classes = []string{strings.NewReplacer("[", "", "]", "").Replace(v.Template)}
		}
		out = append(out, e)
	}
	return out, nil
}

// activityNet reads {"database": {"ID": {"subset": …, "annotations": [{"label":
// …}]}}}, whose files are v_ID.mp4.
func activityNet(raw []byte) ([]entry, error) {
	var list struct {
		Database map[string]struct {
			Subset      string `json:"subset"`
			Annotations []struct {
				Label string `json:"label"`
			} `json:"annotations"`
		} `json:"database"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, err
	}
	if list.Database == nil {
		return nil, errors.New(`expected Something-Something's [{"id": …}] or ActivityNet's {"database": {…}}`)
	}
	ids := make([]string, 0, len(list.Database))
	for id := range list.Database {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var out []entry
	for _, id := range ids {
		v := list.Database[id]
		e := entry{bases: []string{"v_" + id, id}, folders: []string{""}, subset: v.Subset}
		if v.Subset != "" {
			e.folders = append(e.folders, v.Subset)
		}
		for _, a := range v.Annotations {
			if !slices.Contains(e.classes, a.Label) {
				e.classes = append(e.classes, a.Label)
			}
		}
		out = append(out, e)
	}
	return out, nil
}

// entries finds the files of a data set's list and numbers their classes.
func (p *places) entries(entries []entry) (videos []video, notes []string, err error) {
	numbers, err := p.numbers(entries)
	if err != nil {
		return nil, nil, err
	}
	subsets := map[string]bool{}
	for i, e := range entries {
		subsets[e.subset] = true
		if p.opt.Subset != "" && e.subset != p.opt.Subset {
			continue
		}
		v := video{line: i + 1}
		for _, name := range e.classes {
			label, known := numbers[name]
			if !known {
				return nil, nil, fmt.Errorf("class %.200q has no number in %s", name, p.opt.Labels)
			}
			v.labels = append(v.labels, label)
		}
		if v.path, err = p.find(e); err != nil {
			return nil, nil, err
		}
		videos = append(videos, v)
	}
	if len(videos) == 0 && p.opt.Subset != "" {
		return nil, nil, fmt.Errorf("it has no subset %q, but %s", p.opt.Subset, quoted(subsets))
	}
	if p.opt.Labels == "" && len(numbers) > 0 {
		notes = append(notes, fmt.Sprintf("their %d classes numbered in the order of the alphabet", len(numbers)))
	}
	return videos, notes, nil
}

func quoted(set map[string]bool) string {
	var names []string
	for name := range set {
		names = append(names, strconv.Quote(name))
	}
	slices.Sort(names)
	return strings.Join(names[:min(len(names), 10)], ", ")
}

// find is where an entry's file lies: the first place that has it, or else the
// first of all, where it will be missed.
func (p *places) find(e entry) (string, error) {
	likely := ""
	for _, folder := range e.folders {
		for _, base := range e.bases {
			for _, ending := range ffmpeg.Formats {
				path, err := place(p.root, filepath.Join(folder, base+ending), p.opt)
				if err != nil {
					return "", err
				}
				if likely == "" {
					likely = path
				}
				if _, err := os.Stat(path); err == nil {
					return path, nil
				}
			}
		}
	}
	return likely, nil
}

// numbers are the classes' numbers by name: those of the file of labels, or in
// the order of the alphabet over all of the list, whatever the subset.
func (p *places) numbers(entries []entry) (map[string]int, error) {
	if p.opt.Labels != "" {
		return readLabels(p.opt.Labels)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.classes...)
	}
	slices.Sort(names)
	numbers := map[string]int{}
	for i, name := range slices.Compact(names) {
		numbers[name] = i
	}
	return numbers, nil
}

// readLabels reads a file of classes: {"name": number}, or a name a line.
func readLabels(path string) (map[string]int, error) {
	raw, err := readAll(path)
	if err != nil {
		return nil, err
	}
	numbers := map[string]int{}
	if !isJSON(raw) {
		for line := range strings.Lines(string(raw)) {
			if name := strings.TrimSpace(line); name != "" {
				numbers[name] = len(numbers)
			}
		}
		return numbers, nil
	}
	var given map[string]text
	if err := json.Unmarshal(raw, &given); err != nil {
		return nil, fmt.Errorf("%s: expected {\"name\": number}: %w", path, err)
	}
	for name, number := range given {
		n, err := strconv.Atoi(string(number))
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%s: class %.200q has the number %.40q", path, name, string(number))
		}
		numbers[name] = n
	}
	return numbers, nil
}
