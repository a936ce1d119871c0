package bench

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"purser"
	"purser/policy"
)

// Private is the material of experiment E6 (a), read once.
type Private struct {
	list     string // of the pods
	machines []policy.Room
	needs    []policy.Need // of the pods, each kind once
	pods     []int         // the need of each pod
	types    []machineType // that the cloud sells
}

// ReadPrivate reads the machines with devices, a list of pods (default, gpuspec33,
// multigpu50) and a catalogue below dir:
//
//	alibaba-gpu-v2023/openb_node_list_gpu_node.csv
//	alibaba-gpu-v2023/openb_pod_list_<list>.csv
//	eva-eurosys25/ec2_config.json
func ReadPrivate(dir, list string) (*Private, error) {
	p := &Private{list: list}
	folder := filepath.Join(dir, "alibaba-gpu-v2023")
	if err := p.readMachines(filepath.Join(folder, "openb_node_list_gpu_node.csv")); err != nil {
		return nil, err
	}
	if err := p.readPods(filepath.Join(folder, "openb_pod_list_"+filepath.Base(list)+".csv")); err != nil {
		return nil, err
	}
	err := eachMember(filepath.Join(dir, evaFolder, strings.Fields(evaCatalogues)[0]+".json"), "instance_types", func(name string, value json.RawMessage) error {
		t, err := evaType(name, value)
		p.types = append(p.types, t)
		return err
	})
	return p, err
}

func (p *Private) readMachines(path string) error {
	err := eachOpenb(path, func(r *openbRow) error {
		s := purser.Shape{
			Accelerator: r.text("model"), Devices: purser.MilliDevices(r.number("gpu", 0, maxDevices)) * purser.OneDevice,
			MilliCPU: r.number("cpu_milli", 0, maxSize), MemoryMiB: r.number("memory_mib", 0, maxSize),
		}
		p.machines = append(p.machines, policy.RoomOf(s))
		return nil
	})
	if err == nil && p.capacity() == 0 {
		err = purser.Errorf(purser.KindInvalid, "bench", "%s: no machine has a device", path)
	}
	return err
}

// capacity is all devices of all machines, in thousandths.
func (p *Private) capacity() (sum purser.MilliDevices) {
	for _, m := range p.machines {
		sum += purser.MilliDevices(len(m.Devices)) * purser.OneDevice
	}
	return sum
}

func (p *Private) readPods(path string) error {
	at := map[string]int{}
	var asked purser.MilliDevices
	err := eachOpenb(path, func(r *openbRow) error {
		n, err := r.need()
		if err != nil {
			return err
		}
		key := fmt.Sprint(n)
		if _, ok := at[key]; !ok {
			at[key] = len(p.needs)
			p.needs = append(p.needs, n)
		}
		p.pods = append(p.pods, at[key])
		asked += n.Devices
		return nil
	})
	if err == nil && asked == 0 {
		err = purser.Errorf(purser.KindInvalid, "bench", "%s: no pod asks for a device", path)
	}
	return err
}

// What no machine and no pod has more of: devices, and milli-CPU or MiB.
const (
	maxDevices = 64
	maxSize    = 1 << 30
)

// openbRow is a row of one of the trace's files. The first thing wrong with it is kept.
type openbRow struct {
	at    map[string]int
	cells []string
	err   error
}

// text is a column's text, "" where the file has no such column.
func (r *openbRow) text(column string) string {
	if i, ok := r.at[column]; ok {
		return strings.TrimSpace(r.cells[i])
	}
	return ""
}

// number is a column's whole number, which must be there.
func (r *openbRow) number(column string, least, most int64) int64 {
	v, err := strconv.ParseInt(r.text(column), 10, 64)
	if (err != nil || v < least || v > most) && r.err == nil {
		r.err = fmt.Errorf("column %s has %q, not a whole number from %d to %d", column, r.text(column), least, most)
	}
	return v
}

func (r *openbRow) need() (policy.Need, error) {
	s := purser.Shape{MilliCPU: r.number("cpu_milli", 0, maxSize), MemoryMiB: r.number("memory_mib", 0, maxSize)}
	count, share := r.number("num_gpu", 0, maxDevices), r.number("gpu_milli", 0, int64(purser.OneDevice))
	if count == 0 {
		return policy.NeedOf(s), nil
	}
	if share == 0 || count > 1 && share != int64(purser.OneDevice) {
		return policy.Need{}, fmt.Errorf("%d devices of %d thousandths each are neither whole ones nor a share of one", count, share)
	}
	s.Devices = purser.MilliDevices(count * share)
	n := policy.NeedOf(s)
	if models := r.text("gpu_spec"); models != "" {
		n.Accelerators = slices.Compact(slices.Sorted(strings.SplitSeq(models, "|")))
	}
	return n, nil
}

// eachOpenb reads a CSV file with a head and hands over its rows.
func eachOpenb(path string, row func(*openbRow) error) error {
	f, err := os.Open(path) //nolint:gosec // the folder is the caller's
	if err != nil {
		kind := purser.KindUnavailable
		if errors.Is(err, fs.ErrNotExist) {
			kind = purser.KindNotFound
		}
		return purser.Errorf(kind, "bench", "the trace %s cannot be read: %w", path, err)
	}
	defer func() { _ = f.Close() }()
	c := csv.NewReader(f)
	head, err := c.Read()
	if err != nil {
		return purser.Errorf(purser.KindInvalid, "bench", "%s:1: there is no head: %w", path, err)
	}
	at := map[string]int{}
	for i, name := range head {
		at[strings.TrimSpace(name)] = i
	}
	for {
		cells, err := c.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			r := openbRow{at: at, cells: cells}
			err = row(&r)
			err = errors.Join(r.err, err)
		}
		if err != nil {
			var line int
			if bad, ok := errors.AsType[*csv.ParseError](err); ok {
				line = bad.Line
			} else {
				line, _ = c.FieldPos(0)
			}
			return purser.Errorf(purser.KindInvalid, "bench", "%s:%d: %w", path, line, err)
		}
	}
}
