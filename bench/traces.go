package bench

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"purser"
)

// pod is one pod of the Alibaba trace that asks for devices.
type pod struct {
	milliCPU, memoryMiB int64
	devices             purser.MilliDevices
}

// run is one job of the Philly trace.
type run struct {
	duration time.Duration
	devices  int
}

// share rounds a share of one device up to one that can be asked for.
func share(milli int64) purser.MilliDevices {
	for _, s := range []purser.MilliDevices{125, 250, 500} {
		if milli <= int64(s) {
			return s
		}
	}
	return purser.OneDevice
}

func readPods(dir string) ([]pod, error) {
	var pods []pod
	err := eachRow(filepath.Join(dir, "alibaba-gpu-v2023", "openb_pod_list_default.csv"), func(get func(string) (float64, error)) error {
		cpu, err1 := get("cpu_milli")
		mem, err2 := get("memory_mib")
		n, err3 := get("num_gpu")
		milli, err4 := get("gpu_milli")
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return err
		}
		p := pod{milliCPU: int64(cpu), memoryMiB: int64(mem)}
		switch {
		case n == 1:
			p.devices = share(int64(milli))
		case n > 1:
			p.devices = purser.MilliDevices(n) * purser.OneDevice
		}
		if p.devices > 0 {
			pods = append(pods, p)
		}
		return nil
	})
	return pods, err
}

func readRuns(dir string) ([]run, error) {
	var runs []run
	err := eachRow(filepath.Join(dir, "sia-sosp23", "philly.csv.gz"), func(get func(string) (float64, error)) error {
		seconds, err1 := get("duration")
		n, err2 := get("num_gpus")
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		d := time.Duration(seconds * float64(time.Second))
		runs = append(runs, run{duration: min(max(d, 10*time.Minute), 24*time.Hour), devices: max(1, int(n))})
		return nil
	})
	return runs, err
}

// eachRow reads a CSV file, gzipped when its name says so, and hands over each row
// as a reader of numbers by column name.
func eachRow(path string, row func(get func(column string) (float64, error)) error) error {
	f, err := os.Open(path)
	if err != nil {
		kind := purser.KindUnavailable
		if errors.Is(err, fs.ErrNotExist) {
			kind = purser.KindNotFound
		}
		return purser.Errorf(kind, "bench", "the trace %s cannot be read: %w", path, err)
	}
	defer func() { _ = f.Close() }()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(f)
		if err != nil {
			return purser.Errorf(purser.KindInvalid, "bench", "%s: %w", path, err)
		}
		r = z
	}
	c := csv.NewReader(r)
	c.ReuseRecord = true
	head, err := c.Read()
	if err != nil {
		return purser.Errorf(purser.KindInvalid, "bench", "%s has no head: %w", path, err)
	}
	at := map[string]int{}
	for i, name := range head {
		at[name] = i
	}
	for {
		rec, err := c.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = row(func(column string) (float64, error) {
				i, ok := at[column]
				if !ok {
					return 0, purser.Errorf(purser.KindInvalid, "bench", "there is no column %q", column)
				}
				return strconv.ParseFloat(rec[i], 64)
			})
		}
		if err != nil {
			line, _ := c.FieldPos(0)
			return purser.Errorf(purser.KindInvalid, "bench", "%s:%d: %w", path, line, err)
		}
	}
}
