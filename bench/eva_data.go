package bench

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"purser"
)

// evaFolder and evaCatalogues name the data of the experiment E1: the tasks of Eva
// (Chang et al., EuroSys'25), and AWS types with a vCPU counted as half a core and as
// a whole one.
const (
	evaFolder     = "eva-eurosys25"
	evaTasks      = "pai_200.json"
	evaCatalogues = "ec2_config ec2_config_virt"
)

// evaFamily is the one family of the catalogues that has devices, and evaDevice what
// they are.
const (
	evaFamily = "p3"
	evaDevice = "V100-16GB"
)

// evaAny is the demand of a task on every family.
const evaAny = "any"

// eachMember reads a JSON file and hands over the members of its object, or of the
// one object that it has under a name. What is wrong is said with the line of the
// member.
func eachMember(path, under string, member func(name string, value json.RawMessage) error) error {
	b, err := os.ReadFile(path)
	if err != nil {
		kind := purser.KindUnavailable
		if errors.Is(err, fs.ErrNotExist) {
			kind = purser.KindNotFound
		}
		return purser.Errorf(kind, "bench", "the trace %s cannot be read: %w", path, err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	at := int64(0)
	walk := func() error {
		if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
			return cmp.Or(err, errors.New("this is not a JSON object"))
		}
		seen := map[string]bool{}
		for dec.More() {
			key, err := dec.Token()
			at = dec.InputOffset()
			if err != nil {
				return err
			}
			name := fmt.Sprint(key)
			if seen[name] {
				return fmt.Errorf("%q is given twice", name)
			}
			seen[name] = true
			var value json.RawMessage
			if err := dec.Decode(&value); err != nil {
				return err
			}
			if err := member(name, value); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		if len(seen) == 0 {
			return errors.New("there is nothing in it")
		}
		_, err := dec.Token()
		return err
	}
	err = walkTo(dec, under, &at)
	if err == nil {
		err = walk()
	}
	if err != nil {
		line := 1 + bytes.Count(b[:at], []byte("\n"))
		return purser.Errorf(purser.KindInvalid, "bench", "%s:%d: %w", path, line, err)
	}
	return nil
}

// walkTo leaves the decoder in front of the member under a name; "" is the whole.
func walkTo(dec *json.Decoder, under string, at *int64) error {
	if under == "" {
		return nil
	}
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return cmp.Or(err, errors.New("this is not a JSON object"))
	}
	for dec.More() {
		key, err := dec.Token()
		*at = dec.InputOffset()
		if err != nil || key == under {
			return err
		}
		var skip json.RawMessage
		if err := dec.Decode(&skip); err != nil {
			return err
		}
	}
	return fmt.Errorf("there is no %q", under)
}

// maxAmount is above what any machine has of anything.
const maxAmount = 1 << 20

func (a amount) believable() bool {
	return min(a[0], a[1], a[2]) >= 0 && max(a[0], a[1], a[2]) <= maxAmount && a != amount{}
}

// readEva reads one catalogue and the tasks.
func readEva(dir, catalogue string) (*packCase, error) {
	var c packCase
	err := eachMember(filepath.Join(dir, evaFolder, catalogue+".json"), "instance_types", func(name string, value json.RawMessage) error {
		t, err := evaType(name, value)
		c.types = append(c.types, t)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(c.types, func(a, b machineType) int { return cmp.Or(cmp.Compare(b.price, a.price), cmp.Compare(a.name, b.name)) })
	path := filepath.Join(dir, evaFolder, evaTasks)
	err = eachMember(path, "", func(job string, value json.RawMessage) error {
		tasks, err := evaJob(job, value)
		c.tasks = append(c.tasks, tasks...)
		return err
	})
	if err != nil {
		return nil, err
	}
	// Jobs are numbered: 9 goes before 10.
	slices.SortStableFunc(c.tasks, func(a, b packTask) int { return cmp.Or(cmp.Compare(len(a.job), len(b.job)), cmp.Compare(a.job, b.job)) })
	if err := c.hopeless(); err != nil {
		return nil, purser.Errorf(purser.KindInvalid, "bench", "%s: %w", path, err)
	}
	return &c, nil
}

func evaType(name string, value json.RawMessage) (machineType, error) {
	var t struct {
		Capacity json.RawMessage
		Cost     json.Number
		Family   string
	}
	if err := json.Unmarshal(value, &t); err != nil {
		return machineType{}, err
	}
	price, err := purser.ParseUSDPerHour(t.Cost.String())
	if err != nil {
		return machineType{}, err
	}
	m := machineType{name: name, family: t.Family, price: price}
	if err := threeNumbers(t.Capacity, &m.room); err != nil {
		return m, err
	}
	switch {
	case price <= 0 || !m.room.believable():
		return m, errors.New("price and capacity must be above 0")
	case (m.room[0] > 0) != (m.family == evaFamily):
		return m, fmt.Errorf("it is not known which devices the family %q has", m.family)
	}
	return m, nil
}

func evaJob(job string, value json.RawMessage) ([]packTask, error) {
	var j struct {
		Duration float64
		Tasks    map[string]struct{ Demand map[string]json.RawMessage }
	}
	if err := json.Unmarshal(value, &j); err != nil {
		return nil, err
	}
	if !(j.Duration > 0) || len(j.Tasks) == 0 {
		return nil, errors.New("a job has a duration above 0 and at least one task")
	}
	var out []packTask
	for name, t := range j.Tasks {
		var need amount
		raw, ok := t.Demand[evaAny]
		if !ok || len(t.Demand) != 1 {
			return nil, fmt.Errorf("task %s: a demand is one for %q family; those that differ by family cannot be planned yet", name, evaAny)
		}
		if err := threeNumbers(raw, &need); err != nil {
			return nil, err
		}
		if !need.believable() {
			return nil, fmt.Errorf("task %s: a demand of %v cannot be", name, need)
		}
		out = append(out, packTask{job: job, name: name, need: need, seconds: j.Duration})
	}
	slices.SortFunc(out, func(a, b packTask) int { return cmp.Compare(a.name, b.name) })
	return out, nil
}

// threeNumbers decodes an amount; encoding/json would fill up a shorter array.
func threeNumbers(raw json.RawMessage, a *amount) error {
	var list []int64
	if err := json.Unmarshal(raw, &list); err != nil || len(list) != len(a) {
		return cmp.Or(err, errors.New("devices, vCPUs and GiB are three whole numbers"))
	}
	copy(a[:], list)
	return nil
}
