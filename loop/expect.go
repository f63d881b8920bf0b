package loop

// Expect tells the policy LeastRegistered of n more descriptors, or with a
// negative n fewer, that were given to the loop and are not registered yet. A
// server that accepts many connections in one turn of a loop spreads them with
// its help over the loops that will register them later.
func (l *Loop) Expect(n int) { l.expected.Add(int64(n)) }

// load returns how many descriptors the loop has or will have.
func (l *Loop) load() int { return l.Registered() + int(l.expected.Load()) }
