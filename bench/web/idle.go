package web

import (
	"bufio"
	"errors"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/machine"
)

// silence is how long the connections are silent before the answer of the role: so long that
// a server has done what it does with idle connections. httpd waits for 10 milliseconds.
const silence = 200 * time.Millisecond

// fallSilent is the role of a client that asks once on each connection, and keeps them all.
func fallSilent(visit Visit, answer child.Answer) error {
	if err := machine.RaiseFileLimit(); err != nil {
		return err
	}
	const atATime = 16
	v := &visitor{Visit: visit, request: visit.request(), last: time.Now().Add(time.Hour)}
	conns := make([]net.Conn, visit.Conns)
	defer runtime.KeepAlive(conns) // or the collector closes them, because nothing uses them in the end
	failures := make([]error, atATime)
	var opening sync.WaitGroup
	for first := range atATime {
		opening.Go(func() {
			for i := first; i < len(conns) && failures[first] == nil; i += atATime {
				conns[i], failures[first] = v.askOnce()
			}
		})
	}
	opening.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	runtime.GC() // so that a connection that nothing keeps is closed now, which the suite notices
	time.Sleep(silence)
	if err := answer(struct{}{}); err != nil {
		return err
	}
	select {} // until the parent ends this process
}

// askOnce opens a connection and asks once.
func (v *visitor) askOnce() (net.Conn, error) {
	conn, err := v.dial()
	if err != nil {
		return nil, err
	}
	c := &client{visitor: v, conn: conn, reader: bufio.NewReader(conn)}
	return conn, c.ask()
}
