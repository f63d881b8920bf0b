package socket

import (
	"io"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestPeekWaitsForEnoughAndTakesNothing(t *testing.T) {
	a, b := inputPair(t, Stream)
	_, err := b.WriteString("one")
	require.NoError(t, err)
	got := make(chan string)
	go func() {
		p, _ := a.Peek(5)
		got <- string(p)
	}()
	_, err = b.WriteString("two")
	require.NoError(t, err)
	require.Equal(t, "onetw", <-got)

	require.Equal(t, 6, a.Buffered())
	p, err := a.Peek(a.Buffered())
	require.NoError(t, err)
	require.Equal(t, "onetwo", string(p))
	require.Equal(t, 3, a.Discard(3))
	p, err = a.Peek(1)
	require.NoError(t, err)
	require.Equal(t, "t", string(p))
	require.Equal(t, 3, a.Discard(100))
	require.Zero(t, a.Discard(1))
	require.Zero(t, a.Buffered())
}

func TestPeekReturnsWhatThereIsWithTheReason(t *testing.T) {
	a, b := inputPair(t, Stream)
	_, err := b.WriteString("ab")
	require.NoError(t, err)
	require.NoError(t, a.SetRecvTimeout(time.Millisecond))
	p, err := a.Peek(3)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Equal(t, "ab", string(p))
	require.Equal(t, 2, a.Buffered(), "nothing is lost")
	require.NoError(t, b.Close())
	p, err = a.Peek(3)
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, "ab", string(p))
	line, err := a.ReadLine()
	require.NoError(t, err)
	require.Equal(t, "ab", line)
}

func TestPeekGrowsTheBuffer(t *testing.T) {
	a, b := inputPair(t, Stream)
	big := make([]byte, 100_000)
	big[len(big)-1] = 'x'
	go b.Writev([][]byte{big})
	p, err := a.Peek(len(big))
	require.NoError(t, err)
	require.Equal(t, big, p)
}

func TestPeekOfAMessageDoesNotWaitForAnother(t *testing.T) {
	a, b := inputPair(t, Dgram)
	_, err := b.WriteString("abc")
	require.NoError(t, err)
	p, err := a.Peek(10)
	require.NoError(t, err)
	require.Equal(t, "abc", string(p))
	_, err = b.WriteString("def")
	require.NoError(t, err)
	require.Equal(t, 1, a.Discard(1))
	p, err = a.Peek(10)
	require.NoError(t, err)
	require.Equal(t, "bc", string(p), "it is not joined to the next")
}

func TestPeekRefusesASize(t *testing.T) {
	a, _ := inputPair(t, Stream)
	for _, n := range []int{-1, greatestSize + 1} {
		_, err := a.Peek(n)
		require.ErrorIs(t, err, unix.EINVAL)
	}
}

func TestWaitingInPeekHoldsNoBuffer(t *testing.T) {
	a, b := inputPair(t, Stream)
	waiting := blocked(t, "Peek", func() error {
		_, err := a.Peek(1)
		return err
	})
	in := a.core.input.Load()
	in.mu.Lock()
	require.Nil(t, in.block)
	in.mu.Unlock()
	_, err := b.WriteString("x")
	require.NoError(t, err)
	require.NoError(t, <-waiting)
}
