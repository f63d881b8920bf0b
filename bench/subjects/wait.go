package subjects

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/measure"
)

// Sleepers is how many goroutines wait at the same time. They begin a fraction of the timeout
// apart. That gives more samples in the same time, and they are few enough not to compete for a
// core.
const Sleepers = 4

// A WaitOrder tells a subject to wait, and with what timeout.
type WaitOrder struct {
	Subject string
	Timeout time.Duration
	Window  time.Duration
}

// A WaitResult has the lateness of the waits.
type WaitResult struct {
	Waits, Early  int
	Min, P50, P99 time.Duration // of the lateness
}

// measureWaits is a role: the process waits for input that never comes.
func measureWaits(order WaitOrder, answer child.Answer) error {
	s, err := Find(order.Subject)
	if err != nil {
		return err
	}
	lateness := make([][]time.Duration, Sleepers)
	failures := make([]error, Sleepers)
	var running sync.WaitGroup
	for i := range Sleepers {
		running.Go(func() {
			lateness[i], failures[i] = sleeper(s, order, order.Timeout*time.Duration(i)/Sleepers)
		})
	}
	running.Wait()
	if err := errors.Join(failures...); err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	all := slices.Sorted(slices.Values(slices.Concat(lateness...)))
	early, _ := slices.BinarySearch(all, 0)
	return answer(WaitResult{
		Waits: len(all),
		Early: early,
		Min:   all[0],
		P50:   measure.Percentile(all, 50),
		P99:   measure.Percentile(all, 99),
	})
}

// sleeper waits again and again, and returns how late each wait ended. It does not count the
// first, which finds cold caches and starts threads.
func sleeper(s Subject, order WaitOrder, delay time.Duration) ([]time.Duration, error) {
	const least = 3
	w, err := s.NewWaiter(order.Timeout)
	if err != nil {
		return nil, err
	}
	defer w.close()
	time.Sleep(delay)
	if err := w.wait(); err != nil && err != errInterrupted {
		return nil, err
	}
	var lateness []time.Duration
	for end := time.Now().Add(order.Window); len(lateness) < least || time.Now().Before(end); {
		start := time.Now()
		err := w.wait()
		took := time.Since(start)
		if err == errInterrupted {
			continue
		}
		if err != nil {
			return nil, err
		}
		lateness = append(lateness, took-order.Timeout)
	}
	return lateness, nil
}
