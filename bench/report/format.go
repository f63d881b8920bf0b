//go:build linux

package report

import (
	"fmt"
	"strconv"
	"strings"
)

// Decimals returns a format with n digits after the point. Values of 100 or more have none, and
// values below 10 have at least one: a reader compares about three digits at a glance.
func Decimals(n int) func(float64) string {
	return func(v float64) string {
		digits := n
		switch {
		case v >= 100:
			return Grouped(v)
		case v < 10:
			digits = max(n, 1)
		}
		return strconv.FormatFloat(v, 'f', digits, 64)
	}
}

// Grouped formats a whole number with commas between the thousands.
func Grouped(v float64) string {
	digits := strconv.FormatFloat(v, 'f', 0, 64)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// Percent formats a share: 0.5 is "50 %".
func Percent(v float64) string { return strconv.FormatFloat(100*v, 'f', 0, 64) + " %" }

// Whole formats a whole number.
func Whole(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) }

// Counted returns a number with its noun: "1 core", "2 cores".
func Counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Bytes formats a size in the largest unit that divides it: "64 KiB", "100 bytes".
func Bytes(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return Counted(n, "byte")
}
