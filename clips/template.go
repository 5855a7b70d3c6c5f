package clips

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// template is how the frames of a video are named, by their number.
type template string // with one %d, as fmt has it

var (
	braces = regexp.MustCompile(`\{(?::(\d*)d?)?\}`) // Python's, as mmaction2 has them
	verb   = regexp.MustCompile(`%0?\d{0,2}d`)
)

// parseTemplate reads names such as img_%05d.jpg, img_{:05}.jpg and {:06d}.png.
func parseTemplate(s string) (template, error) {
	t := s
	if found := braces.FindAllStringSubmatch(s, -1); len(found) == 1 && !strings.Contains(s, "%") {
		if width, err := strconv.Atoi(found[0][1]); err == nil && width > 99 {
			return "", fmt.Errorf("template %q: no frame has a number of %d digits", s, width)
		}
		t = braces.ReplaceAllString(s, "%${1}d")
	}
	switch rest := verb.ReplaceAllString(t, ""); {
	case len(verb.FindAllString(t, -1)) != 1 || strings.ContainsAny(rest, "%{}"):
		return "", fmt.Errorf("template %q: expected a name with one number, such as %s or img_{:05}.jpg", s, FrameTemplate)
	case !filepath.IsLocal(rest + "0"):
		return "", fmt.Errorf("template %q: it leads out of a video's folder", s)
	}
	return template(t), nil
}

// path is where frame number n of a video lies.
func (t template) path(folder string, n int) string {
	return filepath.Join(folder, fmt.Sprintf(string(t), n))
}
