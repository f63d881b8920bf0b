package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/seed-2334f180/weir/bench/wire"
)

// An exchange is what the generator sends, and what must come back: one or more messages at
// once. Each message has a stamp, so that the answer to another message is noticed.
type exchange struct {
	send, want []byte // the same memory, if the answer is the message
	size       int    // of a message
	header     int    // bytes of a message before its stamp
}

func newExchange(size, burst int, framed bool) *exchange {
	x := &exchange{send: make([]byte, size*burst), size: size}
	for i := range x.send {
		x.send[i] = byte(i*7 + i>>8)
	}
	x.want = x.send
	if framed {
		x.header = wire.HeaderSize
		for at := 0; at < len(x.send); at += size {
			wire.PutHeader(x.send[at : at+size])
		}
		x.want = slices.Clone(x.send)
		for at := 0; at < len(x.want); at += size {
			x.want[at+wire.KindAt] = wire.KindAnswer
		}
	}
	return x
}

// stamp writes the connection's index and the number of the burst into each message. A short
// message holds only the first bytes of the stamp.
func (x *exchange) stamp(index int, seq uint32) {
	burst := len(x.send) / x.size
	for i := range burst {
		var stamp [8]byte
		binary.LittleEndian.PutUint64(stamp[:], uint64(index)<<40|uint64(seq)*uint64(burst)+uint64(i))
		copy(x.send[i*x.size+x.header:(i+1)*x.size], stamp[:])
		if x.header > 0 {
			copy(x.want[i*x.size+x.header:(i+1)*x.size], stamp[:])
		}
	}
}

// check compares p, which came back, with the expected bytes from offset at on.
func (x *exchange) check(at int, p []byte) error {
	want := x.want[at:][:len(p)]
	if bytes.Equal(p, want) {
		return nil
	}
	for i := range p {
		if p[i] != want[i] {
			return fmt.Errorf("byte %d came back as %#02x, not %#02x", at+i, p[i], want[i])
		}
	}
	return nil
}
