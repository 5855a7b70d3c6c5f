// Package afblock is the domain: video ResNets as a typed Network, the AF
// module of AFNet (Zhang et al., NeurIPS 2022, arXiv 2211.09992), weights in
// and out, and what a Network costs.
package afblock
