package net_test

import (
	"context"
	"fmt"
	"net"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"

	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/stretchr/testify/require"
)

// Dial calls a program's httptrace hooks as net does.
func TestTraceHooksAreCalledAsByNet(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	r := zone{}.host("one.test", ips("127.0.0.1"), ips()).resolver(t)
	dials := []func(ctx context.Context, network, address string) (net.Conn, error){
		(&net.Dialer{Resolver: r}).DialContext, (&weirnet.Dialer{Resolver: r}).DialContext,
	}
	for _, c := range []struct{ network, address string }{
		{"tcp", "one.test.:" + port}, {"tcp4", "one.test.:" + port}, {"udp", "one.test.:" + port},
		{"tcp", "127.0.0.1:" + port}, {"tcp", "none.test.:" + port}, {"udp", "none.test.:" + port},
		{"unix", "/no/such/path"},
	} {
		var got [2]string
		for i, dial := range dials {
			var mu sync.Mutex
			var calls []string
			note := func(format string, args ...any) {
				mu.Lock()
				defer mu.Unlock()
				calls = append(calls, fmt.Sprintf(format, args...))
			}
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				DNSStart:     func(s httptrace.DNSStartInfo) { note("DNSStart %s", s.Host) },
				DNSDone:      func(d httptrace.DNSDoneInfo) { note("DNSDone %v %v", d.Addrs, d.Err) },
				ConnectStart: func(n, a string) { note("ConnectStart %s %s", n, a) },
				ConnectDone:  func(n, a string, err error) { note("ConnectDone %s %s %v", n, a, err) },
			})
			conn, err := dial(ctx, c.network, c.address)
			if err == nil {
				conn.Close()
			}
			got[i] = strings.Join(calls, "\n")
		}
		require.Equal(t, got[0], got[1], "%s %s", c.network, c.address)
		require.NotEmpty(t, got[1])
	}
}
