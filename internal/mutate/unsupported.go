//go:build !linux

package main

// The tests that mutate runs need Linux.
var _ = Weir_runs_on_Linux_only
