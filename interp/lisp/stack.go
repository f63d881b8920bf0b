package lisp

// A frame holds the values of one call: its parameters, its captured variables, and its
// own variables, in this order.
type frame = []Value

const (
	firstChunk = 64      // values in the first chunk of a thread's stack
	mostChunk  = 1 << 16 // values in a chunk of usual size
)

// A stack holds the frames of a thread. It grows by chunks. A chunk never moves, because
// the callers hold slices of it. Beyond top all values are nil.
type stack struct {
	chunk  []Value
	top    int
	filled []fullChunk // the chunks below, each with its top
	spare  []Value     // the last chunk that shrink left, for the next growth
}

type fullChunk struct {
	chunk []Value
	top   int
}

// push makes a frame of n values, all nil.
func (s *stack) push(n int) frame {
	end := s.top + n
	if end > len(s.chunk) {
		return s.grow(n)
	}
	f := s.chunk[s.top:end:end]
	s.top = end
	return f
}

func (s *stack) grow(n int) frame {
	size := max(n, min(max(2*len(s.chunk), firstChunk), mostChunk))
	if s.chunk != nil {
		s.filled = append(s.filled, fullChunk{s.chunk, s.top})
	}
	if len(s.spare) >= size {
		s.chunk, s.spare = s.spare, nil
	} else {
		s.chunk = make([]Value, size)
	}
	s.top = n
	return s.chunk[:n:n]
}

// pop removes the last frame of push. It clears the values, so that the collector can
// free them.
func (s *stack) pop(f frame) {
	switch len(f) {
	case 0:
	case 1:
		f[0] = nil
	case 2:
		f[0], f[1] = nil, nil
	default:
		clear(f)
	}
	if s.top -= len(f); s.top == 0 && len(s.filled) > 0 {
		s.shrink()
	}
}

// shrink goes back to the chunk below.
func (s *stack) shrink() {
	last := len(s.filled) - 1
	s.spare = s.chunk
	s.chunk, s.top = s.filled[last].chunk, s.filled[last].top
	s.filled[last] = fullChunk{}
	s.filled = s.filled[:last]
}
