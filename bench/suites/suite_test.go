package suites

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the user says goes for every suite; what the user does not say is each suite's own.
func TestSuitesFillInWhatIsNotSaid(t *testing.T) {
	var notes []string
	e := env{note: func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }}
	own := Suite{Settings: Settings{Conns: []int{1, MaxConns}, Sizes: []int{5}}}.fill(e)
	require.Equal(t, []int{1}, own.Conns)
	require.Equal(t, []int{5}, own.Sizes)
	require.Len(t, notes, 1)
	require.Contains(t, notes[0], "1048576 connections need")

	notes = nil
	e.Options.Settings = Settings{Conns: []int{7}, Sizes: []int{8}}
	said := bulkSuite.fill(e)
	require.Equal(t, []int{7}, said.Conns)
	require.Equal(t, []int{8}, said.Sizes)
	require.Empty(t, notes)
}

func TestABriefRunHasFewerSettings(t *testing.T) {
	s := Suite{Settings: Settings{Procs: []int{1, 2}, Conns: []int{1, 2, 3}}, Brief: Settings{Conns: []int{2}}}
	brief := s.fill(env{Options: Options{Brief: true}})
	require.Equal(t, Settings{Procs: []int{1, 2}, Conns: []int{2}}, brief.Settings)
	said := s.fill(env{Options: Options{Brief: true, Settings: Settings{Conns: []int{9}}}})
	require.Equal(t, Settings{Procs: []int{1, 2}, Conns: []int{9}}, said.Settings)
}
