// Package table prints aligned tables on terminals.
//
//   - table.go: Table
package table
