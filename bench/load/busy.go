package load

import (
	"errors"
	"time"

	"github.com/seed-2334f180/weir/bench/child"
)

// A BusyOrder bounds a program that only computes.
type BusyOrder struct {
	Most time.Duration // it ends after this time, if its parent does not end it before
}

// busy is a role: the process computes, and uses a whole core if it gets one.
func busy(order BusyOrder, answer child.Answer) error {
	if err := answer(struct{}{}); err != nil {
		return err
	}
	for end := time.Now().Add(order.Most); time.Now().Before(end); {
		for range 100_000 {
			continue
		}
	}
	return errors.New("the parent did not end the busy program")
}
