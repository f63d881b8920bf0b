package debug

import (
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
)

// A series keeps its last points, and no more memory than twice that many.
func TestSeriesIsBounded(t *testing.T) {
	var s series
	require.Empty(t, s.last(10))
	for i := range 10 * keep {
		s.add(point{float32(i)})
	}
	require.LessOrEqual(t, cap(s.points), 4*keep)
	require.Len(t, s.last(10*keep), keep)
	require.Equal(t, point{10*keep - 1}, s.last(1)[0])
	require.Equal(t, point{10*keep - 2}, s.last(2)[0])
}

// A loop that stays in one turn is busy all the time, although nothing is published.
func TestLoadOfALoopThatIsHeldUp(t *testing.T) {
	l := &watchedLoop{}
	start := time.Now()
	l.sample(loop.Stats{Turns: 5, InTurn: true}, start)
	require.Empty(t, l.points, "the first sample has nothing to compare with")
	l.sample(loop.Stats{Turns: 5, InTurn: true}, start.Add(time.Second))
	require.Equal(t, float32(1), l.points[0][0])
	require.Equal(t, time.Second, l.held)
	l.sample(loop.Stats{Turns: 5, InTurn: true}, start.Add(2*time.Second))
	require.Equal(t, 2*time.Second, l.held)
	l.sample(loop.Stats{Turns: 105, Events: 50, Busy: 500 * time.Millisecond}, start.Add(4*time.Second))
	require.Equal(t, point{.25, 50, 25, 0}, l.points[2])
	require.Zero(t, l.held)
	l.sample(loop.Stats{Turns: 106, Busy: time.Minute}, start.Add(5*time.Second))
	require.Equal(t, float32(1), l.points[3][0], "never more than 1")
}

func TestRounded(t *testing.T) {
	require.Equal(t, [][4]float64{{1235, 0.001235, 0, 12350000}}, rounded([]point{{1234.6, 0.00123456, 0, 12345678}}))
}
