package soak

import (
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
)

// A short run does each kind of work, finds nothing wrong, and leaves nothing.
func TestSoak(t *testing.T) {
	machine.NeedFiles(t, spare+300)
	var r Result
	err := run(Order{Conns: 100, Dur: 3 * time.Second, Patience: time.Minute}, func(v any) error {
		r = v.(Result)
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, r.Growth())
	require.Len(t, r.Looks, cycles+1)
	require.Positive(t, r.Bytes)
}

// Everything that grows is found.
func TestGrowth(t *testing.T) {
	flat := func() (r Result) {
		r.Jobs = map[string]int64{}
		for _, k := range Kinds() {
			r.Jobs[k] = 1
		}
		r.Looks = make([]Look, cycles+1)
		return r
	}
	require.NoError(t, flat().Growth())
	for name, spoil := range map[string]func(r *Result, last *Look){
		"goroutines":  func(_ *Result, l *Look) { l.Goroutines = 1000 },
		"descriptors": func(_ *Result, l *Look) { l.Files = 1000 },
		"heap":        func(_ *Result, l *Look) { l.Heap = 1 << 30 },
		"stacks":      func(_ *Result, l *Look) { l.Stacks = 1 << 30 },
		"resident":    func(_ *Result, l *Look) { l.Resident = 1 << 30 },
		"wrong":       func(r *Result, _ *Look) { r.Wrong = []string{"wrong bytes"} },
		"nothing":     func(r *Result, _ *Look) { r.Jobs["churn"] = 0 },
		"no two":      func(r *Result, _ *Look) { r.Looks = r.Looks[:1] },
	} {
		r := flat()
		spoil(&r, &r.Looks[cycles])
		require.ErrorContains(t, r.Growth(), name)
	}
}

// The shares make up a hundred, so that each kind has its clients, also among a hundred.
func TestShares(t *testing.T) {
	got := map[int]int{}
	for i := range 100 {
		got[kindOf(i)]++
	}
	for i, k := range kinds {
		require.Equal(t, k.share, got[i], k.name)
	}
}

func init() { poolTime = 100 * time.Millisecond }
