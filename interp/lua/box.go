package lua

import (
	"unsafe"

	glua "github.com/yuin/gopher-lua"
)

// A string in an LValue takes two allocations: its bytes, and the header that the
// interface points to. texts makes one of both for short strings, and one for several
// strings of the length that most lines have.

type texts struct{ rest []lineText }

// A lineText is a string with its bytes.
type lineText struct {
	header glua.LString
	bytes  [48]byte
}

// together is the number of strings that one allocation holds. The collector frees them
// together.
const together = 4

// value returns a string value with a copy of text.
func (t *texts) value(text []byte) glua.LValue {
	switch n := len(text); {
	case n == 0:
		return emptyText
	case n <= 16:
		b := new(struct {
			header glua.LString
			bytes  [16]byte
		})
		return boxed(&b.header, b.bytes[:copy(b.bytes[:], text)])
	case n <= len(lineText{}.bytes):
		if len(t.rest) == 0 {
			t.rest = new([together]lineText)[:]
		}
		b := &t.rest[0]
		t.rest = t.rest[1:]
		return boxed(&b.header, b.bytes[:copy(b.bytes[:], text)])
	case n <= 112:
		b := new(struct {
			header glua.LString
			bytes  [112]byte
		})
		return boxed(&b.header, b.bytes[:copy(b.bytes[:], text)])
	case n <= 240:
		b := new(struct {
			header glua.LString
			bytes  [240]byte
		})
		return boxed(&b.header, b.bytes[:copy(b.bytes[:], text)])
	}
	return glua.LString(text)
}

var emptyText glua.LValue = glua.LString("")

// boxed returns a value whose interface points to header, which gets the bytes of text.
// Nobody may change the bytes afterwards.
func boxed(header *glua.LString, text []byte) (v glua.LValue) {
	*header = glua.LString(unsafe.String(unsafe.SliceData(text), len(text)))
	v = emptyText
	(*[2]unsafe.Pointer)(unsafe.Pointer(&v))[1] = unsafe.Pointer(header) // type, data
	return v
}
