package socket

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// streams returns two connected sockets, of tcp or unix.
func streams(t testing.TB, family Family) (a, b *Socket) {
	var err error
	if family == Unix {
		a, b, err = Pair(Unix, Stream, 0)
		require.NoError(t, err)
	} else {
		l, err := Config{Address: "127.0.0.1"}.New(Inet, Stream, 0)
		require.NoError(t, err)
		defer l.Close()
		require.NoError(t, l.Listen(1))
		a, err = New(Inet, Stream, 0)
		require.NoError(t, err)
		require.NoError(t, a.ConnectAddr(l.LocalAddr()))
		b, err = l.Accept()
		require.NoError(t, err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func random(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

// hashed reads a stream to its end and sends the hash of its data on the channel.
func hashed(t *testing.T, s *Socket) (done chan [32]byte) {
	done = make(chan [32]byte, 1)
	go func() {
		h := sha256.New()
		if _, err := s.WriteTo(h); err != nil {
			t.Error(err)
		}
		done <- [32]byte(h.Sum(nil))
	}()
	return done
}

func tempFile(t testing.TB, content []byte) *os.File {
	name := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(name, content, 0o600))
	f, err := os.Open(name)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

const big = 9<<20 + 1234

func TestReadFromSendsAll(t *testing.T) {
	content := random(big)
	pipeOf := func(t *testing.T) io.Reader { // a file, but not a regular one
		r, w, err := os.Pipe()
		require.NoError(t, err)
		t.Cleanup(func() { r.Close() })
		go func() {
			_, _ = w.Write(content)
			w.Close()
		}()
		return r
	}
	socketOf := func(family Family) func(t *testing.T) io.Reader {
		return func(t *testing.T) io.Reader {
			a, b := streams(t, family)
			go func() {
				_, _ = a.Write(content)
				a.Shutdown(unix.SHUT_WR)
			}()
			return b
		}
	}
	for name, source := range map[string]func(t *testing.T) io.Reader{
		"file":  func(t *testing.T) io.Reader { return tempFile(t, content) },
		"pipe":  pipeOf,
		"tcp":   socketOf(Inet),
		"unix":  socketOf(Unix),
		"bytes": func(*testing.T) io.Reader { return bytes.NewReader(content) },
	} {
		for _, family := range []Family{Inet, Unix} {
			t.Run(fmt.Sprint(name, " to ", family), func(t *testing.T) {
				a, b := streams(t, family)
				got := hashed(t, b)
				n, err := io.Copy(a, source(t)) // io.Copy uses the methods of both sockets
				require.NoError(t, err)
				require.EqualValues(t, big, n)
				require.NoError(t, a.Shutdown(unix.SHUT_WR))
				require.Equal(t, sha256.Sum256(content), <-got)
				// The test has closed only one direction.
				_, err = b.Write([]byte("ok"))
				require.NoError(t, err)
				buf := make([]byte, 9)
				n2, err := a.Read(buf)
				require.NoError(t, err)
				require.Equal(t, "ok", string(buf[:n2]))
			})
		}
	}
}

func TestReadFromStartsAtTheOffsetAndKeepsToTheLimit(t *testing.T) {
	a, b := streams(t, Unix)
	f := tempFile(t, []byte("0123456789"))
	_, err := f.Seek(2, io.SeekStart)
	require.NoError(t, err)
	limited := &io.LimitedReader{R: f, N: 5}
	n, err := a.ReadFrom(limited)
	require.NoError(t, err)
	require.EqualValues(t, 5, n)
	require.Zero(t, limited.N)
	at, err := f.Seek(0, io.SeekCurrent)
	require.NoError(t, err)
	require.EqualValues(t, 7, at)
	buf := make([]byte, 99)
	k, err := b.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "23456", string(buf[:k]))

	// The limit also applies to a socket as the source. The rest stays there.
	c, d := streams(t, Unix)
	_, err = c.Write([]byte("abcdef"))
	require.NoError(t, err)
	n, err = a.ReadFrom(io.LimitReader(d, 4))
	require.NoError(t, err)
	require.EqualValues(t, 4, n)
	k, err = d.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "ef", string(buf[:k]))
	n, err = a.ReadFrom(io.LimitReader(d, 0))
	require.NoError(t, err)
	require.Zero(t, n)

	// ReadFrom copies a file that sendfile(2) cannot read.
	proc, err := os.Open("/proc/self/status")
	require.NoError(t, err)
	defer proc.Close()
	n, err = a.ReadFrom(proc)
	require.NoError(t, err)
	require.Positive(t, n)
	require.NoError(t, proc.Close())
	_, err = a.ReadFrom(proc)
	require.ErrorIs(t, err, os.ErrClosed)
}

// The error has the bytes that a transfer took and could not send, by every way to
// transfer.
func TestNoByteIsLostMidway(t *testing.T) {
	content := random(4 << 20)
	for _, family := range []Family{Inet, Unix} {
		for _, how := range []string{"splice", "copy", "file"} {
			t.Run(fmt.Sprint(family, " ", how), func(t *testing.T) {
				out, sink := streams(t, family)
				in, source := streams(t, family)
				for _, s := range []*Socket{out, sink} { // the buffers do not grow
					require.NoError(t, unix.SetsockoptInt(s.Fd(), unix.SOL_SOCKET, unix.SO_SNDBUF, 64<<10))
					require.NoError(t, unix.SetsockoptInt(s.Fd(), unix.SOL_SOCKET, unix.SO_RCVBUF, 64<<10))
				}
				require.NoError(t, out.SetSendTimeout(short))
				go func() {
					_, _ = in.Write(content)
					in.Shutdown(unix.SHUT_WR)
				}()
				var r io.Reader = source
				switch how {
				case "copy":
					r = struct{ io.Reader }{source}
				case "file":
					r = tempFile(t, content)
				}
				begin := time.Now()
				n, err := out.ReadFrom(r)
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				require.ErrorIs(t, err, unix.EAGAIN)
				require.GreaterOrEqual(t, time.Since(begin), short)
				require.Positive(t, n)
				var rest []byte
				var u *UnsentError
				if errors.As(err, &u) {
					require.True(t, u.Timeout())
					rest = u.Unsent
				}
				require.Equal(t, how == "file", u == nil, "a file is not read further than was sent")
				require.NoError(t, out.Shutdown(unix.SHUT_WR))
				head, err := io.ReadAll(sink)
				require.NoError(t, err)
				require.Len(t, head, int(n))
				tail, err := io.ReadAll(r)
				require.NoError(t, err)
				require.True(t, bytes.Equal(content, append(append(head, rest...), tail...)))
			})
		}
	}
}

func TestWriteToTimesTheSource(t *testing.T) {
	a, b := streams(t, Inet)
	out, sink := streams(t, Unix)
	require.NoError(t, b.SetRecvTimeout(short))
	_, err := a.Write([]byte("abc"))
	require.NoError(t, err)
	for _, w := range []io.Writer{out, struct{ io.Writer }{out}} {
		begin := time.Now()
		n, err := b.WriteTo(w)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.False(t, errors.As(err, new(*UnsentError)))
		require.GreaterOrEqual(t, time.Since(begin), short)
		require.Contains(t, []int64{0, 3}, n)
	}
	buf := make([]byte, 9)
	n, err := sink.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "abc", string(buf[:n]))
}

// A transfer holds the turn of only one direction at each end. So a proxy works both ways
// at once, and an echo works on one socket.
func TestBothDirectionsAtOnce(t *testing.T) {
	client, front := streams(t, Inet)
	back, server := streams(t, Unix)
	content := random(big)
	for _, p := range [][2]*Socket{{front, back}, {back, front}} {
		go func() {
			_, _ = p[0].ReadFrom(p[1])
			p[0].Shutdown(unix.SHUT_WR)
		}()
	}
	go func() {
		_, _ = server.ReadFrom(server)
		server.Shutdown(unix.SHUT_WR)
	}()
	got := hashed(t, client)
	n, err := client.Write(content)
	require.NoError(t, err)
	require.Equal(t, big, n)
	require.NoError(t, client.Shutdown(unix.SHUT_WR))
	require.Equal(t, sha256.Sum256(content), <-got)
}

func TestTransferToABrokenPeer(t *testing.T) {
	for _, family := range []Family{Inet, Unix} {
		out, sink := streams(t, family)
		in, source := streams(t, family)
		require.NoError(t, sink.Close())
		go func() { _, _ = in.Write(random(1 << 20)) }()
		_, err := source.WriteTo(out)
		require.True(t, errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET), "%v", err)
		_, err = out.ReadFrom(tempFile(t, random(1<<20)))
		require.True(t, errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET), "%v", err)
		in.Close()
	}
}

