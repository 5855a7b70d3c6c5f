// Package train makes training graphs out of models: gradient.go differentiates
// a graph, by the gradient column of package op's table.
package train
