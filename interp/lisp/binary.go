package lisp

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
)

// A Binary is a block of bytes, which can be changed. While a method of a socket
// fills or sends it, threads that would get in the way get an error: nothing is
// copied, and none of them is blocked by another's socket.
type Binary struct {
	mu      sync.Mutex
	data    []byte
	readers int  // calls that send it
	filling bool // by a call that receives into it
}

// NewBinary makes a Binary of a copy of data.
func NewBinary(data []byte) *Binary { return &Binary{data: append([]byte{}, data...)} }

// Bytes are a copy of the binary's; nil while a method of a socket fills it.
func (b *Binary) Bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.filling {
		return nil
	}
	return bytes.Clone(b.data)
}

// Len is the number of bytes, which never changes.
func (b *Binary) Len() int { return len(b.data) }

// String is #<binary length>.
func (b *Binary) String() string { return fmt.Sprintf("#<binary %d>", len(b.data)) }

var errInUse = errors.New("the binary is in use by a socket's method in another thread")

// look reads the bytes, within f.
func (b *Binary) look(f func(data []byte)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.filling {
		return errInUse
	}
	f(b.data)
	return nil
}

// change writes to the bytes, within f.
func (b *Binary) change(f func(data []byte)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.filling || b.readers > 0 {
		return errInUse
	}
	f(b.data)
	return nil
}

// send lends the bytes to a call that only reads them, and may block.
func (b *Binary) send(call func(data []byte) (int, error)) (int, error) {
	b.mu.Lock()
	if b.filling {
		b.mu.Unlock()
		return 0, errInUse
	}
	b.readers++
	b.mu.Unlock()
	n, err := call(b.data)
	b.mu.Lock()
	b.readers--
	b.mu.Unlock()
	return n, err
}

// fill lends the bytes to a call that writes to them, and may block.
func (b *Binary) fill(call func(data []byte) (int, error)) (int, error) {
	b.mu.Lock()
	if b.filling || b.readers > 0 {
		b.mu.Unlock()
		return 0, errInUse
	}
	b.filling = true
	b.mu.Unlock()
	n, err := call(b.data)
	b.mu.Lock()
	b.filling = false
	b.mu.Unlock()
	return n, err
}

var binaryBase = table{
	"binaryp":          is[*Binary](),
	"make-binary":      f1(makeBinary),
	"string-to-binary": f1(func(_ *Thread, s string) (Value, error) { return NewBinary([]byte(s)), nil }),
	"binary-to-string": f2(binaryToString).with(1),
	"byte":             f2(getByte),
	"set-byte":         f3(setByte),
}

func makeBinary(_ *Thread, v Value) (Value, error) {
	n, err := within(v, 0, maxBytes)
	return &Binary{data: make([]byte, n)}, err
}

func binaryToString(_ *Thread, b *Binary, length Value) (v Value, err error) {
	n, err := b.upTo(length)
	if err != nil {
		return nil, err
	}
	err = b.look(func(data []byte) { v = string(data[:n]) })
	return v, err
}

func getByte(_ *Thread, b *Binary, at Value) (v Value, err error) {
	i, err := b.place(at)
	if err != nil {
		return nil, err
	}
	err = b.look(func(data []byte) { v = int64(data[i]) })
	return v, err
}

func setByte(_ *Thread, b *Binary, at, value Value) (Value, error) {
	i, err := b.place(at)
	if err != nil {
		return nil, err
	}
	c, err := within(value, 0, 255)
	if err != nil {
		return nil, err
	}
	return value, b.change(func(data []byte) { data[i] = byte(c) })
}

// upTo is how many bytes a length means: all if it is nil or too great.
func (b *Binary) upTo(length Value) (int, error) {
	if length == nil {
		return b.Len(), nil
	}
	n, ok := length.(int64)
	if !ok || n < 0 {
		return 0, wanted("a length of 0 or more bytes", length)
	}
	return int(min(n, int64(b.Len()))), nil
}

// place is the index of a byte.
func (b *Binary) place(v Value) (int, error) {
	if b.Len() == 0 {
		return 0, errors.New("the binary is empty")
	}
	return within(v, 0, b.Len()-1)
}
