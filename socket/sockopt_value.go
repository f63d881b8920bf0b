package socket

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"time"

	"golang.org/x/sys/unix"
)

// A form converts a value between Go and the kernel.
type form struct {
	kind   SockoptKind
	takes  string                    // for the documentation, if the kind says too little
	size   int                       // the first size of the buffer for reading
	filter bool                      // the value is behind a pointer, as in a sock_fprog
	encode func(any) ([]byte, error) // an error without an errno is EINVAL
	decode func([]byte) any          // the kernel may return fewer bytes than expected
}

// describe returns what values an option takes and gives.
func (f *form) describe() string {
	if f.takes == "" {
		return string(f.kind)
	}
	return string(f.kind) + ": " + f.takes
}

var (
	boolean = &form{kind: SockoptBool, size: 4, encode: encodeBool, decode: func(b []byte) any { return unsigned(b) != 0 }}
	int32s  = intForm("", true, 32)
	uint32s = intForm("", false, 32)
	uint64s = intForm("64 bits", false, 64)

	// An option that ignores its value. The kernel requires one all the same.
	nothing = &form{kind: SockoptNone, takes: "none; a value is ignored", size: 4,
		encode: func(any) ([]byte, error) { return make([]byte, 4), nil }, decode: func([]byte) any { return nil }}

	text = &form{kind: SockoptString, size: 256, encode: encodeText, decode: decodeText}

	// A struct timeval.
	timeval = &form{kind: SockoptMillis, takes: "milliseconds", size: 16, encode: encodeTimeval, decode: decodeTimeval}
	// SO_RCVTIMEO and SO_SNDTIMEO never reach the kernel.
	ownTimeout = &form{kind: SockoptMillis, takes: "milliseconds; 0 is off"}

	device   = deviceForm(binary.NativeEndian)
	deviceBE = deviceForm(binary.BigEndian)

	inAddr = &form{kind: SockoptString, takes: "an address; or, to set, [group address interface]", size: 4,
		encode: encodeInAddr, decode: decodeInAddr}
	msFilter = &form{kind: SockoptInts, takes: "[group address mode source ...]", size: 16,
		encode: encodeMSFilter, decode: list("44II", false)}

	words      = structs("I", "an array", 0, true)
	ipMreq     = structs("44d", "[group address interface]", 0, false)
	sourceMreq = structs("444", "[group address source]", 0, false)
	ipv6Mreq   = structs("6d", "[group interface]", 0, false)
	groupReq   = structs("ds", "[interface group]", 0, false)
	sourceReq  = structs("dss", "[interface group source]", 0, false)
	program    = programForm()
)

// intForm returns the form of a C integer.
func intForm(takes string, signed bool, bits int) *form {
	f := &form{kind: SockoptInt, takes: takes, size: bits / 8}
	f.encode = func(v any) ([]byte, error) {
		n, err := integer(v, bits)
		if err != nil {
			return nil, err
		}
		if bits == 32 && (signed && n > math.MaxInt32 || !signed && n < 0) {
			return nil, errRange
		}
		b := make([]byte, bits/8)
		putUint(b, uint64(n), binary.NativeEndian)
		return b, nil
	}
	f.decode = func(b []byte) any {
		if n := unsigned(b); signed && len(b) == 4 {
			return int(int32(n))
		} else {
			return int(n)
		}
	}
	return f
}

func deviceForm(order binary.ByteOrder) *form {
	return &form{kind: SockoptInt, takes: "an interface: index, or name", size: 4,
		encode: func(v any) ([]byte, error) {
			n, err := deviceIndex(v)
			if err != nil {
				return nil, err
			}
			b := make([]byte, 4)
			order.PutUint32(b, n)
			return b, nil
		},
		decode: func(b []byte) any {
			if len(b) < 4 {
				return 0
			}
			return int(order.Uint32(b))
		}}
}

