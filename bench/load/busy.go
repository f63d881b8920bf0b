package load

import (
	"errors"
	"time"

	"github.com/seed-2334f180/weir/bench/child"
)

// A BusyOrder is that of a program that only computes.
type BusyOrder struct {
	Most time.Duration // it ends then, if nobody ended it before
}

// busy is the role of a program beside the server, which would use a whole core for itself.
func busy(order BusyOrder, answer child.Answer) error {
	if err := answer(struct{}{}); err != nil {
		return err
	}
	for end := time.Now().Add(order.Most); time.Now().Before(end); {
		for range 100_000 {
			continue
		}
	}
	return errors.New("nobody ended the busy program")
}
