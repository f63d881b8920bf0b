// Package loop runs an event loop: one goroutine that owns an epoll poller, a
// timing wheel and a queue of posted tasks.
//
// A Registration is one descriptor on a loop. It remembers in which directions
// the descriptor is ready, tells hooks of that, and counts the calls in progress,
// so that the number of a closed descriptor is not reused under a call. It comes
// in two further forms. A Handled is served by callbacks on the loop. A Blocking
// parks the goroutines whose calls must wait; it is for packages that implement
// blocking calls, as its example does.
//
// Calls park by two functions of the Go runtime, which are linked by name, as
// other network stacks do. The build tag weir_portable uses channels instead.
//
// # Concurrency
//
// All functions are concurrency-safe. The documentation of each type says whether its
// methods are, and in all of Weir the words mean:
//
//   - "It is concurrency-safe": any goroutine may call it at any time, also while other
//     calls are in progress. Of a type it holds for each method, unless the method says
//     otherwise.
//   - "It is for one goroutine at a time": the program serialises the calls.
//   - "Only the loop may call it": it is for code that runs on the loop's goroutine, such
//     as handlers, timers and posted tasks.
//   - "Only the call that has the turn may call it": after Begin and before End.
//
// # Timeouts
//
// A timeout is an argument of a call, a setting that holds for many calls, or a
// deadline. In all of Weir they mean:
//
//	                                                0          negative        positive
//	argument: Call.Timeout, Select, Selector.Wait   NoWait     Forever         at most so long
//	setting: SO_RCVTIMEO, a field (1)               no limit   an error (2)    at most so long
//	delay: AfterFunc, Timer.Reset                   at once    at once         after so long
//	deadline, a time.Time                           none       -               until then
//
// (1) Unless the comment of the field says otherwise: where 0 is a default, a
// negative value is no limit.
//
// (2) setsockopt(2) accepts a negative SO_RCVTIMEO, after which no call waits. So
// does package socket when a program sets the option by its name.
//
// A wait never ends early. It ends late by a tenth of a millisecond at most, plus
// the time that the loop and the scheduler are busy with other things. A call
// that does not wait makes its system call all the same: NoWait says that it
// returns ErrTimeout where it would park.
//
// # Glossary
//
//   - alone: a call waits alone if the loop's last events, more than 16 in succession,
//     were of its registration, each in a wait of its own, and the loop may not hold
//     its P. The call then does not wait by way of the loop. It parks in a spot, or it
//     takes a seat and blocks its own thread, with or without trying its system call
//     for a while before. Options.NoAlone forbids it.
//   - armed: a timer is armed for a moment if it is in the wheel for it. A gate is
//     armed if the next Wake counts.
//   - backlog: the number of goroutines that the loop has woken or started and
//     that have not run since. While there are any and the loop may hold its P, the
//     loop yields to them and polls, instead of sleeping. The goroutines of a loop that
//     may not hold its P run on while it sleeps.
//   - bell: what wakes a call that waits alone: the eventfd of its seat, or the
//     deadline of its spot.
//   - direction: reading or writing: Read, Write. Calls take turns by direction.
//   - doubt: what is known of a condition is in doubt if only the kernel can tell
//     whether it holds. Look says Doubtful then.
//   - edge: epoll reports a condition when it arises (edge-triggered), and not for
//     as long as it holds.
//   - event: what the kernel reports of one descriptor: a poller.Event.
//   - gate: parks a goroutine that waits for many registrations at once.
//   - handler: the callbacks of a Handled registration.
//   - hold: the loop holds its P if it polls for events instead of parking, so that
//     the scheduler cannot give the P to another goroutine. Options.Hold says whether
//     it may; by default it may while GOMAXPROCS is 1. A loop of the poller.Blocking
//     strategy does not park, and always may.
//   - hook: hangs an observer on a registration, which then tells the observer of
//     its events.
//   - inquiry: asks the kernel about many registrations at once.
//   - interest: the set of conditions of which an observer is told: Readable,
//     Writable, Exceptional. They are select(2)'s conditions, and the root
//     package's Select has them from here.
//   - key: names a registration in epoll's data: the index of its slot in the
//     loop's table, and the slot's generation. A stale event has an old generation.
//   - linger: a goroutine lingers if it waits for the next request of a registration
//     that is alone, before it leaves the registration to its hooks.
//   - lookout: decides when a loop whose handlers compute looks for loops that sleep
//     over events.
//   - mark: the ready bit of a direction. While the mark is set a system call may
//     succeed; while it is clear the call would return EAGAIN. An event sets the
//     mark, and a call clears it before its system call.
//   - nap: the short sleep of a loop at the beginning of a turn while goroutines starve.
//   - poke: asks for one call of a handler in the loop's next turn.
//   - probe: one question of an inquiry that is in progress.
//   - readiness: epoll's own bits, asked for or reported: poller.Readiness, with
//     poller.Readable and so on. A registration translates them into marks.
//   - receiver: the call that waits in Receive. The loop makes its system call.
//   - registration: one descriptor on a loop.
//   - seat: the right of one thread to block in ppoll(2) for a call that waits alone
//     or lingers. A process has one for each two of its Ps, and no more than eight.
//   - spot: a duplicate of the descriptor of a registration that is alone, which the Go
//     runtime watches. A loop has one at most.
//   - starve: goroutines starve if they have not run for at least half a millisecond
//     after a loop has woken them. Their thread may have lost its processor.
//   - sure: a mark is sure if it needs no check: the kernel has reported the
//     readiness, and no call since could have used it up. Look says Ready then.
//   - stamp: the number of the loop's wait during which the last call of a
//     direction ended. Events of the same wait may be older than the call.
//   - task: a function that was posted to a loop.
//   - thrift: measures in which of the three ways the calls of a loop that wait alone
//     cost least: parked in a spot, in a seat, or polling and then in a seat.
//   - turn: (1) of a loop: one round of wait, pokes, events, timers, tasks and the
//     functions of AtTurnEnd. (2) of a call: the right to make system calls in one
//     direction of a Blocking. One call at a time has the turn; the others queue.
//   - turn's end: the last part of a loop's turn, in which the loop calls what
//     AtTurnEnd has gathered, such as the flush of output that was written during the
//     turn. The loop asks the kernel for events only afterwards.
//   - wait: (1) one call of the poller's Wait; the loop numbers them. (2) the time
//     for which a call is parked.
//   - waiter: one parked goroutine.
//   - watch: the kernel watches a direction if it reports every edge of it.
package loop
