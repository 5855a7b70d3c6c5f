// Command trial compiles small networks in every lowering and verifies them. It
// exits with 0 where verification finds nothing wrong, with 1 where a row fails,
// which it names, and with 2 where a network does not compile.
//
//	main.go    compiling and verification
//	cases.go   the networks
package main
