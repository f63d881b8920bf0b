package oracle

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

var checks = flag.Int("oracle.checks", 20, "how many random scenarios run for each kind of socket")

// TestRandomScenarios plays random scripts. If the kernel and Weir disagree on a script,
// rapid reduces it to the fewest steps that still disagree.
func TestRandomScenarios(t *testing.T) {
	flag.Set("rapid.checks", fmt.Sprint(*checks))
	for _, f := range pair(tcp, unixes, seqpacket, udp, unixgram) {
		t.Run(f.name, func(t *testing.T) { random(t, f, writer{kind: f.kind}) })
	}
	for _, f := range pair(udp, unixgram) {
		t.Run(f.name+" with addresses", func(t *testing.T) { random(t, f, writer{kind: f.kind, addresses: true}) })
	}
}

func random(t *testing.T, f fixture, w writer) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		steps := w.script(choices.Draw(r, "choices"))
		d := compared(t, f, steps)
		if d == "" {
			return
		}
		if again := compared(t, f, steps); again != "" {
			r.Log(again)
			r.Fatal("weir and the kernel disagree") // always the same text, because rapid takes another text for another failure
		}
		t.Logf("weir and the kernel disagreed once, and not again:\n%s", d)
	})
}

func compared(t *testing.T, f fixture, steps []step) string {
	return disagreement(steps, play(t, kernel{}, f, steps), play(t, weir{}, f, steps))
}

// A choice has the random values of a step. Its steps depend on the choices before. So
// rapid can leave out any choice, and the rest is still a script.
type choice struct {
	what  string
	n     int // the size of a small transfer in bytes
	take  int // how many bytes the peer takes
	recv  int // the flags of recv
	send  int // the flags of send
	close int // how to shut down

	address bool // whether the call takes or returns an address, if the script has any
	form    string
	room    int // bytes for control messages
	option  int // SO_RCVLOWAT, or SO_PASSCRED
	forone  int // a flag of recvmmsg(2), or none
}

var choices = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) choice {
	return choice{
		what: rapid.SampledFrom([]string{
			"recv", "recv", "recv", "send", "send", "peer sends", "peer sends", "peer gets", "begin recv", "finish",
			"shutdown", "peer shuts", "peer closes", "peer resets", "SO_ERROR", "send much", "begin send", "peer sends OOB",
			"peer sends descriptors", "SO_RCVLOWAT", "SO_PASSCRED",
		}).Draw(t, "what"),
		n:    rapid.SampledFrom([]int{1, 3, 8, 0}).Draw(t, "n"),
		take: rapid.SampledFrom([]int{1, 8, 0, 100 << 10, much}).Draw(t, "take"),
		recv: rapid.SampledFrom([]int{
			0, 0, peek, waitall, dontwait, peek | waitall, dontwait | waitall, oob, trunc,
		}).Draw(t, "recv"),
		send:  rapid.SampledFrom([]int{0, 0, dontwait}).Draw(t, "send"),
		close: rapid.IntRange(unix.SHUT_RD, unix.SHUT_RDWR).Draw(t, "close"),

		address: rapid.Bool().Draw(t, "address"),
		form:    rapid.SampledFrom([]string{"recv", "recv", "recvmsg", "recvmmsg"}).Draw(t, "form"),
		room:    rapid.SampledFrom([]int{0, 32, 128}).Draw(t, "room"),
		option:  rapid.SampledFrom([]int{1, 4, 0}).Draw(t, "option"),
		forone:  rapid.SampledFrom([]int{0, waitforone}).Draw(t, "forone"),
	}
}), 1, 12)

// A writer makes a script of choices.
type writer struct {
	kind      kind
	addresses bool // whether the script has calls with addresses

	// The following holds at the end of the script so far.

	peerGone bool // the peer is closed or reset
	urgent   bool // a call has sent out-of-band data
	asked    bool // a call is in the background
	sending  bool // the call in the background sends
}

// script returns the steps of a scenario. The timeouts are always set, so that no call
// blocks for ever. They are longer than a step takes.
func (w writer) script(cs []choice) []step {
	steps := []step{rcvtimeo(soon), sndtimeo(soon)}
	for _, c := range cs {
		steps = append(steps, w.steps(c)...)
		if w.asked {
			steps = append(steps, settled())
		}
	}
	if w.asked {
		steps = append(steps, finish())
	}
	return steps
}

// meanwhile is the timeout of a call in the background. It is longer than the steps
// during that call, because none of these steps waits.
const meanwhile = 400 * ms

// much is a number of bytes that a unix socket does not take at once.
const much = 300 << 10

