// Package explain shows what an AFNet computed on clips: which block computed
// which frame, and which cells of it, what the clip's answer was, and what it
// cost. It runs nothing: others fill a Report.
//
//	report.go   Report and what is derived from it: ratios, classes, extremes
//	page.go     Report as one web page that needs nothing else
//	json.go     Report as data
package explain
