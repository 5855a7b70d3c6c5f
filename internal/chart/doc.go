// Package chart draws figures as SVG in one style: light and dark by the
// reader's setting, figures on the marks, a legend beside them, nothing
// clipped however long the words are.
//
//	svg.go      the canvas: text, shapes, colours
//	bars.go     stacked bars, one a network (costs)
//	scatter.go  points with error bars on two axes (accuracy against cost)
//	dots.go     rows of marks on one axis (residuals of layers)
//	curves.go   lines over one axis (a training's loss)
//	heat.go     rows of shares (which frames blocks select)
//	axis.go     round steps of a scale
package chart
