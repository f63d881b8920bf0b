package lisp

import "bytes"

// dataOf returns the bytes of a string or binary. The caller must not change them.
func dataOf(v Value) (data []byte, err error) {
	switch v := v.(type) {
	case string:
		return []byte(v), nil
	case *Binary:
		err = v.look(func(b []byte) { data = bytes.Clone(b) })
		return data, err
	}
	return nil, wanted("a string or a binary", v)
}

func hashed(sum func([]byte) []byte) func(*Thread, Value) (Value, error) {
	return func(_ *Thread, v Value) (Value, error) {
		data, err := dataOf(v)
		return &Binary{data: sum(data)}, err
	}
}

func decoded(data []byte, err error) (Value, error) {
	if err != nil {
		return nil, nil
	}
	return &Binary{data: data}, nil
}
