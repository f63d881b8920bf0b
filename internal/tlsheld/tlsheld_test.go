package tlsheld

import (
	"bytes"
	"crypto/tls"
	"net"
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

// A buffer that has grown for a record stays as long as it has a part of the record.
func TestReclaimLeavesAGrownBuffer(t *testing.T) {
	c := tls.Client(nil, nil)
	raw := field[bytes.Buffer](c, held.rawInput)
	raw.Grow(1000)
	raw.WriteString("x")
	have := raw.Cap()
	Reclaim(c)
	require.Equal(t, have, raw.Cap())
	require.Equal(t, "x", raw.String())
}

// The byte that Unread puts back is the next one, also if the tls.Conn has gone on to the
// next record.
func TestUnread(t *testing.T) {
	c := tls.Client(nil, nil)
	input := field[bytes.Reader](c, held.input)
	for _, record := range []string{"xy", "x"} {
		input.Reset([]byte(record))
		b, err := input.ReadByte()
		require.NoError(t, err)
		if record == "x" {
			*input = bytes.Reader{}
		}
		Unread(c, b)
		got := make([]byte, 3)
		n, _ := input.Read(got)
		require.Equal(t, record, string(got[:n]))
	}
}

// With a release of Go that has other fields the functions do nothing.
func TestUnknownFields(t *testing.T) {
	c := tls.Server(nil, nil)
	raw, input := field[bytes.Buffer](c, held.rawInput), field[bytes.Reader](c, held.input)
	restore := Forget()
	require.False(t, Known())
	require.Zero(t, Plain(c))
	require.Zero(t, Cipher(c))
	Lend(c)
	require.Zero(t, raw.Cap())
	require.Nil(t, c.NetConn(), "other memory of the tls.Conn was changed")
	raw.WriteString("used, part")
	raw.Next(len("used, "))
	have := raw.Cap()
	Reclaim(c)
	require.Equal(t, have, raw.Cap())
	restore()
	require.True(t, Known())
	input.Reset([]byte("xyz"))
	require.Equal(t, 3, Plain(c))
	require.Equal(t, 4, Cipher(c))

	// The functions do not look at other memory of the tls.Conn.
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	c = tls.Client(client, nil)
	defer Forget()()
	require.Zero(t, Plain(c))
	require.Zero(t, Cipher(c))
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
