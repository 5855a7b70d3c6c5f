package afc

import "strings"

// List names choices for messages.
func List[S ~string](choices []S) string {
	names := make([]string, len(choices))
	for i, s := range choices {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}
