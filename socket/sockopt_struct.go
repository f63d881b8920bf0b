package socket

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A string describes a struct of the kernel. It has a letter for each field; each
// field has C's alignment:
//
//	b h I Q  an unsigned integer of 1, 2, 4 or 8 bytes
//	i        a signed one of 4 bytes
//	d        an interface: its index; to set it, also its name
//	4 6      an in_addr or in6_addr
//	s        a sockaddr_storage with an IP address
//	x        a byte that is ignored
//
// In Go it is a flat list of integers.

// extent returns the size and the alignment of a field.
func extent(field byte) (size, align int) {
	switch field {
	case 'h':
		return 2, 2
	case 'I', 'i', 'd':
		return 4, 4
	case 'Q':
		return 8, 8
	case '4':
		return 4, 4
	case '6':
		return 16, 4
	case 's':
		return unix.SizeofSockaddrAny + 16, 8 // a sockaddr_storage has 128 bytes
	}
	return 1, 1
}

func aligned(offset, align int) int { return (offset + align - 1) &^ (align - 1) }

// sizeOf returns the size of a struct, with the padding at its end.
func sizeOf(spec string) int {
	offset, widest := 0, 1
	for i := range len(spec) {
		size, align := extent(spec[i])
		offset = aligned(offset, align) + size
		widest = max(widest, align)
	}
	return aligned(offset, widest)
}

// structs returns the form of a struct; with many, of an array of structs. The kernel
// accepts versions of the struct from least bytes on. The longer version is used only
// if the list has its fields. A least of 0 is the whole struct.
func structs(spec, takes string, least int, many bool) *form {
	f := &form{kind: SockoptInts, takes: takes, size: sizeOf(spec), decode: list(spec, many)}
	if many {
		f.size *= 16
	}
	f.encode = func(v any) ([]byte, error) {
		items, ok := itemsOf(v)
		if !ok {
			items = []any{v}
		}
		e := &encoder{spec: spec, items: items, least: least}
		if many {
			return e.all()
		}
		b, err := e.one()
		if err == nil && len(e.items) > 0 {
			err = fmt.Errorf("the list is too long")
		}
		return b, err
	}
	return f
}

// An encoder makes structs from the items of a list.
type encoder struct {
	spec  string
	items []any
	least int
}

// all makes structs until no item is left. Each struct must be complete.
func (e *encoder) all() ([]byte, error) {
	if len(e.items)%len(e.spec) != 0 {
		return nil, fmt.Errorf("the list's length is not a multiple of %d", len(e.spec))
	}
	var b []byte
	for len(e.items) > 0 {
		one, err := e.one()
		if err != nil {
			return nil, err
		}
		b = append(b, one...)
	}
	return b, nil
}

// one makes a struct from the first items, and removes them. Fields without an item
// are zero. There must be at least one item.
func (e *encoder) one() ([]byte, error) {
	if len(e.items) == 0 {
		return nil, fmt.Errorf("the list is empty")
	}
	b := make([]byte, sizeOf(e.spec))
	offset := 0
	for i := range len(e.spec) {
		size, align := extent(e.spec[i])
		if offset = aligned(offset, align); e.spec[i] == 'x' {
			offset++
			continue
		}
		if len(e.items) == 0 {
			if e.least > 0 {
				b = b[:max(offset, e.least)]
			}
			break
		}
		used, err := putField(e.spec[i], b[offset:offset+size], e.items)
		if err != nil {
			return nil, fmt.Errorf("field %d: %w", i+1, err)
		}
		e.items = e.items[used:]
		offset += size
	}
	return b, nil
}

