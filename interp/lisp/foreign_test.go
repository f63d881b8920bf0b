package lisp

import (
	"regexp"
	"testing"
)

// The advice for a name of another dialect is for a name that is not one of this dialect, and
// names what is.
func TestForeignNames(t *testing.T) {
	in := New(Options{})
	defer in.Close()
	known := func(name string) bool {
		s := in.intern(name)
		return s.value.Load() != nil || s.special != nil || s.constant || name == "nil"
	}
	simple := regexp.MustCompile(`^write ([^ ,]+)(?:(?:, | and | or )([^ ,]+))*$`)
	for name, advice := range foreign {
		if known(name) {
			t.Errorf("%s has a meaning here", name)
		}
		if simple.MatchString(advice) {
			for _, word := range regexp.MustCompile(`[^ ,]+`).FindAllString(advice, -1)[1:] {
				if word != "and" && word != "or" && !known(word) {
					t.Errorf("%s: %s is nothing", name, word)
				}
			}
		}
	}
}
