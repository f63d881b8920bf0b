package socket

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// A row is an option in the table. An option is a row together with the number
// of its level, as a look-up returns it.
type row struct {
	name   string
	number int
	form   *form
	access SockoptAccess
	doc    string
}

type option struct {
	*row
	level int
}

// A group is the options of a level that one document describes.
type group struct {
	level  string
	source string
	rows   []row
}

type optionKey struct {
	level int
	name  string
}

var optionIndex = sync.OnceValue(func() map[optionKey]*option {
	index := make(map[optionKey]*option)
	for _, g := range sockopts {
		for i := range g.rows {
			o := &option{row: &g.rows[i], level: levelNumber(g.level)}
			index[optionKey{o.level, o.name}] = o
		}
	}
	return index
})

func findOption(op string, level any, name string) (*option, error) {
	l, err := findLevel(op, level)
	if err != nil {
		return nil, err
	}
	upper := strings.ToUpper(name)
	if o := optionIndex()[optionKey{l, upper}]; o != nil {
		return o, nil
	}
	return nil, invalid(op, show(name), unix.ENOPROTOOPT, "level "+levelName(l)+" has no such option"+similarOptions(l, upper))
}

// levels has the names and numbers of the levels. Options of unix sockets are
// of the level socket: unix(7). Options of vsock have the family's number as
// their level, because SOL_VSOCK is for control messages only.
var levels = []struct {
	name   string
	number int
}{
	{"socket", unix.SOL_SOCKET}, {"unix", unix.SOL_SOCKET}, {"local", unix.SOL_SOCKET},
	{"ip", unix.IPPROTO_IP}, {"ipv6", unix.IPPROTO_IPV6}, {"tcp", unix.IPPROTO_TCP},
	{"udp", unix.IPPROTO_UDP}, {"udplite", unix.IPPROTO_UDPLITE}, {"raw", unix.SOL_RAW},
	{"icmpv6", unix.IPPROTO_ICMPV6}, {"packet", unix.SOL_PACKET}, {"netlink", unix.SOL_NETLINK},
	{"vsock", unix.AF_VSOCK},
}

func levelNumber(name string) int {
	for _, l := range levels {
		if l.name == name {
			return l.number
		}
	}
	return -1
}

// levelName returns the first of a level's names, or its number.
func levelName(number int) string {
	for _, l := range levels {
		if l.number == number {
			return l.name
		}
	}
	return strconv.Itoa(number)
}

func findLevel(op string, level any) (int, error) {
	if level == nil {
		return unix.SOL_SOCKET, nil
	}
	given, ok := level.(string)
	if !ok {
		n, err := integer(level, 32)
		if err != nil {
			return 0, invalid(op, "level "+show(level), unix.EINVAL, "a level is nil, a number or a name")
		}
		return int(n), nil
	}
	if n, err := strconv.ParseInt(given, 10, 32); err == nil {
		return int(n), nil
	}
	name := strings.ToLower(given)
	for _, prefix := range []string{"sol_", "ipproto_", "af_"} {
		name = strings.TrimPrefix(name, prefix)
	}
	if n := levelNumber(name); n >= 0 {
		return n, nil
	}
	return 0, invalid(op, "level "+show(given), unix.ENOPROTOOPT, "no such level"+similarLevels(name))
}

func similarLevels(name string) string {
	var known []string
	near := newNearest(name)
	for _, l := range levels {
		known = append(known, l.name)
		if len(name) > longestName {
			continue
		}
		near.offer(distance(name, l.name), l.name)
	}
	return near.String() + "; the known ones are " + strings.Join(known, ", ")
}

// similarOptions lists the options with names like name, those of the level first.
// The name may lack the part before its first "_".
func similarOptions(level int, name string) string {
	if len(name) > longestName {
		return ""
	}
	near := newNearest(name)
	for _, g := range sockopts {
		number := levelNumber(g.level)
		for _, r := range g.rows {
			d := distance(name, r.name)
			if _, rest, _ := strings.Cut(r.name, "_"); rest != "" {
				d = min(d, distance(name, rest))
			}
			if number == level {
				near.offer(2*d, r.name)
			} else {
				near.offer(2*d+1, r.name+" of level "+g.level)
			}
		}
	}
	return near.String()
}

// nearest returns the most similar names, if they are similar enough.
type nearest struct {
	limit int
	found []neighbour
}

type neighbour struct {
	distance int
	text     string
}

const (
	maxNeighbours = 3
	longestName   = 64 // longer names are not compared
)

func newNearest(name string) *nearest { return &nearest{limit: 2*(len(name)/4) + 1} }

func (n *nearest) offer(distance int, text string) {
	if distance <= n.limit {
		n.found = append(n.found, neighbour{distance, text})
	}
}

func (n *nearest) String() string {
	if len(n.found) == 0 {
		return ""
	}
	slices.SortStableFunc(n.found, func(a, b neighbour) int { return a.distance - b.distance })
	var texts []string
	for _, f := range n.found[:min(len(n.found), maxNeighbours)] {
		texts = append(texts, f.text)
	}
	return "; did you mean " + strings.Join(texts, ", or ") + "?"
}

// distance returns how many characters must be inserted, deleted, replaced, or
// exchanged with their neighbour to turn a into b.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