// putField writes a field, and returns how many items it took.
func putField(field byte, b []byte, items []any) (int, error) {
	switch field {
	case '4', '6':
		return putAddr(b, items)
	case 's':
		return 1, putSockaddr(b, items[0])
	case 'd':
		n, err := deviceIndex(items[0])
		putUint(b, uint64(n), binary.NativeEndian)
		return 1, err
	}
	n, err := integer(items[0], 8*len(b))
	switch bits := 8 * len(b); {
	case err != nil:
		return 0, err
	case field == 'i' && n > math.MaxInt32, field != 'i' && n < 0 && bits < 64, bits < 32 && n >= 1<<bits:
		return 0, errRange
	}
	putUint(b, uint64(n), binary.NativeEndian)
	return 1, nil
}

// putAddr writes an IP address of len(b) bytes: from one item, or from one item for
// each byte.
func putAddr(b []byte, items []any) (int, error) {
	if ip, ok, err := ipOf(items[0]); ok {
		if err == nil && ip.BitLen() != 8*len(b) {
			if err = fmt.Errorf("%v is not an address of %d bytes", ip, len(b)); len(b) == 16 && ip.Is4() {
				ip, err = netip.AddrFrom16(ip.As16()), nil
			}
		}
		copy(b, ip.AsSlice())
		return 1, err
	}
	if inner, ok := itemsOf(items[0]); ok && len(inner) == len(b) {
		_, err := putAddr(b, inner)
		return 1, err
	}
	if len(items) < len(b) {
		return 0, fmt.Errorf("an address is needed: a string, or %d integers", len(b))
	}
	for i := range b {
		n, err := integer(items[i], 32)
		if err != nil || n < 0 || n > math.MaxUint8 {
			return 0, fmt.Errorf("an address is needed: a string, or %d integers of 0 to 255", len(b))
		}
		b[i] = byte(n)
	}
	return len(b), nil
}

// ipOf returns the IP address of an item. ok is false if the item is something
// else.
func ipOf(item any) (netip.Addr, bool, error) {
	if ip, ok := item.(netip.Addr); ok {
		return ip, true, nil
	}
	if r := reflect.ValueOf(item); r.Kind() == reflect.String {
		ip, err := netip.ParseAddr(r.String())
		return ip, true, err
	}
	return netip.Addr{}, false, nil
}

func putSockaddr(b []byte, item any) error {
	ip, ok, err := ipOf(item)
	if !ok {
		return fmt.Errorf("an address is needed, as a string")
	}
	if err != nil {
		return err
	}
	var sa sockaddr
	if err := sa.encode(AddrFrom(netip.AddrPortFrom(ip, 0))); err != nil {
		return err
	}
	copy(b, unsafe.Slice((*byte)(unsafe.Pointer(&sa.Raw)), sa.Len))
	return nil
}

// deviceIndex returns the index of an interface, given by its index or name;
// nil means none.
func deviceIndex(item any) (uint32, error) {
	if r := reflect.ValueOf(item); r.Kind() == reflect.String {
		return interfaces.index(r.String())
	}
	if item == nil {
		return 0, nil
	}
	n, err := integer(item, 32)
	if err == errNoInt {
		err = fmt.Errorf("an interface is needed: its index or its name")
	}
	return uint32(n), err
}

// list returns the decoder of a struct or of an array of structs. It decodes the
// fields that the kernel has returned.
func list(spec string, many bool) func([]byte) any {
	whole := sizeOf(spec)
	return func(b []byte) any {
		values := []int{}
		for {
			values = appendFields(values, spec, b)
			if !many || len(b) < 2*whole {
				return values
			}
			b = b[whole:]
		}
	}
}

func appendFields(values []int, spec string, b []byte) []int {
	offset := 0
	for i := range len(spec) {
		size, align := extent(spec[i])
		offset = aligned(offset, align)
		if offset+size > len(b) {
			break
		}
		field := b[offset : offset+size]
		offset += size
		switch spec[i] {
		case 'x':
		case '4', '6', 's':
			for _, c := range field {
				values = append(values, int(c))
			}
		case 'i':
			values = append(values, int(int32(unsigned(field))))
		default:
			values = append(values, int(unsigned(field)))
		}
	}
	return values
}
