// Command speed measures how fast the models that codegen writes are on this
// machine, against their sources and against each other: the bars that the
// project is held to and, with -steps, what each of codegen's steps is worth.
//
//	speed -md table.md -json table.json
//
// Both models of a figure run in turn, round by round, so that what else the
// machine does hits both alike; a figure is the median of the rounds' ratios.
//
//   - main.go: flags; the cells in turn
//   - cells.go: the figures of the tables
//   - models.go: the models they need
//   - report.go: figures as Markdown and JSON
package main
