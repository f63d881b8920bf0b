//go:build linux

package wire

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTake(t *testing.T) {
	in, want := requests(20)
	quiet := make([]byte, 30)
	PutUnanswered(quiet)
	in = AppendOrder(append(in, quiet...), Order{Total: 1 << 20, Piece: 1 << 10})
	whole := len(in)
	in = append(in, in[:20]...)

	answers, used, order, err := Take(nil, in)
	require.NoError(t, err)
	require.Equal(t, want, answers)
	require.Equal(t, whole, used, "it stops behind an order")
	require.Equal(t, Order{1 << 20, 1 << 10}, order)
	require.Equal(t, 1<<10, order.Pieces())

	for n := range 20 {
		answers, used, order, err = Take(nil, in[:n])
		require.NoError(t, err)
		require.Empty(t, answers)
		require.Zero(t, used, "a part of a frame")
		require.Zero(t, order.Pieces())
	}
}

func TestTakeRefuses(t *testing.T) {
	for _, wrong := range [][]byte{
		{0, 0, 0, 4, 'Q'},
		{0xff, 0, 0, 0, 'Q'},
		{0, 0, 0, 5, 'X'},
		{0, 0, 0, 5, 'O'},
		AppendOrder(nil, Order{}),
		AppendOrder(nil, Order{Total: MaxOrder * 2, Piece: 1}),
		AppendOrder(nil, Order{Total: 10, Piece: 3}),
	} {
		_, used, _, err := Take(nil, wrong)
		require.Error(t, err)
		require.Zero(t, used)
	}
}
