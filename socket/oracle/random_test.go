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

// TestRandomScenarios makes up scripts. One on which the kernel and Weir
// disagree is reduced to the fewest steps that show it.
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
			r.Fatal("weir and the kernel disagree") // the same words each time, or it is another failure
		}
		t.Logf("weir and the kernel disagreed once, and not again:\n%s", d)
	})
}

func compared(t *testing.T, f fixture, steps []step) string {
	return disagreement(steps, play(t, kernel{}, f, steps), play(t, weir{}, f, steps))
}

// A choice is what is drawn for a step. What it leads to depends on the steps
// before; so each can be left out, and the rest still is a script.
type choice struct {
	what  string
	n     int // bytes of a small transfer
	take  int // that the peer takes
	recv  int // flags
	send  int // flags
	close int // how to shut down

	address bool // whether the call takes or gives an address, if there are any
	form    string
	room    int // for control messages
	option  int // SO_RCVLOWAT, or SO_PASSCRED
	forone  int // recvmmsg's flag, or none
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
	addresses bool // calls with addresses are among the script's

	// What is true at the script's end.

	peerGone bool // closed or reset
	urgent   bool // out-of-band data was sent
	asked    bool // a call is in the background
	sending  bool // it sends
}

// script is the steps of a scenario. Timeouts are on all the time, so that no
// call hangs; and they are longer than a step takes.
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

// meanwhile is the timeout of a call in the background: longer than the steps
// that are made meanwhile, none of which waits.
const meanwhile = 400 * ms

// much is more than a unix socket takes at once.
const much = 300 << 10

// steps is what a choice leads to: nothing if it cannot be.
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
		if w.asked { // the kernel may serve either of two first
			return nil
		}
		w.asked, w.sending = true, false
		return []step{rcvtimeo(meanwhile), begin(w.recv(c)), rcvtimeo(soon)}
	case "begin send":
		if w.asked || w.kind != unixes { // the others do not say how much, or not block
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
	// While a send is blocked, the peer does nothing of that of which Weir is
	// known to make something else: take a part; or shut its read side, of which
	// Weir learns later, perhaps after the next step.
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

// size is recv's. Peeking for nothing at an urgent byte of a unix socket never
// returns, in Linux 6.18, nor if the byte comes meanwhile.
func (w *writer) size(c choice) int {
	if w.kind == unixes && (w.urgent || c.recv&peek != 0) {
		return max(c.n, 1)
	}
	return c.n
}

// settled waits until the call in the background has done what it could.
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

// peerTries sends, if the state of things lets it.
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

// peerTriesMsg sends a message, if the state of things lets it.
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

// peerTakes receives what is there.
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
