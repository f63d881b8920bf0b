package socket

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// ReadFrom takes no more than the limit of its source, in whatever pieces that comes, and
// whatever was read ahead. The rest stays in the source.
func TestReadFromKeepsTheLimit(t *testing.T) {
	for name, pair := range map[string]func(*testing.T) (a, b *Socket){
		"tcp": tcpPair, "unix": func(t *testing.T) (a, b *Socket) { return inputPair(t, Stream) },
	} {
		for _, ahead := range []string{"", "x\nahead"} {
			t.Run(name+" "+ahead, func(t *testing.T) {
				source, writer := pair(t)
				to, reader := pair(t)
				if ahead != "" {
					put(t, writer, ahead)
					_, err := source.ReadLine()
					require.NoError(t, err)
				} else {
					put(t, writer, "first")
				}
				moved := make(chan int64, 1)
				moving := blocked(t, "ReadFrom", func() error {
					n, err := to.ReadFrom(&io.LimitedReader{R: source, N: 20})
					moved <- n
					return err
				})
				buf := make([]byte, 5)
				n, err := reader.Recv(buf, unix.MSG_WAITALL)
				require.NoError(t, err)
				require.Equal(t, 5, n)
				put(t, writer, strings.Repeat("y", 100))
				require.NoError(t, soon(t, moving))
				require.EqualValues(t, 20, <-moved)
				buf = make([]byte, 50)
				n, err = reader.Recv(buf, 0)
				require.NoError(t, err)
				require.Equal(t, strings.Repeat("y", 15), string(buf[:n]))
				require.Equal(t, 85, queued(source.Fd()))
			})
		}
	}
}
