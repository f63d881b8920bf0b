package net_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// fileReads returns how many times the process has read files. It counts read(2) and
// sendfile(2), but not recv(2) from sockets.
func fileReads(t *testing.T) (n int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		machine.Missing(t, "the kernel does not count: %v", err)
	}
	_, err = fmt.Sscanf(string(text[bytes.Index(text, []byte("syscr")):]), "syscr: %d", &n)
	require.NoError(t, err)
	return n
}

// io.Copy from a file uses sendfile(2) in big steps, by every way that io.Copy has.
func TestCopyFromAFileIsSendfile(t *testing.T) {
	const size = 16 << 20
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, make([]byte, size), 0o600))
	for name, send := range map[string]func(c net.Conn, f *os.File) (int64, error){
		"Copy":     func(c net.Conn, f *os.File) (int64, error) { return io.Copy(c, f) },
		"CopyN":    func(c net.Conn, f *os.File) (int64, error) { return io.CopyN(c, f, size) },
		"ReadFrom": func(c net.Conn, f *os.File) (int64, error) { return c.(io.ReaderFrom).ReadFrom(f) },
		"wrapped":  func(c net.Conn, f *os.File) (int64, error) { return io.Copy(c, struct{ *os.File }{f}) },
	} {
		t.Run(name, func(t *testing.T) {
			c, s := connPair(t, "tcp")
			drained := make(chan int64, 1)
			go func() { n, _ := io.Copy(io.Discard, struct{ io.Reader }{s}); drained <- n }()
			f, err := os.Open(path)
			require.NoError(t, err)
			defer f.Close()
			before := fileReads(t)
			n, err := send(c, f)
			after := fileReads(t)
			require.NoError(t, err)
			require.EqualValues(t, size, n)
			c.Close()
			require.EqualValues(t, size, <-drained)
			// Copying would read 256 times, in steps of 64 KiB.
			require.Less(t, after-before, 128)
		})
	}
}

// WriteTo writes the buffers by one writev(2) and removes what it has written. A unix
// stream socket keeps no borders between them, so the peer reads them at once.
func TestBuffersAreWrittenAtOnce(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		c, s := connPair(t, network)
		bufs := weirnet.Buffers{[]byte("one "), nil, []byte("two "), []byte("three")}
		n, err := bufs.WriteTo(c)
		require.NoError(t, err)
		require.EqualValues(t, 13, n)
		require.Empty(t, bufs)
		buf := make([]byte, 64)
		k, err := s.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "one two three", string(buf[:k]))
		if network == "tcp" {
			var info *unix.TCPInfo
			raw, err := c.(*weirnet.TCPConn).SyscallConn()
			require.NoError(t, err)
			raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
			require.NoError(t, err)
			require.EqualValues(t, 1, info.Data_segs_out)
		}
	}
	// WriteTo also writes to a connection of Go's net, and to a writer that is no
	// connection.
	a, b := net.Pipe()
	go func() { (&weirnet.Buffers{[]byte("x"), []byte("y")}).WriteTo(a); a.Close() }()
	all, err := io.ReadAll(b)
	require.NoError(t, err)
	require.Equal(t, "xy", string(all))
	bufs := weirnet.Buffers{[]byte("xy"), []byte("z")}
	all, err = io.ReadAll(&bufs)
	require.NoError(t, err)
	require.Equal(t, "xyz", string(all))
}
