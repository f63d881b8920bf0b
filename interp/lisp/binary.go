package lisp

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
)

// A Binary is a block of bytes, which a program can change. A method of a socket fills
// or sends the block itself, and not a copy. Meanwhile a conflicting use by another
// thread is an error, so that no thread waits for another thread's socket.
type Binary struct {
	mu      sync.Mutex
	data    []byte
	readers int  // number of calls that send it
	filling bool // a call receives into it
}

// NewBinary makes a Binary of a copy of data.
func NewBinary(data []byte) *Binary { return &Binary{data: append([]byte{}, data...)} }

// Bytes returns a copy of the bytes; nil while a method of a socket fills them.
func (b *Binary) Bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.filling {
		return nil
	}
	return bytes.Clone(b.data)
}

// Len returns the number of bytes, which never changes.
func (b *Binary) Len() int { return len(b.data) }

// String returns #<binary length>.
func (b *Binary) String() string { return fmt.Sprintf("#<binary %d>", len(b.data)) }

var errInUse = errors.New("the binary is in use by a socket's method in another thread")

// look calls f, which may read the bytes.
func (b *Binary) look(f func(data []byte)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.filling {
		return errInUse
	}
	f(b.data)
	return nil
}

// change calls f, which may write to the bytes.
func (b *Binary) change(f func(data []byte)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.filling || b.readers > 0 {
		return errInUse
	}
	f(b.data)
	return nil
}

// send lends the bytes to a call that only reads them. The call may block.
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

// fill lends the bytes to a call that writes to them. The call may block.
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

var binaryChapter = chapter{
	title: "Binaries",
	intro: "A binary is a block of bytes of a fixed length, which can be changed. While a method fills a binary, other threads get an error when they use it; while a method sends one, when they change it.",
	definitions: []definition{
		{"(make-binary LENGTH)", "returns a binary of LENGTH bytes, all 0.", f1(makeBinary)},
		{"(byte BINARY I)", "returns the byte at I.", f2(getByte)},
		{"(set-byte BINARY I VALUE)", "sets the byte at I, and returns it.", f3(setByte)},
		{"(string-to-binary S)", "returns a binary of a string's bytes.", f1(func(_ *Thread, s string) (Value, error) { return NewBinary([]byte(s)), nil })},
		{"(binary-to-string BINARY [LENGTH])", "returns the bytes, or the first LENGTH, as a string.", f2(binaryToString).with(1)},
		{"(binary-slice BINARY FROM [TO])", "returns a new binary of the bytes from FROM up to, and not including, TO.", f3(binarySlice).with(1)},
		{"(binary-append BINARY ...)", "returns a new binary of all bytes.", entry{0, -1, binaryAppend}},
		{"(binary-copy TO AT FROM [LENGTH])", "copies the bytes of FROM, or the first LENGTH, into TO at the offset AT, as far as they fit. It returns how many bytes it has copied.", entry{4, 4, binaryCopy}.with(1)},
		{"(binary-integer BINARY AT SIZE [FLAG ...])", "returns the integer in the SIZE bytes at AT; SIZE is 1, 2, 4 or 8. The most significant byte is first, or last with the flag 'little. With the flag 'signed the integer is signed. An integer of 8 bytes is always signed.", entry{3, 5, binaryInteger}},
		{"(set-binary-integer BINARY AT SIZE VALUE [FLAG])", "writes an integer to the SIZE bytes at AT; SIZE is 1, 2, 4 or 8. The most significant byte is first, or last with the flag 'little. It returns VALUE.", entry{4, 5, setBinaryInteger}},
		{"(binaryp VALUE)", "returns t if VALUE is a binary.", is[*Binary]()},
		{"(sha1 DATA)", "returns the SHA-1 sum of a string or binary, as a binary of 20 bytes.", f1(hashed(func(b []byte) []byte { sum := sha1.Sum(b); return sum[:] }))},
		{"(sha256 DATA)", "returns the SHA-256 sum of a string or binary, as a binary of 32 bytes.", f1(hashed(func(b []byte) []byte { sum := sha256.Sum256(b); return sum[:] }))},
		{"(base64-encode DATA)", "encodes a string or binary in base64, and returns a string.", f1(func(_ *Thread, v Value) (Value, error) {
			data, err := dataOf(v)
			return base64.StdEncoding.EncodeToString(data), err
		})},
		{"(base64-decode S)", "decodes base64 and returns a binary, or nil if S is not base64.", f1(func(_ *Thread, s string) (Value, error) { return decoded(base64.StdEncoding.DecodeString(s)) })},
		{"(hex-encode DATA)", "encodes a string or binary in hexadecimal digits, and returns a string.", f1(func(_ *Thread, v Value) (Value, error) {
			data, err := dataOf(v)
			return hex.EncodeToString(data), err
		})},
		{"(hex-decode S)", "decodes hexadecimal digits and returns a binary, or nil if S has other characters.", f1(func(_ *Thread, s string) (Value, error) { return decoded(hex.DecodeString(s)) })},
	},
}

func binarySlice(_ *Thread, b *Binary, first, last Value) (v Value, err error) {
	from, err := within(first, 0, b.Len())
	if err != nil {
		return nil, err
	}
	to := b.Len()
	if last != nil {
		if to, err = within(last, from, b.Len()); err != nil {
			return nil, err
		}
	}
	err = b.look(func(data []byte) { v = NewBinary(data[from:to]) })
	return v, err
}

func binaryAppend(_ *Thread, args []Value) (Value, error) {
	var all []byte
	for _, v := range args {
		b, err := arg[*Binary](v)
		if err != nil {
			return nil, err
		}
		if len(all)+b.Len() > maxBytes {
			return nil, errTooLong
		}
		if err := b.look(func(data []byte) { all = append(all, data...) }); err != nil {
			return nil, err
		}
	}
	return &Binary{data: all}, nil
}

func binaryCopy(_ *Thread, args []Value) (v Value, err error) {
	to, err := arg[*Binary](args[0])
	if err != nil {
		return nil, err
	}
	at, err := within(args[1], 0, to.Len())
	if err != nil {
		return nil, err
	}
	from, err := arg[*Binary](args[2])
	if err != nil {
		return nil, err
	}
	n, err := from.upTo(args[3])
	if err != nil {
		return nil, err
	}
	// The temporary copy lets a program copy a binary into itself. It also lets
	// this code lock only one binary at a time.
	n = min(n, to.Len()-at)
	var data []byte
	if err := from.look(func(b []byte) { data = bytes.Clone(b[:n]) }); err != nil {
		return nil, err
	}
	err = to.change(func(b []byte) { copy(b[at:], data) })
	return int64(n), err
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

// upTo returns the length that a program gives. It returns the length of the binary if
// the program gives nil or a greater number.
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

// place converts a value to the index of a byte.
func (b *Binary) place(v Value) (int, error) {
	if b.Len() == 0 {
		return 0, errors.New("the binary is empty")
	}
	return within(v, 0, b.Len()-1)
}
