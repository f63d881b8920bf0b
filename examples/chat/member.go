package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
)

// A member is a connected person. Only its loop uses it, except for the name, which
// the room's lock guards.
type member struct {
	conn  *server.Conn
	hub   *hub
	nick  string
	heard time.Duration // when it last sent something, on the loop's clock
	idle  *loop.Timer   // nil if silence has no limit
	long  bool          // the line that is arriving is too long
	from  int           // how many bytes of the next batch came before it
	left  int           // lines that were not sent to it
	said  bool          // it has said something that was not sent to it yet
	why   string        // why it leaves
}

// send writes a batch of lines to the member, or as many of them as there is room
// for. After the first line that is left out, all are, until tellLeft has told the
// member how many.
func (m *member) send(batch []byte, lines int) {
	m.said = false
	if m.left > 0 && m.conn.Queued() <= m.conn.Server().LowWater {
		m.tellLeft()
	}
	if m.left > 0 {
		m.left += lines
		return
	}
	if _, err := m.conn.Write(batch); err == nil || !errors.Is(err, server.ErrOutputFull) {
		return // all other errors end the connection
	}
	for line := range bytes.Lines(batch) {
		if _, err := m.conn.Write(line); err != nil {
			break
		}
		lines--
	}
	m.left = lines
}

// tellLeft tells the member how many lines were left out. It is called when there is
// room again.
func (m *member) tellLeft() {
	m.reply("%d lines were left out: you read too slowly", m.left)
	m.left = 0
}

// reply writes a line to this member alone. If there is no room, or the member has
// gone, the line is lost.
func (m *member) reply(format string, args ...any) {
	_, _ = m.conn.WriteString("* " + fmt.Sprintf(format, args...) + "\n")
}

// take handles the lines that have arrived. A line has at most longest bytes.
func (m *member) take(longest int) {
	c := m.conn
	for {
		in := c.Peek(-1)
		end := bytes.IndexByte(in, '\n')
		line, most := in, longest
		if end >= 0 {
			line = bytes.TrimSuffix(in[:end], []byte{'\r'})
		} else {
			most += len("\r")
		}
		if len(line) > most && !m.long {
			m.long = true
			m.reply("that line is longer than %d bytes, and was not sent", longest)
		}
		if end < 0 {
			if m.long {
				c.Discard(len(in))
			}
			return
		}
		goOn := true
		if !m.long {
			goOn = m.line(line)
		}
		m.long = false
		c.Discard(end + 1)
		if !goOn {
			return
		}
	}
}

// line handles one line, and reports whether to go on with the next.
func (m *member) line(line []byte) bool {
	line = bytes.TrimSpace(line)
	switch {
	case len(line) == 0:
		return true
	case line[0] == '/':
		command, rest, _ := strings.Cut(string(line), " ")
		return m.command(command, string(clean([]byte(strings.TrimSpace(rest)))))
	}
	m.said = true
	return m.hub.room.say(m, clean(line))
}

// hear sends the member its own last lines before it is closed. They may have
// arrived in the same turn of the loop as its end.
func (m *member) hear() {
	if m.said {
		m.hub.deliver()
	}
}

func (m *member) command(name, rest string) bool {
	switch name {
	case "/nick":
		switch wrong := checkNick(rest); {
		case wrong != "":
			m.reply("%s", wrong)
		case !m.hub.room.rename(m, rest):
			m.reply("somebody else is %s", rest)
		default:
			m.said = true
		}
	case "/who":
		names := m.hub.room.names()
		m.reply("%d here: %s", len(names), strings.Join(names, " "))
	case "/quit":
		if m.why = ""; rest != "" {
			m.why = ": " + rest
		}
		m.hear()
		m.reply("goodbye")
		m.conn.Discard(m.conn.Buffered())
		m.conn.Close()
		return false
	case "/help":
		m.reply("/nick NAME gives you a name, /who lists the members, /quit [WORDS] leaves")
	default:
		m.reply("there is no command %s; /help tells which there are", clean([]byte(name)))
	}
	return true
}

const mostNick = 20 // characters

// checkNick returns what is wrong with a name, or "".
func checkNick(nick string) string {
	if n := utf8.RuneCountInString(nick); n < 1 || n > mostNick {
		return fmt.Sprintf("a name has 1 to %d characters: /nick NAME", mostNick)
	}
	for _, r := range nick {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '_' {
			return fmt.Sprintf("a name has letters, digits, - and _, but not %q", r)
		}
	}
	return ""
}

// clean replaces control characters, which a terminal may obey, and bytes that are
// not UTF-8.
func clean(p []byte) []byte {
	harmless := func(r rune) bool {
		return r != utf8.RuneError && (r == '\t' || !unicode.IsControl(r))
	}
	for i, r := range string(p) {
		if !harmless(r) {
			rest := bytes.Map(func(r rune) rune {
				if harmless(r) {
					return r
				}
				return utf8.RuneError
			}, p[i:])
			return append(bytes.Clone(p[:i]), rest...)
		}
	}
	return p
}
