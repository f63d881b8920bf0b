package suites

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What the user says goes for every suite; what he does not say is each suite's own.
func TestSuitesFillInWhatIsNotSaid(t *testing.T) {
	own, notices := env{}.of(Suite{Conns: []int{1, MaxConns}, Sizes: []int{5}})
	require.Equal(t, []int{1}, own.Conns)
	require.Equal(t, []int{5}, own.Sizes)
	require.Len(t, notices, 1)
	require.Contains(t, notices[0], "1048576 connections need")

	said, notices := env{Options: Options{Conns: []int{7}, Sizes: []int{8}}}.of(bulkSuite)
	require.Equal(t, []int{7}, said.Conns)
	require.Equal(t, []int{8}, said.Sizes)
	require.Empty(t, notices)
}
