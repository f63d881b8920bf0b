package measure

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The machine is ten times slower in the second round. That moves the figures, not the ratio.
func TestRatiosAreTakenWithinARound(t *testing.T) {
	o := Outcome{Rounds: []Round{
		{"a": {"m": 100}, "b": {"m": 50}},
		{"a": {"m": 10}, "b": {"m": 5}},
		{"a": {"m": 110}, "b": {"m": 50}},
	}}
	require.Equal(t, Spread{2, 2, 2.2}, o.Ratio("a", "b", "m"))
	require.Equal(t, Spread{100, 10, 110}, o.Figure("a", "m"))
}

func TestEverySubjectHasItsTurnToBegin(t *testing.T) {
	names := []string{"a", "b", "c"}
	require.Equal(t, []string{"a", "b", "c"}, rotated(names, 0))
	require.Equal(t, []string{"b", "c", "a"}, rotated(names, 1))
	require.Equal(t, []string{"c", "a", "b"}, rotated(names, 5))
}
