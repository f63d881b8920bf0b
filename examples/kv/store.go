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

// A store is the keys and their values. It is divided into shards by a hash of
// the key, each with a lock of its own, so that the loops seldom meet. A
// command on many keys holds the locks of all their shards while it runs: it is
// atomic, as in a server of one thread.
type store struct {
	seed   maphash.Seed
	clock  func() time.Duration // monotonic
	limit  int64                // of used, in bytes
	used   atomic.Int64
	struck atomic.Uint64 // keys that expired so far
	shards [shardCount]shard
}

// shardCount makes a set of shards fit into a word.
const shardCount = 64

type shard struct {
	mu      sync.Mutex
	entries map[string]*entry
	loop    *loop.Loop // has the timers of its keys
}

// An entry is a key. Its shard's lock guards it.
type entry struct {
	key     string
	value   []byte
	expires time.Duration // on the store's clock; 0 is never
	timer   *loop.Timer   // nil until the key is to expire for the first time
}

// What a key takes beside its bytes and its value's: the entry and the map's
// slot, of which a quarter or so is free; and its timer with the function.
const (
	entryCost = int64(unsafe.Sizeof(entry{})) + int64(unsafe.Sizeof("")+unsafe.Sizeof(&entry{}))*4/3
	timerCost = int64(unsafe.Sizeof(loop.Timer{})) + 4*int64(unsafe.Sizeof(&entry{}))
)

// newStore makes a store of so many bytes at most, whose timers are on the
// loops.
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

// lock is the key's shard, locked.
func (s *store) lock(key []byte) *shard {
	sh := &s.shards[s.index(key)]
	sh.mu.Lock()
	return sh
}

// A shardSet is some of the shards, a bit for each.
type shardSet uint64

const allShards = ^shardSet(0)

// setOf is the shards of every step-th argument.
func (s *store) setOf(keys [][]byte, step int) (set shardSet) {
	for i := 0; i < len(keys); i += step {
		set |= 1 << s.index(keys[i])
	}
	return set
}

// lockAll locks the shards of a set, always in the same order, so that two of
// those who do it cannot wait for each other.
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

// What follows needs the shard's lock.

// lookup is the key's entry, or nil. A key whose time has come is gone, whether
// or not its timer has struck.
func (s *store) lookup(sh *shard, key []byte) *entry {
	e := sh.entries[string(key)]
	if e != nil && e.expires != 0 && s.clock() >= e.expires {
		s.struck.Add(1)
		s.remove(sh, e)
		return nil
	}
	return e
}

// find is lookup in the shard of the key, which is locked.
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

// growth is how much memory put would take.
func (s *store) growth(e *entry, key, value []byte) int64 {
	if e == nil {
		return entryCost + int64(len(key)+len(value))
	}
	if fits(e.value, len(value)) {
		return 0
	}
	return int64(len(value) - cap(e.value))
}

// fits reports whether n bytes fit into the memory of a value, without wasting
// most of it.
func fits(value []byte, n int) bool { return n <= cap(value) && cap(value) <= 2*n+64 }

// reserve counts memory that is about to be used, unless it is too much.
func (s *store) reserve(n int64) bool {
	if s.used.Add(n) > s.limit && n > 0 {
		s.used.Add(-n)
		return false
	}
	return true
}

// put gives a key its value, for which memory was reserved. The entry is the
// key's, or nil; its expiry stays.
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

// expireIn has a key expire when d has passed.
func (s *store) expireIn(sh *shard, e *entry, d time.Duration) {
	e.expires = s.clock() + d
	if e.timer != nil {
		e.timer.Reset(d)
		return
	}
	timer, err := sh.loop.AfterFunc(d, func() { s.strike(sh, e) })
	if err != nil {
		return // the server has ended
	}
	e.timer = timer
	s.used.Add(timerCost)
}

// persist has a key not expire any more.
func (s *store) persist(e *entry) {
	e.expires = 0
	if e.timer != nil {
		e.timer.Stop()
	}
}

// strike is called, without a lock, when a key's timer has struck. Meanwhile
// the key may have got more time, or be another one.
func (s *store) strike(sh *shard, e *entry) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.entries[e.key] == e && e.expires != 0 && s.clock() >= e.expires {
		s.struck.Add(1)
		s.remove(sh, e)
	}
}

// The following lock by themselves.

// size is how many keys there are. Those whose time came in this moment may be
// among them until their timers strike.
func (s *store) size() (n int) {
	s.lockAll(allShards)
	defer s.unlockAll(allShards)
	for i := range s.shards {
		n += len(s.shards[i].entries)
	}
	return n
}

// clear removes all keys at once. What that takes longer for happens later.
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
