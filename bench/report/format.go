package report

import (
	"fmt"
	"strconv"
	"strings"
)

// Formats

// Decimals shows n digits behind the point, but no more than three digits that say something:
// nobody can compare 1234.56 with 1198.03 at a glance.
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

// Grouped shows a whole number with commas between the thousands.
func Grouped(v float64) string {
	digits := strconv.FormatFloat(v, 'f', 0, 64)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

func Percent(v float64) string { return strconv.FormatFloat(100*v, 'f', 0, 64) + " %" }

func Whole(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) }

// Counted is a number with its noun.
func Counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Bytes shows a size as people say it.
func Bytes(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return Counted(n, "byte")
}
