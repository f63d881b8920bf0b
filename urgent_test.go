package weir_test

import (
	"context"
	"testing"
	"time"

	"github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// urgent are the ways in which an out-of-band byte becomes readable input, too. On a
// unix stream it does so by itself.
var urgent = []struct{ name, text string }{
	{"alone", "!"},
	{"behind data", "ab!"}, // the kernel reports the data and the byte one after the other
}

// The peer has sent an out-of-band byte before the call, but the loop need not have
// taken in its event. A socket that is reported as readable is reported as exceptional
// at the same time.
func TestUrgentByteIsReportedWithTheInput(t *testing.T) {
	const rounds = 100
	for _, c := range urgent {
		t.Run("Selector, "+c.name, func(t *testing.T) {
			for range rounds {
				a, peer := weirtest.Pair(t, socket.Stream)
				s := weir.NewSelector()
				require.NoError(t, s.Register(a, weir.Readable|weir.Exceptional, nil))
				_, err := peer.Send([]byte(c.text), unix.MSG_OOB)
				require.NoError(t, err)
				got, err := s.Wait(context.Background(), time.Minute, nil)
				require.NoError(t, err)
				require.Len(t, got, 1)
				require.Equal(t, weir.Readable|weir.Exceptional, got[0].Ready)
				require.NoError(t, s.Close())
				a.Close()
				peer.Close()
			}
		})
		t.Run("Select, "+c.name, func(t *testing.T) {
			for range rounds {
				a, peer := weirtest.Pair(t, socket.Stream)
				watched(t, a)
				_, err := peer.Send([]byte("x"), 0)
				require.NoError(t, err)
				settle(t, a)
				_, err = a.Recv(make([]byte, 1), 0) // leaves the mark of readiness: there may be more
				require.NoError(t, err)
				_, err = peer.Send([]byte(c.text), unix.MSG_OOB)
				require.NoError(t, err)
				got, err := weir.Select(list{a}, nil, list{a}, time.Minute)
				require.NoError(t, err)
				require.Equal(t, [2]int{1, 1}, [2]int{len(got.Read), len(got.Except)}, "read and except")
				a.Close()
				peer.Close()
			}
		})
	}
}
