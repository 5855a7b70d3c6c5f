// Package agreement says how far scores [clips][classes] agree with others and
// with labels: what a fit and a training measure themselves by.
//
//	agreement.go  all of it
package agreement
