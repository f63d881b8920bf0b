package tlsheld

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReclaim(t *testing.T) {
	require.True(t, held.known, "this release of Go has other fields")
	c := tls.Client(nil, nil)
	raw, hand, input := field[bytes.Buffer](c, held.rawInput), field[bytes.Buffer](c, held.hand), field[bytes.Reader](c, held.input)
	raw.WriteString("used, part")
	raw.Next(len("used, "))
	hand.Grow(1000)
	input.Reset([]byte("x"))
	Reclaim(c)
	require.Greater(t, hand.Cap(), 999, "decrypted bytes are left")
	_, err := input.ReadByte()
	require.NoError(t, err)
	Reclaim(c)
	require.Equal(t, "part", raw.String())
	require.Zero(t, hand.Cap())
	require.Equal(t, bytes.Reader{}, *input)
	raw.Next(len("part"))
	Reclaim(c)
	require.Zero(t, raw.Cap())

	Lend(c)
	require.Equal(t, RawSize, raw.Cap())
	raw.WriteString("used, part")
	raw.Next(len("used, "))
	Reclaim(c)
	require.Equal(t, "part", raw.String())
	require.LessOrEqual(t, raw.Cap(), 16, "the memory is for another connection")
}

// Another type than the tls.Conn that is known is left alone.
func TestFindOtherFields(t *testing.T) {
	buffer, reader := reflect.TypeFor[bytes.Buffer](), reflect.TypeFor[bytes.Reader]()
	for _, last := range []reflect.StructField{{Name: "plain", Type: reader}, {Name: "input", Type: buffer}} {
		last.PkgPath = "crypto/tls"
		require.Equal(t, fields{}, find(reflect.StructOf([]reflect.StructField{
			{Name: "rawInput", Type: buffer, PkgPath: "crypto/tls"}, {Name: "hand", Type: buffer, PkgPath: "crypto/tls"}, last,
		})))
	}
}
