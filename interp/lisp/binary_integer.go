package lisp

import "fmt"

// integerPlace takes the arguments BINARY AT SIZE.
func integerPlace(args []Value) (b *Binary, at, size int, err error) {
	if b, err = arg[*Binary](args[0]); err != nil {
		return nil, 0, 0, err
	}
	switch args[2] {
	case int64(1), int64(2), int64(4), int64(8):
		size = int(args[2].(int64))
	default:
		return nil, 0, 0, wanted("a size of 1, 2, 4 or 8 bytes", args[2])
	}
	if b.Len() < size {
		return nil, 0, 0, fmt.Errorf("the binary has %d bytes, and the integer %d", b.Len(), size)
	}
	at, err = within(args[1], 0, b.Len()-size)
	return b, at, size, err
}

// integerFlags takes the flags big, little and signed.
func integerFlags(flags []Value) (little, signed bool, err error) {
	for _, v := range flags {
		s, _ := v.(*Symbol)
		switch {
		case s != nil && s.name == "little":
			little = true
		case s != nil && s.name == "signed":
			signed = true
		case s != nil && s.name == "big", v == nil:
		default:
			return false, false, wanted("the flag big, little or signed", v)
		}
	}
	return little, signed, nil
}

func binaryInteger(_ *Thread, args []Value) (v Value, err error) {
	b, at, size, err := integerPlace(args)
	if err != nil {
		return nil, err
	}
	little, signed, err := integerFlags(args[3:])
	if err != nil {
		return nil, err
	}
	var n uint64
	err = b.look(func(data []byte) {
		for i := range size {
			k := i
			if little {
				k = size - 1 - i
			}
			n = n<<8 | uint64(data[at+k])
		}
	})
	if unused := 64 - 8*size; signed {
		return int64(n) << unused >> unused, err
	}
	return int64(n), err
}

func setBinaryInteger(_ *Thread, args []Value) (Value, error) {
	b, at, size, err := integerPlace(args)
	if err != nil {
		return nil, err
	}
	n, ok := args[3].(int64)
	if bits := 8 * size; !ok || size < 8 && (n < -1<<(bits-1) || n >= 1<<bits) {
		return nil, wanted(fmt.Sprintf("an integer of %d bytes", size), args[3])
	}
	little, _, err := integerFlags(args[4:])
	if err != nil {
		return nil, err
	}
	return args[3], b.change(func(data []byte) {
		for i := range size {
			k := size - 1 - i
			if little {
				k = i
			}
			data[at+k] = byte(n >> (8 * i))
		}
	})
}
