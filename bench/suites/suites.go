package suites

import (
	"errors"
	"maps"
	"strings"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/finders"
	"github.com/seed-2334f180/weir/bench/load"
	"github.com/seed-2334f180/weir/bench/scripts"
	"github.com/seed-2334f180/weir/bench/soak"
	"github.com/seed-2334f180/weir/bench/subjects"
	"github.com/seed-2334f180/weir/bench/together"
	"github.com/seed-2334f180/weir/bench/web"
)

// Roles returns all roles that a child of this program can have.
func Roles() map[string]child.Role {
	all := map[string]child.Role{}
	for _, roles := range []map[string]child.Role{subjects.Roles, load.Roles, finders.Roles, scripts.Roles, soak.Roles, together.Roles, web.Roles} {
		maps.Copy(all, roles)
	}
	return all
}

// Usual lists the suites that run, with their brief settings, unless the user names others.
var Usual = []string{"echo", "ordinary"}

// All lists the suites, in the order of the help text. A new suite is a file of its own and a
// line here.
var All = []Suite{
	echoSuite,
	pipelineSuite,
	tlsSuite,
	bulkSuite,
	churnSuite,
	scaleSuite,
	idleSuite,
	udpSuite,
	timeoutsSuite,
	selectSuite,
	interpSuite,
	ordinarySuite,
	neighboursSuite,
	oneProcessSuite,
	paceSuite,
	fairnessSuite,
	httpSuite,
	soakSuite,
}

// Find returns the suite with this name.
func Find(name string) (Suite, error) {
	for _, s := range All {
		if s.Name == name {
			return s, nil
		}
	}
	return Suite{}, errors.New("no such suite; there are " + strings.Join(Names(), ", "))
}

// Names lists the names of all suites.
func Names() []string {
	var names []string
	for _, s := range All {
		names = append(names, s.Name)
	}
	return names
}
