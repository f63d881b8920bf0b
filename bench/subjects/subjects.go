package subjects

import (
	"errors"
	"strings"
)

// All lists the subjects, in the order of the tables. A new subject is a file of its own and a
// line here.
var All = []Subject{
	rawSubject,
	rawBatchSubject,
	weirSubject,
	weirLeanSubject,
	weirEventsSubject,
	weirOnDemandSubject,
	weirHTTPDSubject,
	weirBatchSubject,
	netSubject,
	gnetSubject,
	gnetEachSubject,
	netpollSubject,
	nbioSubject,
	kernelSubject,
}

// Find returns the subject with this name.
func Find(name string) (Subject, error) {
	for _, s := range All {
		if s.Name == name {
			return s, nil
		}
	}
	return Subject{}, errors.New("no such subject; there are " + strings.Join(Names(), ", "))
}

// Names lists the names of all subjects.
func Names() []string {
	var names []string
	for _, s := range All {
		names = append(names, s.Name)
	}
	return names
}

// Usual lists the subjects that are measured unless the user names others.
func Usual() []string {
	var names []string
	for _, s := range All {
		if !s.ByRequest {
			names = append(names, s.Name)
		}
	}
	return names
}

// Able lists those of the named subjects that can do what a suite needs, in the order of All.
func Able(names []string, can func(Subject) bool) []string {
	var out []string
	for _, s := range All {
		for _, name := range names {
			if s.Name == name && can(s) {
				out = append(out, name)
			}
		}
	}
	return out
}
