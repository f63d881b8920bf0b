package lisp

import "time"

// ReadAll reads all forms of a text, for tests.
func (in *Interp) ReadAll(text string) (forms []Value, err error) {
	for r := newReader(in, "", text); ; {
		form, more, err := r.next()
		if err != nil || !more {
			return forms, err
		}
		forms = append(forms, form)
	}
}

// Equal compares, for tests.
func (in *Interp) Equal(a, b Value) (bool, error) { return in.main().equal(a, b, 0) }

// PrintUpTo does what Print does, with another bound.
func PrintUpTo(v Value, most int) string {
	p := printer{readable: true, most: most}
	p.print(v, 0)
	return p.String()
}

// SetCleanupTime makes tests of it fast. It must not be called while evaluating.
func (in *Interp) SetCleanupTime(d time.Duration) { in.cleanupTime = d }