func TestCloseEndsATransfer(t *testing.T) {
	_, source := streams(t, Inet)
	out, _ := streams(t, Inet)
	done := make(chan error, 1)
	go func() {
		_, err := out.ReadFrom(source)
		done <- err
	}()
	awaitParked(t, 1)
	require.NoError(t, source.Close())
	require.ErrorIs(t, <-done, unix.EBADF)
}

func TestWritev(t *testing.T) {
	for _, family := range []Family{Inet, Unix} {
		a, b := streams(t, family)
		text := strings.Repeat("0123456789abcdefg", 60_000)
		bufs := append(split(text, 333), nil, []byte{}) // more buffers than IOV_MAX
		require.Greater(t, len(bufs), 2*mostBuffers)
		got := hashed(t, b)
		n, err := a.Writev(bufs)
		require.NoError(t, err)
		require.Equal(t, len(text), n)
		require.Equal(t, text[:333], string(bufs[0]))
		n, err = a.Writev([][]byte{nil, {}})
		require.NoError(t, err)
		require.Zero(t, n)
		require.NoError(t, a.Shutdown(unix.SHUT_WR))
		require.Equal(t, sha256.Sum256([]byte(text)), <-got)
		n, err = a.Writev(bufs)
		require.ErrorIs(t, err, unix.EPIPE)
		require.Zero(t, n)
	}
}