// steps returns the steps of a choice, or none if the choice is impossible now.
func (w *writer) steps(c choice) []step {
	if w.asked {
		c.recv, c.send = dontwait, dontwait
	}
	switch c.what {
	case "recv":
		return []step{w.recv(c)}
	case "send":
		return []step{w.send(c)}
	case "begin recv":
		if w.asked { // of two calls the kernel may serve either first
			return nil
		}
		w.asked, w.sending = true, false
		return []step{rcvtimeo(meanwhile), begin(w.recv(c)), rcvtimeo(soon)}
	case "begin send":
		if w.asked || w.kind != unixes { // other kinds do not return how much, or do not block
			return nil
		}
		w.asked, w.sending = true, true
		return []step{sndtimeo(meanwhile), begin(sendN(much)), sndtimeo(soon)}
	case "send much":
		if w.asked || w.kind != unixes {
			return nil
		}
		return []step{sendN(much, c.send)}
	case "finish":
		if !w.asked {
			return nil
		}
		w.asked = false
		return []step{finish()}
	case "shutdown":
		return []step{shutdown(c.close)}
	case "SO_ERROR":
		return []step{soError()}
	case "SO_RCVLOWAT":
		if w.asked || w.kind.typ != unix.SOCK_STREAM {
			return nil
		}
		return []step{option(rcvlowat, c.option)}
	case "SO_PASSCRED":
		if w.asked || !w.unix() {
			return nil
		}
		return []step{option(passcred, min(c.option, 1))}
	}
	return w.peerSteps(c)
}

func (w *writer) peerSteps(c choice) []step {
	if w.peerGone {
		return nil
	}
	// While a send is blocked, the peer avoids two actions for which Weir's outcome is
	// known to differ. It does not take a part of the data. It does not shut its read
	// side, because Weir notices that later, perhaps after the next step.
	sending := w.asked && w.sending
	switch c.what {
	case "peer sends":
		return []step{peerTries(strings.Repeat("p", c.n), 0)}
	case "peer sends OOB":
		if w.kind.typ != unix.SOCK_STREAM {
			return nil
		}
		w.urgent = true
		return []step{peerTries(strings.Repeat("p", c.n), oob)}
	case "peer sends descriptors":
		if !w.unix() {
			return nil
		}
		return []step{peerTriesMsg(letter{parts: []string{strings.Repeat("p", max(c.n, 1))}, rights: 1})}
	case "peer gets":
		if sending {
			return nil
		}
		return []step{peerTakes(c.take)}
	case "peer shuts":
		if sending {
			c.close = unix.SHUT_WR
		}
		return []step{peerShutsIfItCan(c.close)}
	case "peer closes":
		w.peerGone = true
		return []step{peerCloses()}
	case "peer resets":
		w.peerGone = true
		return []step{peerResets()}
	}
	panic(c.what)
}

func (w *writer) recv(c choice) step {
	if w.addresses && c.address {
		return recvFrom(w.size(c), c.recv)
	}
	switch {
	case c.form == "recvmsg":
		return recvMsg([]int{w.size(c), 2}, c.room, c.recv)
	case c.form == "recvmmsg" && w.kind.typ == unix.SOCK_STREAM:
		return recvBatch(2, c.recv, c.forone)
	}
	return recv(w.size(c), c.recv)
}

func (w *writer) unix() bool { return w.kind == unixes || w.kind == seqpacket || w.kind == unixgram }

func (w *writer) send(c choice) step {
	data := strings.Repeat("s", c.n)
	if w.addresses && c.address {
		return sendTo("p", data, c.send)
	}
	return send(data, c.send)
}

// size returns the size for recv. In Linux 6.18, a peek of 0 bytes at an urgent byte of a
// unix socket never returns, even if the byte comes during the call.
func (w *writer) size(c choice) int {
	if w.kind == unixes && (w.urgent || c.recv&peek != 0) {
		return max(c.n, 1)
	}
	return c.n
}

// settled waits until the call in the background has done all that it can.
func settled() step {
	return step{name: "settled", act: func(w *world, _ endpoint) string {
		time.Sleep(2 * settling)
		for range 50 {
			if len(w.calls[0].done) > 0 || w.calls[0].blocked() {
				break
			}
			time.Sleep(time.Millisecond)
		}
		return ""
	}}
}

// peerTries sends, if the peer can send now.
func peerTries(data string, flags int) step {
	return byPeer("p", fmt.Sprintf("tries to send %q%s", data, flagNames(flags)), func(w *world, p *peer) string {
		n, errno := transfer(unix.SYS_SENDTO, p.fd, []byte(data), flags|unix.MSG_NOSIGNAL)
		p.settle()
		if errno != 0 {
			return "peer " + errnoName(errno)
		}
		return fmt.Sprintf("peer sent %d", n)
	})
}

// peerTriesMsg sends a message, if the peer can send now.
func peerTriesMsg(l letter) step {
	return byPeer("p", fmt.Sprintf("tries to send %v", l), func(w *world, p *peer) string {
		m := l.message(w)
		n, err := unix.SendmsgBuffers(p.fd, m.parts, m.control, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		p.settle()
		if err != nil {
			return "peer " + errnoName(errnoOf(err))
		}
		return fmt.Sprintf("peer sent %d", n)
	})
}

// peerTakes receives everything that has arrived.
func peerTakes(n int) step {
	return byPeer("p", fmt.Sprintf("takes %d", n), func(w *world, p *peer) string {
		p.settle()
		buf := make([]byte, n)
		got, errno := transfer(unix.SYS_RECVFROM, p.fd, buf, 0)
		return "peer " + received(buf[:got], got, errno)
	})
}

func peerShutsIfItCan(how int) step {
	return byPeer("p", fmt.Sprintf("tries to shut down %d", how), func(w *world, p *peer) string {
		err := unix.Shutdown(p.fd, how)
		p.settle()
		return "peer " + errnoName(errnoOf(err))
	})
}
