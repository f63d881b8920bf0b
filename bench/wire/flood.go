//go:build linux

package wire

import (
	"encoding/binary"
	"fmt"
)

// The protocol of the fairness suite: frames as in the pipeline suite, of three kinds. A server
// answers a request, throws an unanswered frame away, and sends to the connection what an order
// says.
const (
	kindUnanswered = 'N'
	kindOrder      = 'O'

	orderSize = HeaderSize + 8
)

// An Order asks a server for Total zero bytes, in pieces of Piece bytes. Piece divides Total.
type Order struct{ Total, Piece int }

// Pieces returns how many pieces an order asks for. It is 0 if there is no order.
func (o Order) Pieces() int {
	if o.Piece == 0 {
		return 0
	}
	return o.Total / o.Piece
}

// MaxOrder is how many bytes an order may ask for.
const MaxOrder = 256 << 20

// PutUnanswered makes a frame of p that gets no answer.
func PutUnanswered(p []byte) {
	PutHeader(p)
	p[KindAt] = kindUnanswered
}

// AppendOrder appends the frame of an order.
func AppendOrder(p []byte, o Order) []byte {
	p = binary.BigEndian.AppendUint32(p, orderSize)
	p = append(p, kindOrder)
	p = binary.BigEndian.AppendUint32(p, uint32(o.Total))
	return binary.BigEndian.AppendUint32(p, uint32(o.Piece))
}

// Take handles the whole frames in p, up to the first order. It appends the answers to out, and
// returns how many bytes of p the frames were.
func Take(out, p []byte) (answers []byte, used int, order Order, err error) {
	for len(p)-used >= HeaderSize && order == (Order{}) {
		rest := p[used:]
		n := int(binary.BigEndian.Uint32(rest))
		if n < HeaderSize || n > MaxFrame {
			return out, used, order, fmt.Errorf("a frame of %d bytes: want %d to %d", n, HeaderSize, MaxFrame)
		}
		if n > len(rest) {
			break
		}
		switch kind := rest[KindAt]; {
		case kind == kindRequest:
			out = AppendAnswer(out, rest[:n])
		case kind == kindOrder && n == orderSize:
			order.Total = int(binary.BigEndian.Uint32(rest[HeaderSize:]))
			order.Piece = int(binary.BigEndian.Uint32(rest[HeaderSize+4:]))
			if order.Total == 0 || order.Total > MaxOrder || order.Piece == 0 || order.Total%order.Piece != 0 {
				return out, used, Order{}, fmt.Errorf("an order of %d bytes in pieces of %d", order.Total, order.Piece)
			}
		case kind != kindUnanswered:
			return out, used, order, fmt.Errorf("a frame of kind %#02x and %d bytes", kind, n)
		}
		used += n
	}
	return out, used, order, nil
}
