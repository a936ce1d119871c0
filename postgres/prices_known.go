package postgres

import (
	"sync"
	"time"

	"purser"
)

// offerKeys remembers the keys of offers. Offers are never deleted and their keys
// never change, so what is known stays true whatever other servers do.
type offerKeys struct {
	mu   sync.RWMutex
	keys map[purser.OfferID]int32
}

// get is 0 for an offer that is not known here.
func (k *offerKeys) get(id purser.OfferID) int32 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.keys[id]
}

func (k *offerKeys) add(fresh map[purser.OfferID]int32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		k.keys = map[purser.OfferID]int32{}
	}
	for id, key := range fresh {
		k.keys[id] = key
	}
}

// months remembers which months' partitions are there. Only whole months that lie
// before the newest kept one are dropped, and points are not written to them again.
type months struct {
	mu   sync.RWMutex
	seen map[time.Time]bool
}

func (m *months) has(t time.Time) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.seen[t]
}

func (m *months) add(list []time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen == nil {
		m.seen = map[time.Time]bool{}
	}
	for _, t := range list {
		m.seen[t] = true
	}
}

func (m *months) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.seen)
}
