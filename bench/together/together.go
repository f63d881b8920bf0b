// Package together measures a server and its clients in one process, as programs are that talk
// to themselves, or serve and ask at once: they share the processors of Go's scheduler, its
// timers and its garbage collector. The roles run in child processes.
package together

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/load"
	"github.com/seed-2334f180/weir/bench/machine"
	"github.com/seed-2334f180/weir/bench/subjects"
)

// Roles are the processes that are server and clients at once.
var Roles = map[string]child.Role{"together": child.Ordered(run)}

// An Order names two subjects, and says how many clients ask for how long.
type Order struct {
	Server, Client string
	Conns          int // each with a goroutine
	Size           int // of a message, in bytes
	WarmUp, Window time.Duration
	Patience       time.Duration // with a client that gets no answer
}

// run is a role: the process is a server and its clients.
func run(order Order, answer child.Answer) error {
	server, err := subjects.Find(order.Server)
	if err != nil {
		return err
	}
	clients, err := subjects.Find(order.Client)
	if err != nil {
		return err
	}
	switch {
	case server.ServeOrdinary == nil:
		return fmt.Errorf("subject %q has no ordinary server", server.Name)
	case clients.Dial == nil:
		return fmt.Errorf("subject %q has no clients", clients.Name)
	}
	if err := machine.RaiseFileLimit(); err != nil {
		return err
	}
	startTimers()
	startGarbage()

	failed, measured := make(chan error, 2), make(chan load.Result, 1)
	addr := make(chan string, 1)
	go func() {
		failed <- server.ServeOrdinary(subjects.Task{Size: order.Size}, func(at string) error { addr <- at; return nil })
	}()
	go func() {
		result, err := measure(order, clients.Dial, <-addr)
		if err != nil {
			failed <- err
			return
		}
		measured <- result
	}()
	most := order.WarmUp + order.Window + 4*order.Patience
	select {
	case err := <-failed:
		return err
	case result := <-measured:
		return answer(result)
	case <-time.After(most):
		return fmt.Errorf("there is no result after %v: a client waits for an answer", most)
	}
}

// measure opens the connections, warms up, and measures a window.
func measure(order Order, dial func(addr string) (io.ReadWriteCloser, error), addr string) (load.Result, error) {
	session := load.NewSession()
	clients := make([]*client, order.Conns)
	defer func() {
		for _, c := range clients {
			if c != nil {
				c.conn.Close() //nolint:errcheck // it is measured already
			}
		}
	}()
	for i := range clients {
		conn, err := dial(addr)
		if err != nil {
			return load.Result{}, fmt.Errorf("connection %d of %d: %w", i+1, len(clients), err)
		}
		clients[i] = newClient(conn, i, order.Size, session.Add())
		if err := clients[i].exchange(); err != nil { // one by one, so that no backlog overflows
			return load.Result{}, err
		}
	}
	failures := make([]error, len(clients))
	var running sync.WaitGroup
	for i, c := range clients {
		running.Go(func() { failures[i] = c.Run(c.exchange) })
	}
	usage, err := session.Measure(os.Getpid(), order.WarmUp, order.Window, order.Patience)
	if err != nil {
		return load.Result{}, err
	}
	if err := waitFor(&running, order.Patience); err != nil {
		return load.Result{}, err
	}
	if err := errors.Join(failures...); err != nil {
		return load.Result{}, err
	}
	return session.Finish(usage)
}

func waitFor(running *sync.WaitGroup, patience time.Duration) error {
	done := make(chan struct{})
	go func() { running.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("some clients got no answer within %v", patience)
	}
}

// A client sends a message, waits for all of it to come back, and sends the next.
type client struct {
	*load.Client
	conn      io.ReadWriteCloser
	number    int
	send, got []byte
}

func newClient(conn io.ReadWriteCloser, number, size int, counter *load.Client) *client {
	c := &client{Client: counter, conn: conn, number: number, send: make([]byte, size), got: make([]byte, size)}
	for i := range c.send {
		c.send[i] = byte(i*7 + number)
	}
	return c
}

func (c *client) exchange() error {
	c.send[0]++ // no answer is the same as the last
	_, err := c.conn.Write(c.send)
	if err == nil {
		_, err = io.ReadFull(c.conn, c.got)
	}
	if err == nil && !bytes.Equal(c.send, c.got) {
		err = errors.New("another message came back")
	}
	if err != nil {
		return fmt.Errorf("client %d: %w", c.number, err)
	}
	return nil
}
