package server_test

import (
	"net"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/server"
)

// dribble sends a byte now and then until the connection ends.
func dribble(t *testing.T, c net.Conn) {
	ticks := time.NewTicker(short / 20)
	defer ticks.Stop()
	for ; ; <-ticks.C {
		if _, err := c.Write([]byte("x")); err != nil {
			return
		}
	}
}

// A client that sends a byte now and then satisfies Timeouts.Read of a Handler, and Idle.
// MinRate ends it.
func TestMinRateEndsSlowInput(t *testing.T) {
	t.Parallel()
	timeouts := server.Timeouts{MinRate: 1 << 20, Grace: short, Idle: time.Hour, Read: time.Hour}
	t.Run("Events", func(t *testing.T) {
		over, onClosed := ended()
		addr := serve(t, &server.Server{Timeouts: timeouts, Events: server.Events{
			Data:   func(*server.Conn) error { return nil },
			Closed: onClosed,
		}})
		begin := time.Now()
		go dribble(t, client(t, addr))
		expired(t, over, "rate", begin, short)
	})
	t.Run("Handler", func(t *testing.T) {
		over := make(chan error, 1)
		addr := serve(t, &server.Server{Timeouts: timeouts,
			Handler: func(s *server.Session) error {
				_, err := s.ReadLine()
				return err
			},
			Finish: func(_ *server.Session, err error) { over <- err },
		})
		begin := time.Now()
		go dribble(t, client(t, addr))
		expired(t, over, "rate", begin, short)
	})
}

// A client that reads a byte now and then satisfies Timeouts.Write. MinRate ends it.
func TestMinRateEndsSlowReaders(t *testing.T) {
	t.Parallel()
	timeouts := server.Timeouts{MinRate: 1 << 30, Grace: short, Write: time.Hour}
	reply := make([]byte, 16<<20)
	sip := func(c net.Conn) {
		for b := make([]byte, 1<<10); ; time.Sleep(short / 20) {
			if _, err := c.Read(b); err != nil {
				return
			}
		}
	}
	t.Run("Events", func(t *testing.T) {
		over, onClosed := ended()
		addr := serve(t, &server.Server{Timeouts: timeouts, Events: server.Events{
			Data: func(c *server.Conn) error {
				c.Discard(1)
				_, err := c.Write(reply)
				return err
			},
			Closed: onClosed,
		}})
		c := client(t, addr)
		begin := time.Now()
		send(t, c, "x")
		go sip(c)
		expired(t, over, "rate", begin, short)
	})
	t.Run("Handler", func(t *testing.T) {
		over := make(chan error, 1)
		addr := serve(t, &server.Server{Timeouts: timeouts,
			Handler: func(s *server.Session) error {
				if _, _, err := s.ReadRune(); err != nil {
					return err
				}
				_, err := s.Write(reply)
				return err
			},
			Finish: func(_ *server.Session, err error) { over <- err },
		})
		c := client(t, addr)
		begin := time.Now()
		send(t, c, "x")
		go sip(c)
		expired(t, over, "rate", begin, short)
	})
}

// A Handler may compute for any time, and a client be idle between two requests.
func TestMinRateSparesWhatDoesNotWait(t *testing.T) {
	t.Parallel()
	compute := make(chan struct{})
	srv := &server.Server{Timeouts: server.Timeouts{MinRate: 1 << 30, Grace: short / 10},
		Handler: func(s *server.Session) error {
			line, err := s.ReadLine()
			if err != nil {
				return err
			}
			<-compute
			_, err = s.WriteLine(line)
			return err
		}}
	c := client(t, serve(t, srv))
	send(t, c, "a\n")
	time.Sleep(short) // ten times Grace, in which it must not happen
	compute <- struct{}{}
	expect(t, c, "a\n")
	time.Sleep(short)
	send(t, c, "b\n")
	compute <- struct{}{}
	expect(t, c, "b\n")
	weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 1 }, "it goes on")

	events := &server.Server{Timeouts: server.Timeouts{MinRate: 1 << 30, Grace: short / 10}, Events: server.Events{Data: echo}}
	c = client(t, serve(t, events))
	for range 2 {
		send(t, c, "whole")
		expect(t, c, "whole")
		time.Sleep(short)
	}
	weirtest.Eventually(t, func() bool { return events.Stats().Conns == 1 }, "it goes on")
}