// raw returns the form of bytes that are not converted.
func raw(size int, takes string) *form {
	return &form{kind: SockoptBytes, takes: takes, size: size, encode: encodeBytes,
		decode: func(b []byte) any { return bytes.Clone(b) }}
}

func programForm() *form {
	f := structs("hbbI", "[code jt jf k ...], four for each instruction", 0, true)
	f.filter = true
	return f
}

var (
	errRange = fmt.Errorf("the number is out of range")
	errNoInt = fmt.Errorf("an integer is needed")
)

// integer returns v as an integer of that many bits, signed or not. v may also be a
// float or a boolean, because some interpreters have only floats, and use booleans
// for 0 and 1.
func integer(v any, bits int) (int64, error) {
	r := reflect.ValueOf(v)
	var n int64
	switch {
	case r.Kind() == reflect.Bool:
		if r.Bool() {
			return 1, nil
		}
		return 0, nil
	case r.CanInt() && r.Type() != reflect.TypeFor[time.Duration]():
		n = r.Int()
	case r.CanUint():
		if u := r.Uint(); bits == 32 && u > math.MaxUint32 {
			return 0, errRange
		} else {
			n = int64(u)
		}
	case r.CanFloat():
		f := r.Float()
		if f != math.Trunc(f) {
			return 0, errNoInt
		}
		if math.Abs(f) >= 1<<63 {
			return 0, errRange
		}
		n = int64(f)
	default:
		return 0, errNoInt
	}
	if bits == 32 && (n < math.MinInt32 || n > math.MaxUint32) {
		return 0, errRange
	}
	return n, nil
}

func encodeBool(v any) ([]byte, error) {
	if v == nil {
		v = false
	}
	n, err := integer(v, 32)
	if err == errNoInt {
		err = fmt.Errorf("true, false, nil or an integer is needed")
	}
	return binary.NativeEndian.AppendUint32(nil, uint32(n)), err
}

func encodeText(v any) ([]byte, error) {
	r := reflect.ValueOf(v)
	switch {
	case v == nil:
		return nil, nil
	case r.Kind() == reflect.String:
		return []byte(r.String()), nil
	}
	return nil, fmt.Errorf("a string is needed, or nil")
}

func decodeText(b []byte) any {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}

func encodeBytes(v any) ([]byte, error) {
	if r := reflect.ValueOf(v); v == nil || r.Kind() == reflect.String {
		return encodeText(v)
	}
	if b, ok := v.([]byte); ok {
		return b, nil
	}
	items, ok := itemsOf(v)
	b := make([]byte, len(items))
	for i, item := range items {
		n, err := integer(item, 32)
		ok = ok && err == nil && n >= 0 && n <= math.MaxUint8
		b[i] = byte(n)
	}
	if !ok {
		return nil, fmt.Errorf("bytes are needed: []byte, a string, or a list of integers of 0 to 255")
	}
	return b, nil
}

