package socket

import (
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Many goroutines call every method at once, and one closes the socket in the middle. No
// call hangs, and each error is one of the expected ones.
func TestAllMethodsAtOnce(t *testing.T) {
	for range 5 {
		s, peer := inputPair(t, Stream)
		sized(s, 32, 100)
		require.NoError(t, s.SetRecvTimeout(time.Millisecond))
		buf := func() []byte { return make([]byte, 10) }
		methods := []func() error{
			func() error { _, _, err := s.ReadRune(); return err },
			func() error { _, err := s.ReadLine(); return err },
			func() error { _, err := s.ReadString(); return err },
			func() error { _, err := s.Fread(buf()); return err },
			func() error { _, err := s.Recv(buf(), 0); return err },
			func() error { _, err := s.Recv(buf(), unix.MSG_DONTWAIT); return err },
			s.UnreadRune,
			func() error { s.SetCharInBuffer(true); s.CharInBuffer(); return nil },
			func() error { s.SetCharInBuffer(false); s.Buffered(); return nil },
			func() error { s.ClearInput(); s.EOF(); s.Interrupt(); return nil },
			func() error { return s.Dump(io.Discard) },
			func() error { _, err := s.WriteLine("x"); return err },
		}
		var wg sync.WaitGroup
		closed := make(chan struct{})
		for range 8 {
			wg.Go(func() {
				for {
					err := methods[rand.IntN(len(methods))]()
					var e *Error
					if err != nil {
						assert.ErrorAs(t, err, &e)
						assert.Contains(t, []error{unix.EAGAIN, unix.EINTR, unix.EBADF, unix.EILSEQ, unix.EMSGSIZE, unix.EINVAL}, error(e.Errno))
					}
					select {
					case <-closed:
						return
					default:
					}
				}
			})
		}
		wg.Go(func() {
			for _, err := peer.WriteString("a line €\nan\xE2 other\n"); err == nil; {
				_, err = peer.WriteString("a line €\nan\xE2 other, too long for the buffer\n")
			}
		})
		wg.Go(func() {
			for b := buf(); ; {
				if _, err := peer.Recv(b, 0); err != nil {
					return
				}
			}
		})
		time.Sleep(20 * time.Millisecond) // lets the goroutines work; the test does not synchronise by it
		require.NoError(t, s.Close())
		close(closed)
		wg.Wait()
		require.True(t, s.EOF())
	}
}
