package net_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"testing"

	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"
)

// A zone is the data of a name server: it maps a name and a type to addresses. A name
// that is not in the zone does not exist.
type zone map[string]map[dnsmessage.Type]records

// Records are a list of addresses. If there is a gate, the server sends them only when
// the gate is closed.
type records struct {
	ips  []string
	gate <-chan struct{}
	told func() // if not nil, the server calls it after it has sent the addresses
}

func (z zone) host(name string, a, aaaa records) zone {
	z[name+"."] = map[dnsmessage.Type]records{dnsmessage.TypeA: a, dnsmessage.TypeAAAA: aaaa}
	return z
}

func ips(list ...string) records { return records{ips: list} }

// resolver returns a resolver that asks only this zone.
func (z zone) resolver(t testing.TB) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		mine, yours := net.Pipe() // a Pipe is no PacketConn, so each message has its length in front, as over TCP
		go func() {
			defer yours.Close()
			if err := z.serve(ctx, yours); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}()
		return mine, nil
	}}
}

// serve answers one query.
func (z zone) serve(ctx context.Context, c net.Conn) error {
	var size uint16
	if err := binary.Read(c, binary.BigEndian, &size); err != nil {
		return err
	}
	query := make([]byte, size)
	if _, err := io.ReadFull(c, query); err != nil {
		return err
	}
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return err
	}
	q := m.Questions[0]
	m.Response, m.RecursionAvailable = true, true
	m.Additionals = nil
	types, known := z[q.Name.String()]
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	}
	if gate := types[q.Type].gate; gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return nil
		}
	}
	for _, text := range types[q.Type].ips {
		m.Answers = append(m.Answers, record(q, netip.MustParseAddr(text)))
	}
	response, err := m.Pack()
	if err != nil {
		return err
	}
	_, err = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(response))), response...))
	if told := types[q.Type].told; told != nil {
		told()
	}
	if ctx.Err() != nil {
		return nil // the resolver has closed the connection
	}
	return err
}

func record(q dnsmessage.Question, ip netip.Addr) dnsmessage.Resource {
	r := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}}
	if ip.Is4() {
		r.Body = &dnsmessage.AResource{A: ip.As4()}
	} else {
		r.Body = &dnsmessage.AAAAResource{AAAA: ip.As16()}
	}
	return r
}

func TestResolverOfTheTests(t *testing.T) {
	r := zone{}.host("two.test", ips("192.0.2.1", "192.0.2.2"), ips("2001:db8::1")).resolver(t)
	for network, want := range map[string]int{"ip4": 2, "ip6": 1, "ip": 3} {
		got, err := r.LookupNetIP(t.Context(), network, "two.test.")
		require.NoError(t, err)
		require.Len(t, got, want)
	}
	_, err := r.LookupNetIP(t.Context(), "ip", "none.test.")
	require.ErrorContains(t, err, "no such host")
}

// Every function that looks up a name uses the DefaultResolver that the program sets.
func TestDefaultResolverOfTheProgram(t *testing.T) {
	old := weirnet.DefaultResolver
	t.Cleanup(func() { weirnet.DefaultResolver = old })
	weirnet.DefaultResolver = zone{}.host("two.test", ips("192.0.2.1"), ips("2001:db8::1")).resolver(t)
	for network, want := range map[string]string{"tcp": "192.0.2.1:80", "tcp4": "192.0.2.1:80", "tcp6": "[2001:db8::1]:80", "": "192.0.2.1:80"} {
		a, err := weirnet.ResolveTCPAddr(network, "two.test.:80")
		require.NoError(t, err)
		require.Equal(t, want, a.String(), network)
	}
	u, err := weirnet.ResolveUDPAddr("udp6", "two.test.:80")
	require.NoError(t, err)
	require.Equal(t, "[2001:db8::1]:80", u.String())
	for network, want := range map[string]string{"ip": "192.0.2.1", "ip6": "2001:db8::1", "ip4:icmp": "192.0.2.1", "": "192.0.2.1"} {
		a, err := weirnet.ResolveIPAddr(network, "two.test.")
		require.NoError(t, err)
		require.Equal(t, want, a.String(), network)
	}
	a, err := weirnet.ResolveTCPAddr("tcp", "[::1]:80")
	require.NoError(t, err)
	require.Equal(t, "[::1]:80", a.String())
	hosts, err := weirnet.LookupHost("two.test.")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"192.0.2.1", "2001:db8::1"}, hosts)
	_, err = weirnet.Listen("tcp", "two.test.:0")
	require.ErrorContains(t, err, "192.0.2.1")
	for _, network := range []string{"udp", "nonesuch", "unix"} {
		_, want := net.ResolveTCPAddr(network, "127.0.0.1:80")
		_, got := weirnet.ResolveTCPAddr(network, "127.0.0.1:80")
		require.Equal(t, describe(want), describe(got))
	}
}
