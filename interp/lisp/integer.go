package lisp

import "unsafe"

// Go allocates memory for each integer that becomes an interface value. This took two
// thirds of the time of a counting loop. So the arithmetic of compiled code takes the
// memory from a block of the thread.

const (
	// Small integers have shared Values: most counters, lengths and bytes are small.
	leastSmall = -1024
	mostSmall  = 1023

	// intsPerBlock bounds the memory that one integer keeps in use: a block of 128
	// bytes.
	intsPerBlock = 16
)

var small = func() (all [mostSmall - leastSmall + 1]Value) {
	for i := range all {
		all[i] = int64(leastSmall + i)
	}
	return all
}()

// boxesPerBlock is the number of global variables with integers that share a block.
// Other values have memory of their own: in a shared block one variable would keep
// alive the old values of the others.
const boxesPerBlock = 16

// box returns memory that holds the value of a global variable. Nothing writes to it
// again.
func (t *Thread) box(v Value) *Value {
	n, ok := v.(int64)
	if !ok {
		alone := v
		return &alone
	}
	if i := uint64(n - leastSmall); i < uint64(len(small)) {
		return &small[i]
	}
	if t.boxesUsed == boxesPerBlock || t.boxes == nil {
		t.boxes, t.boxesUsed = new([boxesPerBlock]Value), 0
	}
	p := &t.boxes[t.boxesUsed%boxesPerBlock]
	t.boxesUsed++
	*p = v
	return p
}

// An emptyInterface has the memory layout of Go's interface without methods.
type emptyInterface struct{ typ, data unsafe.Pointer }

var integerType = func() unsafe.Pointer {
	var v Value = int64(mostSmall + 1)
	return (*emptyInterface)(unsafe.Pointer(&v)).typ
}()

// integer returns an integer as a Value.
func (t *Thread) integer(n int64) (v Value) {
	if i := uint64(n - leastSmall); i < uint64(len(small)) {
		return small[i]
	}
	if t.intsUsed == intsPerBlock || t.ints == nil {
		t.ints, t.intsUsed = new([intsPerBlock]int64), 0
	}
	p := &t.ints[t.intsUsed%intsPerBlock]
	t.intsUsed++
	*p = n
	e := (*emptyInterface)(unsafe.Pointer(&v))
	e.typ, e.data = integerType, unsafe.Pointer(p)
	return v
}
