package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   spread
	}{
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{4, 1}, spread{2.5, 1, 4}},
		{[]float64{9, 1, 2}, spread{2, 1, 9}},
		{[]float64{8, 1, 4, 2}, spread{3, 1, 8}},
	} {
		require.Equal(t, c.want, spreadOf(c.values))
	}
}

// The machine is ten times slower in the second round. That moves the figures, not the ratio.
func TestRatiosAreTakenWithinARound(t *testing.T) {
	o := outcome{rounds: []round{
		{"a": {"m": 100}, "b": {"m": 50}},
		{"a": {"m": 10}, "b": {"m": 5}},
		{"a": {"m": 110}, "b": {"m": 50}},
	}}
	require.Equal(t, spread{2, 2, 2.2}, o.ratio(pair{subject: "a", peer: "b"}, "m"))
	require.Equal(t, spread{100, 10, 110}, o.figure("a", "m"))
}

func TestPercentileIsTheNearestRank(t *testing.T) {
	sorted := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	require.Equal(t, 5, percentile(sorted, 50))
	require.Equal(t, 10, percentile(sorted, 99))
	require.Equal(t, 1, percentile(sorted, 0))
	require.Equal(t, 7, percentile([]int{7}, 50))
}

func TestEverySubjectHasItsTurnToBegin(t *testing.T) {
	names := []string{"a", "b", "c"}
	require.Equal(t, []string{"a", "b", "c"}, rotated(names, 0))
	require.Equal(t, []string{"b", "c", "a"}, rotated(names, 1))
	require.Equal(t, []string{"c", "a", "b"}, rotated(names, 5))
}

func TestFormats(t *testing.T) {
	require.Equal(t, "1,234,567", grouped(1234567.4))
	require.Equal(t, "999", grouped(999))
	require.Equal(t, "3.14", decimals(2)(3.14159))
	require.Equal(t, "3.1", decimals(0)(3.14159))
	require.Equal(t, "31", decimals(0)(31.4159))
	require.Equal(t, "31,416", decimals(2)(31415.9))
	require.Equal(t, "1 byte", bytesOf(1))
	require.Equal(t, "64 KiB", bytesOf(64<<10))
	require.Equal(t, "1025 bytes", bytesOf(1025))
}
