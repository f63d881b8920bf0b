//go:build linux

package wire

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// requests are frames of different lengths, and the answers to them.
func requests(lengths ...int) (in, want []byte) {
	for _, n := range lengths {
		frame := bytes.Repeat([]byte{byte(n)}, n)
		PutHeader(frame)
		in = append(in, frame...)
		frame[KindAt] = KindAnswer
		want = append(want, frame...)
	}
	return in, want
}

func TestFramesInPiecesOfEverySize(t *testing.T) {
	in, want := requests(5, 6, 64, 300, 5, 9000)
	for piece := 1; piece <= len(in); piece += 1 + piece/10 {
		var u Unframer
		var got []byte
		for at := 0; at < len(in); at += piece {
			answers, err := u.Answer(nil, in[at:min(at+piece, len(in))])
			require.NoError(t, err)
			got = append(got, answers...)
		}
		require.True(t, bytes.Equal(want, got), "pieces of %d bytes", piece)
		require.Empty(t, u.partial)
	}
}

// duplex reads from one stream, writes to another, and counts the writes.
type duplex struct {
	io.Reader
	out    bytes.Buffer
	writes int
}

func (d *duplex) Write(p []byte) (int, error) {
	d.writes++
	return d.out.Write(p)
}

const burstLength = 16

func TestFramesThroughBufio(t *testing.T) {
	burst := make([]int, burstLength)
	for i := range burst {
		burst[i] = 64
	}
	in, want := requests(burst...)
	d := &duplex{Reader: bytes.NewReader(in)}
	require.ErrorIs(t, AnswerFrames(d, 64), io.EOF)
	require.Equal(t, want, d.out.Bytes())
	require.Equal(t, 1, d.writes, "the answers to a burst leave together")

	d = &duplex{Reader: iotest.OneByteReader(bytes.NewReader(in))}
	require.ErrorIs(t, AnswerFrames(d, 64), io.EOF)
	require.Equal(t, want, d.out.Bytes())
	require.Equal(t, burstLength, d.writes, "no answer waits for another request")
}

func TestBadFrames(t *testing.T) {
	answer, _ := requests(8)
	answer[KindAt] = KindAnswer
	for _, c := range []struct {
		name  string
		bytes []byte
		why   string
	}{
		{"short", []byte{0, 0, 0, 4, kindRequest}, "a frame of 4 bytes"},
		{"long", []byte{0xff, 0, 0, 0, kindRequest}, "a frame of 4278190080 bytes"},
		{"answer", answer, "a frame of kind 0x41 is no request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := new(Unframer).Answer(nil, c.bytes)
			require.ErrorContains(t, err, c.why)
			require.ErrorContains(t, AnswerFrames(&duplex{Reader: bytes.NewReader(c.bytes)}, 64), c.why)
		})
	}
}
