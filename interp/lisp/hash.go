package lisp

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
)

var tableChapter = chapter{
	title: "Hash tables",
	intro: "A table has values by keys, which equal compares: numbers, strings, symbols, lists of those, and objects by identity. Binaries are no keys, because they change. Threads may share a table. Its keys are in the order in which they came.",
	definitions: []definition{
		{"(make-hash-table)", "returns an empty table.", entry{0, 0, func(*Thread, []Value) (Value, error) { return newTable(), nil }}},
		{"(gethash KEY TABLE [DEFAULT])", "returns the value of a key, or DEFAULT.", f3(gethash).with(1)},
		{"(puthash KEY VALUE TABLE)", "sets the value of a key, and returns it.", f3(puthash)},
		{"(remhash KEY TABLE)", "removes a key. It returns t if the table had it.", f2(remhash)},
		{"(clrhash TABLE)", "removes all keys.", f1(func(_ *Thread, h *Table) (Value, error) { h.clear(); return h, nil })},
		{"(hash-table-keys TABLE)", "returns the list of the keys.", f1(func(_ *Thread, h *Table) (Value, error) { keys, _ := h.all(); return ListOf(keys...), nil })},
		{"(hash-table-values TABLE)", "returns the list of the values.", f1(func(_ *Thread, h *Table) (Value, error) { _, values := h.all(); return ListOf(values...), nil })},
		{"(hash-table-count TABLE)", "returns how many keys there are.", f1(func(_ *Thread, h *Table) (Value, error) { return int64(h.len()), nil })},
		{"(maphash F TABLE)", "calls F with each key and its value. F may change the table.", f2(maphash)},
		{"(hash-table-p VALUE)", "returns t if VALUE is a table.", is[*Table]()},
	},
}

// A Table is a hash table.
type Table struct {
	mu      sync.Mutex
	plain   map[Value]*tableEntry    // entries with keys that Go compares
	lists   map[string][]*tableEntry // entries with keys that are lists, by keyText
	order   []*tableEntry            // in the order of insertion; includes removed entries
	removed int
}

type tableEntry struct {
	key, value Value
	removed    bool
}

func newTable() *Table {
	return &Table{plain: map[Value]*tableEntry{}, lists: map[string][]*tableEntry{}}
}

// String returns #<hash-table count>.
func (h *Table) String() string { return fmt.Sprintf("#<hash-table %d>", h.len()) }

func (h *Table) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.order) - h.removed
}

// maxKey bounds the number of elements of a key that is a list, with the elements of
// inner lists. Lists can share their parts, so a few lists may stand for very many
// elements.
const maxKey = 1 << 16

// checkKey refuses values that cannot be keys.
func checkKey(key Value) error {
	left := maxKey
	return checkKeyPart(key, 0, &left)
}

func checkKeyPart(key Value, depth int, left *int) error {
	switch k := key.(type) {
	case *Binary:
		return wanted("a key that does not change", key)
	case float64:
		if math.IsNaN(k) {
			return wanted("a key that equals itself", key)
		}
	case *List:
		if depth == maxNesting {
			return raise("lists nested more than %d deep", maxNesting)
		}
		for ; k != nil; k = k.tail {
			if *left--; *left < 0 {
				return fmt.Errorf("the key has more than %d elements", maxKey)
			}
			if err := checkKeyPart(k.head, depth+1, left); err != nil {
				return err
			}
		}
	}
	return nil
}

// keyText returns a text that is the same for equal lists. For an element that may
// change, such as a socket, the text has only a fixed mark. The text of a key that is
// not a list is empty.
func keyText(key Value) string {
	l, ok := key.(*List)
	if !ok {
		return ""
	}
	var b strings.Builder
	writeKey(&b, l)
	return b.String()
}

func writeKey(b *strings.Builder, v Value) {
	switch v := v.(type) {
	case *List:
		b.WriteByte('(')
		for ; v != nil; v = v.tail {
			writeKey(b, v.head)
			b.WriteByte(' ')
		}
		b.WriteByte(')')
	case nil, int64, float64, string, *Symbol:
		b.WriteString(Print(v))
	default:
		b.WriteByte('#')
	}
}

// find returns the entry of a key with its text, or nil. The caller holds the lock.
func (h *Table) find(t *Thread, key Value, text string) (*tableEntry, error) {
	if text == "" {
		return h.plain[key], nil
	}
	for _, e := range h.lists[text] {
		if same, err := t.equal(e.key, key, 0); same || err != nil {
			return e, err
		}
	}
	return nil, nil
}

func gethash(t *Thread, key Value, h *Table, other Value) (Value, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	text := keyText(key)
	h.mu.Lock()
	defer h.mu.Unlock()
	e, err := h.find(t, key, text)
	if e == nil || err != nil {
		return other, err
	}
	return e.value, nil
}

func puthash(t *Thread, key, v Value, h *Table) (Value, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	text := keyText(key)
	h.mu.Lock()
	defer h.mu.Unlock()
	e, err := h.find(t, key, text)
	if err != nil {
		return nil, err
	}
	if e != nil {
		e.value = v
		return v, nil
	}
	e = &tableEntry{key: key, value: v}
	if text == "" {
		h.plain[key] = e
	} else {
		h.lists[text] = append(h.lists[text], e)
	}
	h.order = append(h.order, e)
	return v, nil
}

func remhash(t *Thread, key Value, h *Table) (Value, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	text := keyText(key)
	h.mu.Lock()
	defer h.mu.Unlock()
	e, err := h.find(t, key, text)
	if e == nil || err != nil {
		return nil, err
	}
	if text == "" {
		delete(h.plain, key)
	} else if rest := slices.DeleteFunc(h.lists[text], func(x *tableEntry) bool { return x == e }); len(rest) > 0 {
		h.lists[text] = rest
	} else {
		delete(h.lists, text)
	}
	*e = tableEntry{removed: true}
	if h.removed++; h.removed > len(h.order)/2 {
		h.order = slices.DeleteFunc(h.order, func(x *tableEntry) bool { return x.removed })
		h.removed = 0
	}
	return T, nil
}

func (h *Table) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.plain)
	clear(h.lists)
	h.order, h.removed = nil, 0
}

// all returns the present keys and values.
func (h *Table) all() (keys, values []Value) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.order {
		if !e.removed {
			keys = append(keys, e.key)
			values = append(values, e.value)
		}
	}
	return keys, values
}

func maphash(t *Thread, f Value, h *Table) (Value, error) {
	keys, values := h.all()
	for i, key := range keys {
		if _, err := t.Call(f, key, values[i]); err != nil {
			return nil, err
		}
	}
	return nil, nil
}
