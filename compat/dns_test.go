package compat

import (
	"fmt"
	"net"
	"testing"

	"github.com/miekg/dns"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/stretchr/testify/require"
)

var dnsAnswer = dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
	m := new(dns.Msg)
	m.SetReply(r)
	m.Answer = append(m.Answer, &dns.A{
		Hdr: dns.RR_Header{Name: r.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60},
		A:   net.IPv4(192, 0, 2, 1),
	})
	_ = w.WriteMsg(m)
})

// serveDNS serves until the end of the test.
func serveDNS(tb testing.TB, s *dns.Server) {
	started := make(chan struct{})
	served := make(chan error, 1)
	s.Handler, s.NotifyStartedFunc = dnsAnswer, func() { close(started) }
	go func() { served <- s.ActivateAndServe() }()
	select {
	case <-started:
	case err := <-served:
		require.NoError(tb, err)
	}
	tb.Cleanup(func() {
		require.NoError(tb, s.Shutdown())
		require.NoError(tb, <-served)
	})
}

// ask asks a server over a connection of the face.
func ask(tb testing.TB, f face, network, address string) {
	tb.Helper()
	c, err := f.Dial(bounded(tb), network, address)
	require.NoError(tb, err)
	defer c.Close()
	require.NoError(tb, askOver(&dns.Conn{Conn: c}))
}

// askOver asks over a connection, and checks the answer.
func askOver(c *dns.Conn) error {
	m := new(dns.Msg)
	m.SetQuestion("name.test.", dns.TypeA)
	r, _, err := (&dns.Client{Timeout: patience}).ExchangeWithConn(m, c)
	if err == nil && (len(r.Answer) != 1 || r.Answer[0].(*dns.A).A.String() != "192.0.2.1") {
		err = fmt.Errorf("the answer is %v", r)
	}
	return err
}

func TestDNS(t *testing.T) {
	onFaces(t, func(t *testing.T, f face) {
		l := listen(t, f)
		serveDNS(t, &dns.Server{Listener: l})
		ask(t, f, "tcp", l.Addr().String())

		pc, err := f.ListenPacket("udp4", "127.0.0.1:0")
		require.NoError(t, err)
		serveDNS(t, &dns.Server{PacketConn: pc})
		ask(t, f, "udp4", pc.LocalAddr().String())
	})
}

// A server on the wildcard address must answer from the address at which it was
// asked. The library does that for the standard *net.UDPConn alone: for Weir's,
// ReplyConn does, and StdPacketConn gives the library the standard type.
func TestDNSOnTheWildcardAddress(t *testing.T) {
	for name, wrap := range map[string]func(c *weirnet.UDPConn) (net.PacketConn, error){
		"ReplyConn":     func(c *weirnet.UDPConn) (net.PacketConn, error) { return weirnet.NewReplyConn(c) },
		"StdPacketConn": func(c *weirnet.UDPConn) (net.PacketConn, error) { return weirnet.StdPacketConn(c) },
	} {
		t.Run(name, func(t *testing.T) {
			c, err := weirnet.ListenUDP("udp4", nil)
			require.NoError(t, err)
			pc, err := wrap(c)
			require.NoError(t, err)
			serveDNS(t, &dns.Server{PacketConn: pc})
			_, port, err := net.SplitHostPort(pc.LocalAddr().String())
			require.NoError(t, err)
			// A connected client takes answers from the address that it has asked.
			for _, host := range []string{"127.0.0.1", "127.0.0.2"} {
				ask(t, faces[1], "udp4", net.JoinHostPort(host, port))
			}
		})
	}
}
