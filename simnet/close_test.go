package simnet_test

import (
	"io"
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Close, CloseWait and the end of a loop end all calls on a socket at once, Release refuses while
// there are some, and a new socket with the old descriptor's number is not touched.
func TestCloses(t *testing.T) {
	seeds(t, 150, func(t *testing.T, seed uint64) {
		p := newPlace(t, seed)
		l := p.listen()
		const rounds = 4
		var calls sync.WaitGroup
		for range rounds {
			a, b := p.connection(l)
			if p.rng.IntN(2) == 0 { // the reader then waits in Receive without the lock
				_, err := b.Send([]byte("x"), 0)
				require.NoError(t, err)
				_, err = a.Recv(make([]byte, 9), 0)
				require.NoError(t, err)
			}
			var mu sync.Mutex
			var closed time.Time
			blocked := 0
			// block makes a call that only the close ends.
			block := func(what string, call func() error) {
				blocked++
				calls.Go(func() {
					err := call()
					mu.Lock()
					defer mu.Unlock()
					if closed.IsZero() || time.Since(closed) > latest {
						t.Errorf("%s ends with %v, and the socket was closed at %v", what, err, closed)
					}
					require.ErrorIs(t, err, unix.EBADF, what)
				})
			}
			for range p.rng.IntN(3) {
				block("recv", func() error { _, err := a.Recv(make([]byte, 9), 0); return err })
			}
			if p.rng.IntN(2) == 0 {
				for n := 1; n > 0; time.Sleep(10 * time.Millisecond) {
					n, _ = a.Send(make([]byte, 1<<20), unix.MSG_DONTWAIT)
				}
				block("send", func() error { _, err := a.Send([]byte{0}, 0); return err })
			}
			time.Sleep(p.upTo(2 * time.Millisecond))
			if blocked > 0 {
				_, _, err := a.Release()
				require.ErrorIs(t, err, unix.EBUSY)
			}
			mu.Lock()
			closed = time.Now()
			mu.Unlock()
			var err error
			switch p.rng.IntN(2) {
			case 0:
				err = a.Close()
			case 1:
				err = a.CloseWait()
			}
			require.NoError(t, err)
			c, d := p.connection(l)
			_, err = d.Send([]byte("mine"), 0)
			require.NoError(t, err)
			require.NoError(t, c.SetRecvTimeout(time.Minute))
			got := make([]byte, 4)
			n, err := c.Recv(got, unix.MSG_WAITALL)
			require.NoError(t, err)
			require.Equal(t, "mine", string(got[:n]))
			for _, err := range []error{
				a.Close(),
				a.SetReadDeadline(time.Now()),
				func() error { _, err := a.Recv(got, 0); return err }(),
				func() error { _, err := a.Send(got, 0); return err }(),
			} {
				require.ErrorIs(t, err, unix.EBADF)
			}
			calls.Wait()
			require.NoError(t, c.Close())
			b.Close()
			d.Close()
		}
		a, _ := p.connection(l)
		ended := make(chan error, 2)
		for _, s := range []*socket.Socket{a, a} {
			go func() { _, err := s.Recv(make([]byte, 9), 0); ended <- err }()
		}
		time.Sleep(time.Millisecond)
		begin := time.Now()
		require.NoError(t, p.a.Close())
		for range 2 {
			err := <-ended
			require.Error(t, err)
			require.NotErrorIs(t, err, io.EOF)
		}
		checkAt(t, 0, time.Since(begin), "the end of the loop")
		require.Zero(t, p.n.Host("10.0.0.1").Open())
	})
}
