package server

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/poller"
)

// check returns an error for a field that is wrong, and fills in the defaults.
func (s *Server) check() error {
	wrong := func(field string, value any, why string) error {
		return fmt.Errorf("server: Server.%s is %v: %s", field, value, why)
	}
	for _, f := range []struct {
		name  string
		value int
	}{
		{"Loops", s.Loops}, {"MaxConns", s.MaxConns}, {"MaxConnsPerIP", s.MaxConnsPerIP}, {"MaxHandlers", s.MaxHandlers}, {"Backlog", s.Backlog}, {"Chunk", s.Chunk}, {"MaxInput", s.MaxInput},
		{"HighWater", s.HighWater}, {"LowWater", s.LowWater}, {"MaxOutput", s.MaxOutput},
		{"RecvBuffer", s.RecvBuffer}, {"SendBuffer", s.SendBuffer},
	} {
		if f.value < 0 {
			return wrong(f.name, f.value, "it must not be negative")
		}
		if f.value > math.MaxInt32 {
			return wrong(f.name, f.value, "it is too great")
		}
	}
	if err := s.Timeouts.check(); err != nil {
		return err
	}
	if err := s.checkMemory(); err != nil {
		return err
	}
	if err := s.Rates.check(); err != nil {
		return err
	}
	var err error
	if s.ProxyProtocol, err = s.ProxyProtocol.checked(); err != nil {
		return err
	}
	own := s.ownService()
	if err := own.check("Server"); err != nil {
		return err
	}
	s.Backlog = cmp.Or(s.Backlog, maxBacklog)
	s.Chunk = cmp.Or(s.Chunk, 64<<10)
	s.MaxInput = cmp.Or(s.MaxInput, 1<<20)
	s.HighWater = cmp.Or(s.HighWater, 64<<10)
	s.LowWater = cmp.Or(s.LowWater, s.HighWater/2)
	s.MaxOutput = cmp.Or(s.MaxOutput, 16<<20)
	s.Log = cmp.Or(s.Log, slog.Default())
	switch {
	case s.LowWater > s.HighWater:
		return wrong("LowWater", s.LowWater, "it is above HighWater")
	case s.MaxOutput < s.HighWater:
		return wrong("MaxOutput", s.MaxOutput, "it is below HighWater")
	case s.KeepAlive > longestKeepAlive:
		return wrong("KeepAlive", s.KeepAlive, "the most is "+longestKeepAlive.String())
	case s.StallAfter < 0 || s.StallAfter > 0 && s.StallAfter < time.Millisecond:
		return wrong("StallAfter", s.StallAfter, "it is 0, or a millisecond at least")
	case s.Events.Tick != nil && s.Events.Every < time.Millisecond:
		return wrong("Events.Every", s.Events.Every, "it is a millisecond at least")
	case s.Group != nil && len(s.Group.Loops()) == 0:
		return errors.New("server: Server.Group has no loops")
	case s.Group != nil && (s.Loops != 0 || s.LockThread || s.Policy != nil):
		return errors.New("server: Server.Loops, LockThread and Policy are for a Server without a Group")
	}
	return nil
}

// maxBacklog is above every limit of the kernel. listen(2) reduces it to
// net.core.somaxconn.
const maxBacklog = 1<<31 - 1

// longestKeepAlive is the kernel's limit of TCP_KEEPIDLE: tcp(7).
const longestKeepAlive = 32767 * time.Second

// ownService returns the Server's own callbacks as a Service.
func (s *Server) ownService() Service {
	return Service{Events: s.Events, Handler: s.Handler, Begin: s.Begin, Finish: s.Finish, Timeouts: &s.Timeouts, Rates: &s.Rates, TLS: s.TLS, Control: s.Control, accepts: newAcceptRate(&s.Rates), ProxyProtocol: s.ProxyProtocol}
}

// makeGroup makes the group of loops, unless the program has set Group.
func (s *Server) makeGroup() error {
	if s.group = s.Group; s.group != nil {
		return nil
	}
	var opts loop.Options
	if s.LockThread {
		opts.LockThread, opts.Strategy = true, poller.Blocking
	}
	n := cmp.Or(s.Loops, runtime.GOMAXPROCS(0))
	g, err := loop.NewGroup(n, s.Policy, opts)
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	s.group, s.ownGroup = g, true
	return nil
}
