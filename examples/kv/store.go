package main

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/seed-2334f180/weir/loop"
)

// A store has the keys and their values. It is divided into shards by a hash of
// the key. Each shard has a lock, so that the loops seldom wait for each other. A
// command on many keys holds the locks of all their shards while it runs, so it is
// atomic, as in a server of one thread.
type store struct {
	seed    maphash.Seed
	clock   func() time.Duration // monotonic
	limit   int64                // the most bytes of used
	used    atomic.Int64
	expired atomic.Uint64 // keys that expired so far
	shards  [shardCount]shard
}

// shardCount makes a set of shards fit into a word.
const shardCount = 64

type shard struct {
	mu      sync.Mutex
	entries map[string]*entry
	loop    *loop.Loop // its keys' timers are there
}

// An entry is a key. Its shard's lock guards it.
type entry struct {
	key     string
	value   []byte
	expires time.Duration // on the store's clock; 0 is never
	timer   *loop.Timer   // nil until the key is to expire for the first time
}

// The memory of a key beside its own bytes and its value's: the entry and the
// map's slot (about a quarter of the slots is free); the timer and its function.
const (
	entryCost = int64(unsafe.Sizeof(entry{})) + int64(unsafe.Sizeof("")+unsafe.Sizeof(&entry{}))*4/3
	timerCost = int64(unsafe.Sizeof(loop.Timer{})) + 4*int64(unsafe.Sizeof(&entry{}))
)

// newStore makes a store of at most limit bytes. Its timers are on the loops.
func newStore(limit int64, loops []*loop.Loop) *store {
	begun := time.Now()
	s := &store{
		seed:  maphash.MakeSeed(),
		clock: func() time.Duration { return time.Since(begun) },
		limit: limit,
	}
	for i := range s.shards {
		s.shards[i].entries = make(map[string]*entry)
		s.shards[i].loop = loops[i%len(loops)]
	}
	return s
}

func (s *store) index(key []byte) int {
	return int(maphash.Bytes(s.seed, key) % shardCount)
}

// lock locks the key's shard and returns it.
func (s *store) lock(key []byte) *shard {
	sh := &s.shards[s.index(key)]
	sh.mu.Lock()
	return sh
}

// A shardSet is some of the shards, a bit for each.
type shardSet uint64

const allShards = ^shardSet(0)

// setOf returns the shards of every step-th argument.
func (s *store) setOf(keys [][]byte, step int) (set shardSet) {
	for i := 0; i < len(keys); i += step {
		set |= 1 << s.index(keys[i])
	}
	return set
}

// lockAll locks the shards of a set, always in the same order, so that two
// goroutines cannot wait for each other.
func (s *store) lockAll(set shardSet) {
	for ; set != 0; set &= set - 1 {
		s.shards[bits.TrailingZeros64(uint64(set))].mu.Lock()
	}
}

func (s *store) unlockAll(set shardSet) {
	for ; set != 0; set &= set - 1 {
		s.shards[bits.TrailingZeros64(uint64(set))].mu.Unlock()
	}
}

// The caller of the methods that follow holds the shard's lock.

// lookup returns the key's entry, or nil. It removes a key whose time has come but
// whose timer has not fired yet.
func (s *store) lookup(sh *shard, key []byte) *entry {
	e := sh.entries[string(key)]
	if e != nil && e.expires != 0 && s.clock() >= e.expires {
		s.expired.Add(1)
		s.remove(sh, e)
		return nil
	}
	return e
}

// find is lookup in the key's shard.
func (s *store) find(key []byte) *entry {
	return s.lookup(&s.shards[s.index(key)], key)
}

func (s *store) remove(sh *shard, e *entry) {
	delete(sh.entries, e.key)
	cost := entryCost + int64(len(e.key)+cap(e.value))
	if e.timer != nil {
		e.timer.Stop()
		cost += timerCost
	}
	s.used.Add(-cost)
}

// growth returns how many bytes more put would use.
func (s *store) growth(e *entry, key, value []byte) int64 {
	if e == nil {
		return entryCost + int64(len(key)+len(value))
	}
	if fits(e.value, len(value)) {
		return 0
	}
	return int64(len(value) - cap(e.value))
}

// fits reports whether n bytes fit into the memory of a value, and use most of
// it.
func fits(value []byte, n int) bool { return n <= cap(value) && cap(value) <= 2*n+64 }

// reserve counts n bytes that are about to be used. It returns false, and counts
// nothing, if they are too many.
func (s *store) reserve(n int64) bool {
	if s.used.Add(n) > s.limit && n > 0 {
		s.used.Add(-n)
		return false
	}
	return true
}

// put sets the value of a key. The caller has reserved the memory. e is the key's
// entry, or nil. The time when the key expires stays.
func (s *store) put(sh *shard, e *entry, key, value []byte) *entry {
	if e == nil {
		e = &entry{key: string(key)}
		sh.entries[e.key] = e
	}
	if !fits(e.value, len(value)) {
		// Append would round up, and copy what is overwritten.
		e.value = make([]byte, 0, len(value))
	}
	e.value = append(e.value[:0], value...)
	return e
}

// expireIn makes a key expire when d has passed.
func (s *store) expireIn(sh *shard, e *entry, d time.Duration) {
	e.expires = s.clock() + d
	if e.timer != nil {
		e.timer.Reset(d)
		return
	}
	timer, err := sh.loop.AfterFunc(d, func() { s.timeUp(sh, e) })
	if err != nil {
		return // the server has ended
	}
	e.timer = timer
	s.used.Add(timerCost)
}

// persist makes a key that does not expire.
func (s *store) persist(e *entry) {
	e.expires = 0
	if e.timer != nil {
		e.timer.Stop()
	}
}

// timeUp is called, without a lock, when a key's timer has fired. Meanwhile the key
// may have got more time, or another entry.
func (s *store) timeUp(sh *shard, e *entry) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.entries[e.key] == e && e.expires != 0 && s.clock() >= e.expires {
		s.expired.Add(1)
		s.remove(sh, e)
	}
}

// The methods that follow take the locks.

// size returns the number of keys. It counts a key whose time has just come until
// its timer fires.
func (s *store) size() (n int) {
	s.lockAll(allShards)
	defer s.unlockAll(allShards)
	for i := range s.shards {
		n += len(s.shards[i].entries)
	}
	return n
}

// clear removes all keys at once. It stops their timers later, which takes longer.
func (s *store) clear() {
	var old [shardCount]map[string]*entry
	s.lockAll(allShards)
	for i := range s.shards {
		old[i] = s.shards[i].entries
		s.shards[i].entries = make(map[string]*entry)
	}
	s.used.Store(0)
	s.unlockAll(allShards)
	go func() {
		for _, entries := range old {
			for _, e := range entries {
				if e.timer != nil {
					e.timer.Stop()
				}
			}
		}
	}()
}