func TestWritevOutOfTimeSaysHowMuch(t *testing.T) {
	a, b := streams(t, Unix)
	require.NoError(t, a.SetSendTimeout(short))
	content := random(2 << 20)
	n, err := a.Writev(split(string(content), 100_000))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Positive(t, n)
	require.NoError(t, a.Close())
	got, err := io.ReadAll(b)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content[:n], got))
}

func TestWritevIsOneDatagram(t *testing.T) {
	a, b := udpPair(t)
	require.NoError(t, a.ConnectAddr(b.LocalAddr()))
	n, err := a.Writev(split("hello", 2))
	require.NoError(t, err)
	require.Equal(t, 5, n)
	buf := make([]byte, 9)
	n, err = b.Recv(buf, 0)
	require.NoError(t, err)
	require.Equal(t, "hello", string(buf[:n]))
	_, err = a.Writev(make([][]byte, 1025))
	require.ErrorIs(t, err, unix.EMSGSIZE)
}

// The benchmark moves bytes from one socket to another by splice(2) and by copying.
func BenchmarkForward(b *testing.B) {
	for _, how := range []string{"splice", "copy"} {
		b.Run(how, func(b *testing.B) {
			in, source := streams(b, Inet)
			out, sink := streams(b, Inet)
			const size = 1 << 20
			block, got := make([]byte, size), make([]byte, size)
			go func() {
				if how == "splice" {
					_, _ = out.ReadFrom(source)
				} else {
					_, _ = copyTo(out, source, 1<<62)
				}
			}()
			b.SetBytes(size)
			for b.Loop() {
				go func() { _, _ = in.Write(block) }()
				if _, err := io.ReadFull(sink, got); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
