package timers_test

import (
	"encoding/binary"
	"testing"
)

// FuzzWheel does what the bytes say to a wheel and to the model.
func FuzzWheel(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0, 1, 0, 5, 2, 0, 9, 4})
	f.Add([]byte{0xff, 0, 1, 62, 0, 2, 3, 2, 62, 9, 1, 1, 2, 62, 200, 3})
	f.Fuzz(func(t *testing.T, p []byte) {
		at := func() (b byte) {
			if len(p) > 0 {
				b, p = p[0], p[1:]
			}
			return b
		}
		// ticks returns a number of ticks: a power of two, up to 2⁶³, and a bit less
		// or more. So all levels of the wheel and their borders are met.
		ticks := func() uint64 {
			shift := at() % 64
			return 1<<shift + uint64(int64(int8(at())))
		}
		var start [8]byte
		p = p[copy(start[:], p):]
		m := newModel(binary.LittleEndian.Uint64(start[:])>>(start[0]%64), 16)
		for steps := 0; len(p) > 0 && steps < 200; steps++ {
			switch op := at(); op % 4 {
			case 0, 1:
				m.schedule(m.items[at()%16], m.now+ticks())
			case 2:
				m.cancel(t, m.items[at()%16])
			case 3:
				to := m.now + ticks()
				for calls := 0; calls < 4; calls++ {
					m.advance(t, to, 1+int(op>>2)%8)
				}
			}
			m.check(t)
		}
	})
}
