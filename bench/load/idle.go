package load

import (
	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/machine"
)

// idle is a role: the process keeps silent connections.
func idle(order Order, answer child.Answer) error {
	if err := machine.RaiseFileLimit(); err != nil {
		return err
	}
	g, err := newGenerator(order)
	if err != nil {
		return err
	}
	if _, err := openStreams(g); err != nil {
		return err
	}
	if err := answer(struct{}{}); err != nil {
		return err
	}
	select {} // until the parent ends this process
}
