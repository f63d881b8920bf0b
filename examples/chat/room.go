package main

import (
	"bytes"
	"fmt"
	"sort"
	"sync"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
)

// A room has all members. Its lock is held while a line is stored, and never while a
// line is written to a connection.
type room struct {
	mu       sync.Mutex
	nicks    map[string]*member
	guests   int // so far
	hubs     map[*loop.Loop]*hub
	waiting  []*server.Conn // paused: they have said more than the loops have delivered
	stopping bool
}

// A hub is the room's part on one loop: the members there, and the lines that were
// not sent to them yet.
type hub struct {
	room    *room
	loop    *loop.Loop
	turn    func()               // deliver
	members map[*member]struct{} // for the loop's goroutine
	spare   []byte               // for the loop's goroutine: the memory of the last batch

	// The room's lock guards:
	pending   []byte
	scheduled bool // deliver will be called
	comings   int  // lines of pending that tell of one member who came or left
	joined    int  // further members who came, and have no line
	left      int  // further members who left
}

// mostComings is how many members who come or leave have a line of their own in one
// batch. A crowd of n that joins would otherwise cause n lines for each of n members.
const mostComings = 10

// mostPending is how many bytes of lines may wait for a busy loop. With more, the
// connections of members that go on talking are paused.
const mostPending = 256 << 10

func newRoom(loops []*loop.Loop) *room {
	r := &room{nicks: make(map[string]*member), hubs: make(map[*loop.Loop]*hub)}
	for _, l := range loops {
		h := &hub{room: r, loop: l, members: make(map[*member]struct{})}
		h.turn = h.deliver
		r.hubs[l] = h
	}
	return r
}

// enter makes c a member and gives it a name. It is called on c's loop.
func (r *room) enter(c *server.Conn) *member {
	h := r.hubs[c.Loop()]
	m := &member{conn: c, hub: h}
	h.members[m] = struct{}{}
	r.mu.Lock()
	defer r.mu.Unlock()
	m.from = len(h.pending) // m does not get what was said before
	for m.nick == "" || r.nicks[m.nick] != nil {
		r.guests++
		m.nick = fmt.Sprint("guest", r.guests)
	}
	r.nicks[m.nick] = m
	r.tellComing("* "+m.nick+" joined", true)
	return m
}

// leave undoes enter.
func (r *room) leave(m *member, why string) {
	delete(m.hub.members, m)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.nicks, m.nick)
	r.tellComing("* "+m.nick+" left"+why, false)
}

// say sends the member's line to all members. It returns false if too much waits, and
// the member's connection was paused.
func (r *room) say(m *member, line []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	full := false
	for _, h := range r.hubs {
		h.pending = fmt.Appendf(h.pending, "<%s> %s\n", m.nick, line)
		h.schedule()
		full = full || len(h.pending) > mostPending
	}
	if !full || r.stopping {
		return true
	}
	m.conn.PauseRead()
	r.waiting = append(r.waiting, m.conn)
	return false
}

// rename gives the member a name, and reports whether the name was free.
func (r *room) rename(m *member, nick string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if other := r.nicks[nick]; other != nil && other != m {
		return false
	}
	delete(r.nicks, m.nick)
	r.nicks[nick] = m
	r.tell("* " + m.nick + " is now " + nick)
	m.nick = nick
	return true
}

// names returns the names of all members, sorted.
func (r *room) names() (list []string) {
	r.mu.Lock()
	for nick := range r.nicks {
		list = append(list, nick)
	}
	r.mu.Unlock()
	sort.Strings(list)
	return list
}

// stop tells all members that the server stops. After it, members come and leave
// without a line.
func (r *room) stop(notice string) {
	r.mu.Lock()
	r.tell("* " + notice)
	r.stopping = true
	r.release()
	r.mu.Unlock()
}

// tell sends a line to all members. The caller holds the lock.
func (r *room) tell(line string) {
	if r.stopping {
		return
	}
	for _, h := range r.hubs {
		h.pending = append(append(h.pending, line...), '\n')
		h.schedule()
	}
}

// tellComing tells all members that one has joined or left. The caller holds the lock.
func (r *room) tellComing(line string, joined bool) {
	if r.stopping {
		return
	}
	for _, h := range r.hubs {
		switch {
		case h.comings < mostComings:
			h.comings++
			h.pending = append(append(h.pending, line...), '\n')
		case joined:
			h.joined++
		default:
			h.left++
		}
		h.schedule()
	}
}

// sumUp adds to pending how many members have come and left without a line. The caller
// holds the lock.
func (h *hub) sumUp() {
	if h.joined > 0 {
		h.pending = fmt.Appendf(h.pending, "* %d more joined\n", h.joined)
	}
	if h.left > 0 {
		h.pending = fmt.Appendf(h.pending, "* %d more left\n", h.left)
	}
	h.comings, h.joined, h.left = 0, 0, 0
}

// release resumes the paused connections. The caller holds the lock.
func (r *room) release() {
	for _, c := range r.waiting {
		c.ResumeRead()
	}
	clear(r.waiting)
	r.waiting = r.waiting[:0]
}

// schedule makes the loop call deliver. The caller holds the lock.
func (h *hub) schedule() {
	if h.scheduled {
		return
	}
	h.scheduled = true
	if h.loop.Post(h.turn) == loop.ErrQueueFull {
		// Timers have no bound. A closed loop has no members left.
		_, _ = h.loop.AfterFunc(0, h.turn)
	}
}

// deliver sends the hub's members the lines since the last call, in one write each.
func (h *hub) deliver() {
	r := h.room
	r.mu.Lock()
	h.sumUp()
	batch := h.pending
	h.pending, h.scheduled = h.spare[:0], false
	full := false
	for _, other := range r.hubs {
		full = full || len(other.pending) > mostPending
	}
	if !full {
		r.release()
	}
	r.mu.Unlock()
	if len(batch) > 0 {
		lines := bytes.Count(batch, []byte{'\n'})
		for m := range h.members {
			if m.from > 0 {
				rest := batch[m.from:]
				m.from = 0
				if len(rest) > 0 {
					m.send(rest, bytes.Count(rest, []byte{'\n'}))
				}
				continue
			}
			m.send(batch, lines)
		}
	}
	if h.spare = batch[:0]; cap(batch) > mostPending {
		h.spare = nil
	}
}
