package fake

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"purser"
)

// state is what a cloud that is a process of its own must not forget.
type state struct {
	Version  int               `json:"version"`
	Since    time.Time         `json:"since"` // the cloud's beginning: trace and prices count from it
	Made     uint64            `json:"made"`
	Machines []*machine        `json:"machines"`
	Noticed  uint64            `json:"noticed"`
	Notices  []notice          `json:"notices"`
	Disks    []disk            `json:"disks"`
	Calls    map[string]uint64 `json:"calls"` // made so far, by name

	// Where the market went from Config: by rows of the trace up to Row, and by knobs.
	Row     int                `json:"row"`
	Supply  map[string]int     `json:"supply"`
	Hazards map[string]float64 `json:"hazards"`
	Quotas  []purser.Quota     `json:"quotas"`
	Risked  map[string]float64 `json:"risked"` // the hazards that machines ran at, whoever set them
}

const stateVersion = 1

// Open makes a cloud that keeps its state in a file, and finds there the machines of the
// process before it, its notices, and where trace and knobs have brought the market. The
// rest is as Config says now. One process at a time may have a file open. A file that
// cannot be read or understood is invalid, one that cannot be written is unavailable.
func Open(c Config, file string) (*Cloud, error) {
	cloud := New(c)
	cloud.file, cloud.dirty = file, true
	b, err := os.ReadFile(file) //nolint:gosec // the operator names it
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err == nil:
		if err := cloud.load(b); err != nil {
			return nil, err
		}
	default:
		return nil, &purser.Error{Kind: purser.KindInvalid, Op: "fake.Open", Message: "the cloud's state cannot be read", Place: &purser.Place{File: file}, Cause: err}
	}
	if err := cloud.save(); err != nil {
		return nil, err
	}
	return cloud, nil
}

// begin gives a new cloud its state.
func (c *Cloud) begin() {
	c.state = state{
		Version: stateVersion, Since: c.config.Now().UTC(), Calls: map[string]uint64{},
		Supply: map[string]int{}, Hazards: map[string]float64{},
	}
}

func (c *Cloud) load(b []byte) error {
	s := state{Calls: map[string]uint64{}, Supply: map[string]int{}, Hazards: map[string]float64{}}
	err := json.Unmarshal(b, &s)
	if err == nil && s.Version != stateVersion {
		err = purser.Errorf(purser.KindInvalid, "fake.Open", "its version is %d, and this program knows %d", s.Version, stateVersion)
	}
	if err == nil && (slices.Contains(s.Machines, nil) || s.Calls == nil || s.Supply == nil || s.Hazards == nil) {
		err = purser.Errorf(purser.KindInvalid, "fake.Open", "parts of it are missing")
	}
	if err != nil {
		return &purser.Error{
			Kind: purser.KindInvalid, Op: "fake.Open", Message: "the cloud's state cannot be understood", Hint: "name another file, or begin anew by removing this one",
			Place: &purser.Place{File: c.file}, Cause: err,
		}
	}
	c.state = s
	for _, m := range s.Machines {
		if c.config.Hardware == nil {
			m.Boot, m.Booted = nil, false
		}
		if !m.Closed {
			c.open = append(c.open, m)
		}
	}
	for key, n := range maps.Clone(s.Supply) {
		c.setSupply(key, n)
	}
	for _, q := range s.Quotas {
		c.config.Quotas = withQuota(c.config.Quotas, q)
	}
	// What was risked until now was risked at the hazards of the process before.
	c.hazards, s.Risked = s.Risked, c.hazards
	c.settle(c.config.Now())
	c.hazards = s.Risked
	maps.Copy(c.hazards, s.Hazards)
	return nil
}

// save writes the state down, whole or not at all, if it has changed.
func (c *Cloud) save() error {
	if !c.dirty || c.file == "" {
		return nil
	}
	c.state.Risked = c.hazards
	b, err := json.MarshalIndent(c.state, "", " ")
	if err == nil {
		err = writeFile(c.file, append(b, '\n'))
	}
	if err != nil {
		return &purser.Error{Kind: purser.KindUnavailable, Op: "fake.save", Message: "the cloud's state cannot be written down", Place: &purser.Place{File: c.file}, Cause: err}
	}
	c.dirty = false
	return nil
}

// forget drops machines that have been gone for long.
func (c *Cloud) forget(now time.Time) {
	if c.config.Remember <= 0 {
		return
	}
	kept := len(c.state.Machines)
	c.state.Machines = slices.DeleteFunc(c.state.Machines, func(m *machine) bool {
		return m.Closed && now.Sub(m.GoneAt) > c.config.Remember
	})
	c.dirty = c.dirty || kept != len(c.state.Machines)
}

// writeFile replaces a file that only this user may read, so that it is there, old or
// new, whatever happens meanwhile.
func writeFile(path string, data []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // the operator names it
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
