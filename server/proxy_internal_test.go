package server

import (
	"bufio"
	"bytes"
	"net"
	"testing"

	"github.com/pires/go-proxyproto"
	"github.com/stretchr/testify/require"
)

// For every input: a longer input with the same beginning does not change the size, and
// headerSize does not ask for more than a header has at most. A whole header is what the
// library reads, and it announces an address that RemoteAddr can return.
func FuzzHeader(f *testing.F) {
	tcp := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1234}
	six := &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 65535}
	unix := &net.UnixAddr{Net: "unix", Name: "/a"}
	for _, version := range []byte{1, 2} {
		for _, a := range []net.Addr{tcp, six, unix} {
			h := proxyproto.HeaderProxyFromAddrs(version, a, a)
			if b, err := h.Format(); err == nil {
				f.Add(b)
				f.Add(append(b, "GET / HTTP/1.1"...))
				f.Add(b[:len(b)-1])
			}
		}
	}
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte("PROXY TCP4 1.2.3.4 1.2.3.4 80 99999\r\n"))
	f.Add([]byte("PROXY TCP4 1.2.3.4\n"))
	f.Add([]byte("PROXIES"))
	f.Add(append([]byte("PROXY TCP4 "), bytes.Repeat([]byte("1"), 200)...))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x01x"))
	f.Fuzz(func(t *testing.T, p []byte) {
		size, err := headerSize(p)
		require.LessOrEqual(t, size, min(len(p), largestFirst))
		if err != nil || size == 0 {
			require.Zero(t, size)
			if err == nil {
				require.Less(t, len(p), largestFirst)
			}
			return
		}
		for n := range p[:size] {
			short, err := headerSize(p[:n])
			require.NoError(t, err)
			require.Zero(t, short, "after %d of %d bytes", n, size)
		}
		client, err := parseHeader(p[:size])
		reader := bufio.NewReaderSize(bytes.NewReader(p), len(p)+1)
		h, libraryErr := proxyproto.Read(reader)
		if err != nil {
			require.False(t, client.IsValid())
			return
		}
		require.NoError(t, libraryErr)
		require.Equal(t, len(p)-size, reader.Buffered(), "the library reads the same header")
		if client.IsValid() {
			require.False(t, h.Command.IsLocal())
			require.NotEmpty(t, client.String())
			_, port, err := net.SplitHostPort(h.SourceAddr.String())
			require.NoError(t, err)
			_, got, err := net.SplitHostPort(client.String())
			require.NoError(t, err)
			require.Equal(t, port, got)
		}
	})
}
