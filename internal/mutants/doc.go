// Package mutants plants faults in the compiler and sees whether verification
// finds them. Its tests build the program trial anew for each fault, with go
// build's -overlay; the sources stay as they are.
//
//	planted_test.go  faults that once went unseen, each held to being found
//	edits_test.go    one-line edits of codegen's sources, sampled: make mutants
//	build_test.go    building and running a faulty trial
//	trial/           converts small networks and verifies them
package mutants
