//go:build race

package lisp_test

const raceEnabled = true
