package main

import (
	"bytes"
	"fmt"
	"sort"
	"sync"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
)

// A room is where everybody is. Its lock is held for as long as it takes to put
// a line down, and never while somebody is written to.
type room struct {
	mu       sync.Mutex
	nicks    map[string]*member
	guests   int // so far
	hubs     map[*loop.Loop]*hub
	waiting  []*server.Conn // who said more than the loops have delivered
	stopping bool
}

// A hub is the room's part on one loop: the members there, and what they have
// not been sent yet.
type hub struct {
	room    *room
	loop    *loop.Loop
	turn    func()               // deliver
	members map[*member]struct{} // the loop's
	spare   []byte               // the loop's: the memory of the last batch

	// The room's lock guards:
	pending   []byte
	scheduled bool // deliver will be called
}

// mostPending is how many bytes of lines may wait for a loop that is busy,
// before those who go on talking are not read any more.
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

// enter makes c a member, with a name to begin with. It is called on its loop.
func (r *room) enter(c *server.Conn) *member {
	h := r.hubs[c.Loop()]
	m := &member{conn: c, hub: h}
	h.deliver() // what was said before is not for m
	h.members[m] = struct{}{}
	r.mu.Lock()
	defer r.mu.Unlock()
	for m.nick == "" || r.nicks[m.nick] != nil {
		r.guests++
		m.nick = fmt.Sprint("guest", r.guests)
	}
	r.nicks[m.nick] = m
	r.tell("* " + m.nick + " joined")
	return m
}

// leave undoes enter.
func (r *room) leave(m *member, why string) {
	delete(m.hub.members, m)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.nicks, m.nick)
	r.tell("* " + m.nick + " left" + why)
}

// say has everybody see the member's line. It returns false when it was so much
// that the member's connection has been paused.
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

// rename says whether nobody else has the name.
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

// names is who is there, in order.
func (r *room) names() (list []string) {
	r.mu.Lock()
	for nick := range r.nicks {
		list = append(list, nick)
	}
	r.mu.Unlock()
	sort.Strings(list)
	return list
}

// stop tells everybody that it ends, and nothing more of who comes and goes.
func (r *room) stop(notice string) {
	r.mu.Lock()
	r.tell("* " + notice)
	r.stopping = true
	r.release()
	r.mu.Unlock()
}

// tell has everybody see a line. It needs the lock.
func (r *room) tell(line string) {
	if r.stopping {
		return
	}
	for _, h := range r.hubs {
		h.pending = append(append(h.pending, line...), '\n')
		h.schedule()
	}
}

// release has those read again who had said too much. It needs the lock.
func (r *room) release() {
	for _, c := range r.waiting {
		c.ResumeRead()
	}
	clear(r.waiting)
	r.waiting = r.waiting[:0]
}

// schedule has deliver called. It needs the lock.
func (h *hub) schedule() {
	if h.scheduled {
		return
	}
	h.scheduled = true
	if h.loop.Post(h.turn) == loop.ErrQueueFull {
		// Timers have no bound. On a closed loop there is nobody left.
		_, _ = h.loop.AfterFunc(0, h.turn)
	}
}

// deliver sends the members what was said since the last time, all together.
func (h *hub) deliver() {
	r := h.room
	r.mu.Lock()
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
			m.send(batch, lines)
		}
	}
	if h.spare = batch[:0]; cap(batch) > mostPending {
		h.spare = nil
	}
}
