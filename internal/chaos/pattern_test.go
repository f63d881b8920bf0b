package chaos

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The Checker finds a byte that is missing, doubled, exchanged or changed, in pieces of any
// length.
func TestChecker(t *testing.T) {
	const n = 300
	stream := append(AppendHeader(nil, 7), make([]byte, n)...)
	Fill(stream[HeaderSize:HeaderSize+100], 7, 0)
	Fill(stream[HeaderSize+100:], 7, 100)
	for piece := 1; piece < 50; piece++ {
		var c Checker
		for at := 0; at < len(stream); at += piece {
			require.NoError(t, c.Check(stream[at:min(at+piece, len(stream))]))
		}
		require.EqualValues(t, n, c.Got())
		require.EqualValues(t, 7, c.Seed)
	}
	for name, spoil := range map[string]func(p []byte) []byte{
		"missing":   func(p []byte) []byte { return append(p[:100:100], p[101:]...) },
		"doubled":   func(p []byte) []byte { return append(p[:100:100], p[99:]...) },
		"exchanged": func(p []byte) []byte { p[100], p[108] = p[108], p[100]; return p },
		"changed":   func(p []byte) []byte { p[100] ^= 1; return p },
		"of another stream": func(p []byte) []byte {
			p[0] ^= 1
			return p
		},
	} {
		var c Checker
		require.Error(t, c.Check(spoil(append([]byte(nil), stream...))), name)
	}
}
