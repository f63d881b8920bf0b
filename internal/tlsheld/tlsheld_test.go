package tlsheld

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDrop(t *testing.T) {
	require.True(t, held.known, "this release of Go has other fields")
	c := tls.Client(nil, nil)
	raw, hand, input := field[bytes.Buffer](c, held.rawInput), field[bytes.Buffer](c, held.hand), field[bytes.Reader](c, held.input)
	raw.WriteString("used, part")
	raw.Next(len("used, "))
	hand.Grow(1000)
	input.Reset([]byte("x"))
	Drop(c)
	require.Greater(t, hand.Cap(), 999, "decrypted bytes are left")
	_, err := input.ReadByte()
	require.NoError(t, err)
	Drop(c)
	require.Equal(t, "part", raw.String())
	require.LessOrEqual(t, raw.Cap(), 16)
	require.Zero(t, hand.Cap())
	require.Equal(t, bytes.Reader{}, *input)
}

// Another tls.Conn than the one that is known is left alone.
func TestFindOtherFields(t *testing.T) {
	type renamed struct {
		rawInput, hand bytes.Buffer
		plain          bytes.Reader
	}
	type retyped struct {
		rawInput, hand bytes.Buffer
		input          bytes.Buffer
	}
	for _, other := range []any{renamed{}, retyped{}} {
		require.Equal(t, fields{}, find(reflect.TypeOf(other)))
	}
}
