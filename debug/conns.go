package debug

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-2334f180/weir/server"
)

const (
	// mostLookedAt bounds the connections of a server that one request looks at.
	mostLookedAt = 10000
	// mostShown bounds the connections of one answer.
	mostShown = 1000
	// usuallyShown is how many there are without a limit in the query.
	usuallyShown = 200
)

// A connList is a part of the connections.
type connList struct {
	Total int // open connections of the servers that were asked for
	Seen  int // those that were looked at
	Found int // those of Seen that match the filter
	Conns []connView
}

// A connView is a connection in the list. Times are in milliseconds, and -1 if they are
// not known; so are the other numbers.
type connView struct {
	Server, ID, Peer, Local, State     string
	Loop                               int
	Session                            bool
	Age, Idle, RTT                     float64
	In, Out, Queued, Retransmits, Cwnd int64
}

// A connDetail is a connection on its own page.
type connDetail struct {
	connView
	TCP *tcpView
}

// A tcpView is a server.TCPInfo with times in milliseconds.
type tcpView struct {
	server.TCPInfo
	Idle, RTT, RTTVar, MinRTT, RTO       float64
	BusyTime, PeerLimited, BufferLimited float64
}

func viewOf(name string, c *server.ConnInfo) connView {
	v := connView{
		Server: name, ID: c.ID, Peer: c.Peer.String(), Local: c.Local.String(), State: c.State, Loop: c.Loop, Session: c.Session,
		Age: millis(c.Age), Idle: -1, RTT: -1, In: -1, Out: -1, Queued: int64(c.Queued), Retransmits: -1, Cwnd: -1,
	}
	if t := c.TCP; t != nil {
		v.Idle, v.RTT = millis(t.Idle), millis(t.RTT)
		v.In, v.Out = int64(t.BytesIn), int64(t.BytesOut)
		v.Queued += int64(t.Unsent)
		v.Retransmits, v.Cwnd = int64(t.Retransmits), int64(t.Cwnd)
	}
	return v
}

// columns compare connections by what the query calls a column.
var columns = map[string]func(a, b *connView) int{
	"server":  func(a, b *connView) int { return strings.Compare(a.Server, b.Server) },
	"peer":    func(a, b *connView) int { return strings.Compare(a.Peer, b.Peer) },
	"local":   func(a, b *connView) int { return strings.Compare(a.Local, b.Local) },
	"state":   func(a, b *connView) int { return strings.Compare(a.State, b.State) },
	"loop":    func(a, b *connView) int { return cmp.Compare(a.Loop, b.Loop) },
	"age":     func(a, b *connView) int { return cmp.Compare(a.Age, b.Age) },
	"idle":    func(a, b *connView) int { return cmp.Compare(a.Idle, b.Idle) },
	"in":      func(a, b *connView) int { return cmp.Compare(a.In, b.In) },
	"out":     func(a, b *connView) int { return cmp.Compare(a.Out, b.Out) },
	"queued":  func(a, b *connView) int { return cmp.Compare(a.Queued, b.Queued) },
	"rtt":     func(a, b *connView) int { return cmp.Compare(a.RTT, b.RTT) },
	"retrans": func(a, b *connView) int { return cmp.Compare(a.Retransmits, b.Retransmits) },
	"cwnd":    func(a, b *connView) int { return cmp.Compare(a.Cwnd, b.Cwnd) },
}

// conns returns the connections that a query asks for: filter is a part of a peer,
// address or state, in words that must all be found; sort is a column, with a minus in
// front for descending; server is a name, and limit a number.
func (h *Handler) conns(query url.Values) (list connList) {
	h.looking.Lock()
	defer h.looking.Unlock()
	words := strings.Fields(strings.ToLower(query.Get("filter")))
	for _, s := range h.watched(query.Get("server")) {
		list.Total += s.server.Stats().Conns
		infos := s.server.Inspect(mostLookedAt)
		list.Seen += len(infos)
		for i := range infos {
			v := viewOf(s.name, &infos[i])
			if v.matches(words) {
				list.Conns = append(list.Conns, v)
			}
		}
	}
	list.Found = len(list.Conns)
	sortConns(list.Conns, query.Get("sort"))
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil || limit < 0 {
		limit = usuallyShown
	}
	list.Conns = list.Conns[:min(len(list.Conns), limit, mostShown)]
	return list
}

// matches reports whether each word is a part of the peer, of an address, or of another
// text of the connection.
func (v *connView) matches(words []string) bool {
	text := strings.ToLower(strings.Join([]string{v.Peer, v.Local, v.State, v.Server, v.ID}, " "))
	return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
}

// sortConns sorts by a column. Equal connections, and all without a column, come in the
// order of their IDs, so that a row stays where it is.
func sortConns(list []connView, by string) {
	column, down := strings.CutPrefix(by, "-")
	compare := columns[column]
	slices.SortFunc(list, func(a, b connView) int {
		n := 0
		if compare != nil {
			n = compare(&a, &b)
		}
		if down {
			n = -n
		}
		return cmp.Or(n, strings.Compare(a.Server, b.Server), cmp.Compare(len(a.ID), len(b.ID)), strings.Compare(a.ID, b.ID))
	})
}

// watched returns the servers of that name; with an empty name all.
func (h *Handler) watched(name string) (list []*watchedServer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.servers {
		if name == "" || s.name == name {
			list = append(list, s)
		}
	}
	return list
}

// conn returns one connection.
func (h *Handler) conn(name, id string) (one connDetail, open bool) {
	for _, s := range h.watched(name) {
		info, open := s.server.InspectConn(id)
		if !open || name == "" {
			continue
		}
		one := connDetail{connView: viewOf(s.name, &info)}
		if t := info.TCP; t != nil {
			one.TCP = &tcpView{
				TCPInfo: *t,
				Idle:    millis(t.Idle), RTT: millis(t.RTT), RTTVar: millis(t.RTTVar), MinRTT: millis(t.MinRTT), RTO: millis(t.RTO),
				BusyTime: millis(t.BusyTime), PeerLimited: millis(t.PeerLimited), BufferLimited: millis(t.BufferLimited),
			}
		}
		return one, true
	}
	return one, false
}
