package agent

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"purser"
	"purser/api"
)

// entry is what the journal knows of a task.
type entry struct {
	Report      api.TaskReport `json:"report"`                // its state as it was last known
	Checkpoints string         `json:"checkpoints,omitempty"` // folder
}

// journal is the agent's memory over a crash. It holds the tasks that were begun
// and whose end the server has not acknowledged, and the ids of some that it has, so
// that an old order cannot begin them again.
type journal struct {
	path  string
	Lease purser.LeaseID          `json:"lease"`
	Tasks map[purser.TaskID]entry `json:"tasks"`
	Done  []purser.TaskID         `json:"done"` // the last maxDone
}

const maxDone = 4096

// openJournal reads the journal of dir, or begins one. One that cannot be read is
// an error: forgetting which tasks ran could run one twice.
func openJournal(dir string, lease purser.LeaseID) (*journal, error) {
	j := &journal{path: filepath.Join(dir, "journal.json"), Lease: lease, Tasks: map[purser.TaskID]entry{}}
	b, err := os.ReadFile(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err == nil {
		err = json.Unmarshal(b, j)
	}
	if err != nil {
		return nil, purser.Errorf(purser.KindInternal, "agent.journal", "the agent's journal cannot be read: %w", err)
	}
	if j.Lease != lease {
		return nil, purser.Errorf(purser.KindConflict, "agent.journal", "the folder belongs to lease %s, not to %s", j.Lease, lease)
	}
	if j.Tasks == nil {
		j.Tasks = map[purser.TaskID]entry{}
	}
	return j, nil
}

func (j *journal) begun(id purser.TaskID) bool {
	_, known := j.Tasks[id]
	return known || slices.Contains(j.Done, id)
}

// put writes down how a task stands.
func (j *journal) put(id purser.TaskID, e entry) error {
	j.Tasks[id] = e
	return j.save()
}

// done forgets all of the tasks but their ids.
func (j *journal) done(ids ...purser.TaskID) error {
	if len(ids) == 0 {
		return nil
	}
	for _, id := range ids {
		delete(j.Tasks, id)
		j.Done = append(j.Done, id)
	}
	if n := len(j.Done) - maxDone; n > 0 {
		j.Done = slices.Delete(j.Done, 0, n)
	}
	return j.save()
}

func (j *journal) save() error {
	b, err := json.Marshal(j)
	if err != nil {
		return purser.Wrap(purser.KindInternal, "agent.journal", err)
	}
	return purser.Wrap(purser.KindInternal, "agent.journal", writeAtomic(j.path, b, 0o600))
}

// writeAtomic replaces a file so that a crash leaves the old or the new one.
func writeAtomic(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
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
	return os.Rename(path+".new", path)
}

// secret reads the agent's secret, or chooses one: 32 random bytes in hex.
func secret(dir string) (string, error) {
	path := filepath.Join(dir, "secret")
	b, err := os.ReadFile(path)
	if err == nil && len(b) == 64 {
		return string(b), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", purser.Errorf(purser.KindInternal, "agent.secret", "the agent's secret cannot be read: %w", err)
	}
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	s := hex.EncodeToString(random)
	return s, purser.Wrap(purser.KindInternal, "agent.secret", writeAtomic(path, []byte(s), 0o600))
}
