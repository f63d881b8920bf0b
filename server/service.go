package server

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
)

// A Service has the callbacks of a listener: see Server.ListenService. So one
// Server can serve several protocols, with one set of loops and limits, one Stats
// and one Shutdown. The fields mean what the fields of Server with the same names
// mean. Do not change them after the first use of the Service.
type Service struct {
	// Events are the callbacks. Boot, Stopped and Tick must be nil here, because
	// they belong to the Server.
	Events Events

	// Handler serves a connection instead of Events.Data.
	Handler func(s *Session) error
	Begin   func(s *Session) error
	Finish  func(s *Session, err error)

	// Timeouts apply to the connections of the Service. Nil means Server.Timeouts.
	Timeouts *Timeouts
	// Rates limit the listeners and connections of the Service. Nil means Server.Rates,
	// with an Accept of its own.
	Rates *Rates

	// TLS makes the connections of the Service TLS connections. A Service without it
	// has plain connections, even if Server.TLS is set.
	TLS *tls.Config
	// Control sets options of an accepted connection: see Server.Control.
	Control func(fd int) error
	// ProxyProtocol makes the listeners of the Service expect a header of the PROXY
	// protocol. Nil means none, also if Server.ProxyProtocol is set.
	ProxyProtocol *ProxyProtocol

	accepts *acceptRate // by Rates.Accept; nil for no limit
}

// check returns an error for fields that do not fit together. owner is the name
// of the type that has them.
func (v *Service) check(owner string) error {
	e := &v.Events
	switch {
	case v.Handler != nil && e.Data != nil:
		return fmt.Errorf("server: %s.Handler and %s.Events.Data are both set", owner, owner)
	case v.Handler != nil && (e.Open != nil || e.End != nil || e.Pressure != nil || e.Closed != nil):
		return fmt.Errorf("server: %s.Handler serves connections without %s.Events.Open, End, Pressure and Closed", owner, owner)
	case v.Handler == nil && (v.Begin != nil || v.Finish != nil):
		return fmt.Errorf("server: %s.Begin and %s.Finish are for a %s with Handler", owner, owner, owner)
	}
	return checkTLS(v.TLS, owner)
}

// serves returns an error if the Service has no callback for a socket of type t.
func (v *Service) serves(t socket.Type) error {
	switch {
	case t == socket.Dgram && v.Events.Packet == nil:
		return errors.New("server: listen: datagrams need Events.Packet, which is not set")
	case t != socket.Dgram && v.Events.Data == nil && v.Handler == nil:
		return errors.New("server: listen: neither Events.Data nor Handler is set")
	}
	return nil
}

// ListenService is Listen for a listener that service serves. If service is nil, the
// Server's own Events or Handler serve it. Several listeners may have one Service.
func (s *Server) ListenService(network, address string, service *Service) (bound socket.Addr, err error) {
	if err := s.start(); err != nil {
		return socket.Addr{}, err
	}
	engines, err := s.enginesFor(service)
	if err != nil {
		return socket.Addr{}, err
	}
	return s.listen(network, address, engines)
}

// enginesFor returns the engines of a service, one for each loop. The first call
// for a service makes them.
func (s *Server) enginesFor(service *Service) ([]*engine, error) {
	if service == nil {
		return s.engines, nil
	}
	if err := service.check("Service"); err != nil {
		return nil, err
	}
	if e := &service.Events; e.Boot != nil || e.Stopped != nil || e.Tick != nil {
		return nil, errors.New("server: Service.Events has Boot, Stopped or Tick, which are the Server's")
	}
	own := *service
	if own.Timeouts == nil {
		own.Timeouts = &s.Timeouts
	} else {
		t := *own.Timeouts
		if err := t.check(); err != nil {
			return nil, err
		}
		own.Timeouts = &t
	}
	if own.Rates == nil {
		own.Rates = &s.Rates
	} else {
		r := *own.Rates
		if err := r.check(); err != nil {
			return nil, err
		}
		own.Rates = &r
	}
	own.accepts = newAcceptRate(own.Rates)
	var err error
	if own.ProxyProtocol, err = own.ProxyProtocol.checked(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if engines := s.services[service]; engines != nil {
		return engines, nil
	}
	if s.state != serving {
		return nil, ErrClosed
	}
	var engines []*engine
	for _, l := range s.group.Loops() {
		engines = append(engines, newEngine(s, l, &own))
	}
	if s.services == nil {
		s.services = make(map[*Service][]*engine)
	}
	s.services[service] = engines
	s.allEngines = append(s.allEngines[:len(s.allEngines):len(s.allEngines)], engines...)
	s.relabel()
	return engines, nil
}

// everyEngine returns the engines of all services.
func (s *Server) everyEngine() []*engine {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.allEngines
}

// pick chooses the engine for a new connection from that peer. The engines belong to
// one service.
func (s *Server) pick(engines []*engine, peer socket.Addr) *engine {
	if len(engines) == 1 {
		return engines[0]
	}
	return engineOn(engines, s.group.Pick(peer.AddrPort().Addr()))
}

// engineOn returns the engine of a loop. If a policy has chosen a loop that is not in
// the group, engineOn returns the first engine.
func engineOn(engines []*engine, l *loop.Loop) *engine {
	for _, e := range engines {
		if e.loop == l {
			return e
		}
	}
	return engines[0]
}