// milliseconds returns v as a number of milliseconds; nil means 0.
func milliseconds(v any) (float64, error) {
	if d, ok := v.(time.Duration); ok {
		return millis(d), nil
	}
	switch r := reflect.ValueOf(v); {
	case v == nil, r.Kind() == reflect.Bool && !r.Bool():
		return 0, nil
	case r.CanInt():
		return float64(r.Int()), nil
	case r.CanUint():
		return float64(r.Uint()), nil
	case r.CanFloat():
		return r.Float(), nil
	}
	return 0, fmt.Errorf("milliseconds are needed, as an integer or float; or a time.Duration; or nil for off")
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// timeoutOf returns the timeout of a value: see Setsockopt.
func timeoutOf(v any) (time.Duration, error) {
	ms, err := milliseconds(v)
	switch {
	case err != nil:
		return 0, err
	case ms <= -1000:
		return -1, nil
	case ms < 0 || math.IsNaN(ms):
		return 0, fmt.Errorf("a timeout is not negative; 0 is none: %w", unix.EDOM)
	case ms == 0:
		return 0, nil
	}
	ns := ms * float64(time.Millisecond)
	if ns >= math.MaxInt64 {
		return 0, nil
	}
	// Most decimal fractions have no exact float. Rounding the float's error up would
	// make 2.007 milliseconds read back as 2.007001.
	if whole := math.Round(ns); math.Abs(ns-whole) <= ns*0x1p-52 {
		ns = whole
	}
	return time.Duration(math.Ceil(ns)), nil
}

func encodeTimeval(v any) ([]byte, error) {
	ms, err := milliseconds(v)
	us := math.Ceil(ms * 1000)
	switch {
	case err != nil:
		return nil, err
	case math.IsNaN(us) || math.Abs(us) >= 1<<63:
		return nil, fmt.Errorf("the time is out of range: %w", unix.EDOM)
	}
	const second = 1_000_000
	b := binary.NativeEndian.AppendUint64(nil, uint64(int64(us)/second))
	return binary.NativeEndian.AppendUint64(b, uint64(int64(us)%second)), nil
}

func decodeTimeval(b []byte) any {
	if len(b) < 16 {
		return 0.0
	}
	sec, us := int64(binary.NativeEndian.Uint64(b)), int64(binary.NativeEndian.Uint64(b[8:]))
	return float64(sec)*1000 + float64(us)/1000
}

// encodeInAddr encodes the interface for multicasts: its address, or an ip_mreqn.
func encodeInAddr(v any) ([]byte, error) {
	if items, ok := itemsOf(v); ok && len(items) > 1 {
		return ipMreq.encode(v)
	}
	var b [4]byte
	_, err := putAddr(b[:], []any{v})
	return b[:], err
}

func decodeInAddr(b []byte) any {
	a, _ := netip.AddrFromSlice(b[:min(len(b), 4)])
	return a.String()
}

// encodeMSFilter encodes an ip_msfilter, which contains the number of its sources.
func encodeMSFilter(v any) ([]byte, error) {
	items, _ := itemsOf(v)
	head := &encoder{spec: "44I", items: items}
	b, err := head.one()
	if err != nil {
		return nil, err
	}
	var sources []byte
	for len(head.items) > 0 {
		head.spec = "4"
		one, err := head.one()
		if err != nil {
			return nil, err
		}
		sources = append(sources, one...)
	}
	b = binary.NativeEndian.AppendUint32(b, uint32(len(sources)/4))
	return append(b, sources...), nil
}

// itemsOf returns the items of a list of any type.
func itemsOf(v any) ([]any, bool) {
	r := reflect.ValueOf(v)
	if k := r.Kind(); k != reflect.Slice && k != reflect.Array {
		return nil, false
	}
	items := make([]any, r.Len())
	for i := range items {
		items[i] = r.Index(i).Interface()
	}
	return items, true
}

// unsigned returns a number that the kernel has returned in 1 to 8 bytes.
func unsigned(b []byte) uint64 {
	switch {
	case len(b) >= 8:
		return binary.NativeEndian.Uint64(b)
	case len(b) >= 4:
		return uint64(binary.NativeEndian.Uint32(b))
	case len(b) >= 2:
		return uint64(binary.NativeEndian.Uint16(b))
	case len(b) == 1:
		return uint64(b[0])
	}
	return 0
}

func putUint(b []byte, n uint64, order binary.ByteOrder) {
	switch len(b) {
	case 1:
		b[0] = byte(n)
	case 2:
		order.PutUint16(b, uint16(n))
	case 4:
		order.PutUint32(b, uint32(n))
	case 8:
		order.PutUint64(b, n)
	}
}

// show returns a value for an error message, shortened.
func show(v any) string {
	const most = 60
	s := fmt.Sprintf("%#v", v)
	switch v.(type) {
	case nil:
		s = "nil"
	case string, []byte:
		s = fmt.Sprintf("%.*q", most, v)
	case fmt.Stringer, bool, int, float64, []int, []any, []string:
		s = fmt.Sprint(v)
	}
	if len(s) > most+2 {
		s = s[:most] + "..."
	}
	return s
}
