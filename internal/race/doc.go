// Package race tells tests whether the race detector is on. It makes a program
// slower and its memory larger.
package race
