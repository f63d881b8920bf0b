package socket

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"syscall"
	"unicode/utf8"
	"unsafe"

	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// The sizes that MaxString and MaxLine set, in bytes.
const (
	defaultMaxString = 4096
	defaultMaxLine   = 1 << 20
	greatestSize     = 1 << 28
)

// An input holds what a socket has read ahead for the character methods, and
// what they remember between calls. The first of them makes it. It takes 48
// bytes; the block for the buffered bytes exists only while there are any.
//
// Reads come one after the other, in the order of their turns. The lock is for
// calls that must not wait, and so cannot take a turn: they clear the buffer or
// push a character back while another goroutine reads. It is held for one step
// of a read at a time, and never while a call is parked.
type input struct {
	mu      sync.Mutex   // guards all but count
	block   *byte        // from the pool of the class; nil when nothing is buffered
	r, w    int32        // block[r:w] is what is buffered
	scanned int32        // block[r:scanned] has no newline, if it is beyond r
	count   atomic.Int32 // w-r, for readers without the lock
	last    rune         // the last character that ReadRune returned
	known   bool         // there is such a character
	back    bool         // it was pushed back, and is whole at block[r:]
	class   uint8        // of the block

	maxString, maxLine int32
}

// headroom is the free space in front of what a read puts into a block. A
// character that is pushed back always fits there.
const headroom = utf8.UTFMax

func newInput(maxString, maxLine int32) *input {
	in := &input{maxString: maxString, maxLine: maxLine}
	if maxString == 0 {
		in.maxString = defaultMaxString
	}
	if maxLine == 0 {
		in.maxLine = defaultMaxLine
	}
	return in
}

// needInput returns the socket's input, and makes it if there is none.
func (c *core) needInput() *input {
	if in := c.input.Load(); in != nil {
		return in
	}
	c.input.CompareAndSwap(nil, newInput(0, 0))
	return c.input.Load()
}

// sizeInput sets the sizes of the input before the socket is used; 0 means the
// default. The input is made now only if a size differs from the default.
func (c *core) sizeInput(maxString, maxLine int32) {
	if maxString != 0 || maxLine != 0 {
		c.input.Store(newInput(maxString, maxLine))
	}
}

// inheritInput gives an accepted socket the sizes of the listening one.
func (c *core) inheritInput(listener *core) {
	if in := listener.input.Load(); in != nil && (in.maxString != defaultMaxString || in.maxLine != defaultMaxLine) {
		c.sizeInput(in.maxString, in.maxLine)
	}
}

// dropInput forgets the buffered bytes and the last character, for a call that
// receives past them. With MSG_PEEK or MSG_OOB the call takes nothing from the
// stream, and nothing is forgotten.
func (c *core) dropInput(flags int) {
	if in := c.input.Load(); in != nil && flags&(unix.MSG_PEEK|unix.MSG_OOB) == 0 {
		in.mu.Lock()
		in.drop()
		in.known = false
		in.mu.Unlock()
	}
}

// copyInput takes as many buffered bytes as fit into buf.
func (c *core) copyInput(buf []byte) int {
	in := c.input.Load()
	if in == nil || in.count.Load() == 0 {
		return 0
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	n := copy(buf, in.bytes())
	in.take(n)
	return n
}

// The methods below need the lock.

// memory returns the block.
func (in *input) memory() []byte { return unsafe.Slice(in.block, blockSize(in.class)) }

// bytes returns what is buffered. It is valid until the next change.
func (in *input) bytes() []byte {
	if in.block == nil {
		return nil
	}
	return in.memory()[in.r:in.w]
}

// take removes n bytes.
func (in *input) take(n int) {
	if n == 0 {
		return
	}
	if in.back && n < utf8.RuneLen(in.last) {
		in.known = false // the rest of it cannot be pushed back again
	}
	in.back = false
	in.r += int32(n)
	in.settle()
}

// settle publishes the count, and gives the block back if nothing is left.
func (in *input) settle() {
	if in.r == in.w {
		in.drop()
		return
	}
	in.count.Store(in.w - in.r)
}

func (in *input) drop() {
	if in.block != nil {
		putBlock(in.block, in.class)
	}
	in.block = nil
	in.r, in.w, in.scanned = 0, 0, 0
	in.back = false
	in.count.Store(0)
}

// reserve makes room for size bytes in all, and moves what is buffered to the
// front.
func (in *input) reserve(size int) {
	class := classOf(size)
	if in.block == nil {
		in.block, in.class = getBlock(class), class
		in.r, in.w, in.scanned = headroom, headroom, headroom
		return
	}
	if class <= in.class && in.r == headroom {
		return
	}
	data, old, oldClass := in.bytes(), in.block, in.class
	if class > in.class {
		in.block, in.class = getBlock(class), class
	}
	copy(in.memory()[headroom:], data)
	if in.block != old {
		putBlock(old, oldClass)
	}
	in.scanned = max(in.scanned-in.r, 0) + headroom
	in.r, in.w = headroom, headroom+int32(len(data))
}

// fill makes one read, for as many bytes as the buffer has room for. If
// MaxString bytes or more already wait for the rest of a line, it reads as many
// again.
func (in *input) fill(c *core, fd int) (n int, more bool, errno syscall.Errno) {
	have, size := int(in.w-in.r), int(in.maxString)
	if have >= size {
		size = 2 * have
	}
	in.reserve(size)
	free := in.memory()[in.w : headroom+size]
	n, errno = c.recvfrom(fd, free, 0, nil)
	in.w += int32(n)
	in.settle()
	if n > 0 {
		c.reg.Stir(loop.Readable) // a Select may have found the kernel's queue empty
	}
	return n, c.leftover(n, len(free), 0), errno
}

// unread pushes the last character back. It reports false if there is none.
func (in *input) unread() bool {
	if !in.known || in.back {
		return in.known
	}
	if in.block == nil {
		in.reserve(int(in.maxString))
	}
	in.r -= int32(utf8.RuneLen(in.last))
	utf8.EncodeRune(in.memory()[in.r:], in.last)
	in.scanned = in.r
	in.back = true
	in.settle()
	return true
}

// A block has a power of two bytes, and the headroom. The garbage collector
// gets the greatest blocks; pools keep the others.
const (
	leastClass  = 6
	pooledClass = 20
)

var blocks [pooledClass + 1]sync.Pool

func classOf(size int) uint8 { return uint8(max(bits.Len(uint(size-1)), leastClass)) }

func blockSize(class uint8) int { return headroom + 1<<class }

func getBlock(class uint8) *byte {
	if class <= pooledClass {
		if b, ok := blocks[class].Get().(*byte); ok {
			return b
		}
	}
	return unsafe.SliceData(make([]byte, blockSize(class)))
}

func putBlock(b *byte, class uint8) {
	if class <= pooledClass {
		blocks[class].Put(b)
	}
}
