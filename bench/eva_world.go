package bench

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"purser"
	"purser/simulator"
)

// evaRound is how often the schedulers of Eva's experiments plan.
const evaRound = 300 * time.Second

// evaUnknown is what the authors take where their matrix has an "x": 0.95.
const evaUnknown = 0.95

// readEvaWorld reads the jobs of a trace as they arrive, one catalogue with its
// delays, and how the programs slow one another.
func readEvaWorld(dir, catalogue string) (simulator.World, error) {
	w := simulator.World{Round: evaRound}
	var err error
	if w.Offers, err = evaOffers(dir, catalogue); err != nil {
		return w, err
	}
	if w.Slow, err = evaSlow(dir); err != nil {
		return w, err
	}
	path := filepath.Join(dir, evaFolder, evaTasks)
	type numbered struct {
		key string
		job simulator.Job
	}
	var jobs []numbered
	err = eachMember(path, "", func(key string, value json.RawMessage) error {
		j, err := evaArrival(key, value)
		jobs = append(jobs, numbered{key, j})
		return err
	})
	if err != nil {
		return w, err
	}
	slices.SortStableFunc(jobs, func(a, b numbered) int {
		return cmp.Or(cmp.Compare(a.job.Arrives, b.job.Arrives), cmp.Compare(len(a.key), len(b.key)), cmp.Compare(a.key, b.key))
	})
	for _, j := range jobs {
		w.Jobs = append(w.Jobs, j.job)
	}
	return w, nil
}

// evaOffers reads a catalogue with its delays, in the order of its names.
func evaOffers(dir, catalogue string) ([]simulator.Offer, error) {
	var out []simulator.Offer
	err := eachMember(filepath.Join(dir, evaFolder, catalogue+".json"), "instance_types", func(name string, value json.RawMessage) error {
		t, err := evaType(name, value)
		if err != nil {
			return err
		}
		var d struct {
			Instantiate int64 `json:"instantiate_delay"`
			RunWorker   int64 `json:"run_worker_delay"`
			Register    int64 `json:"worker_register_delay"`
			Terminate   int64 `json:"terminate_delay"`
		}
		if err := json.Unmarshal(value, &d); err != nil {
			return err
		}
		if min(d.Instantiate, d.RunWorker, d.Register, d.Terminate) < 0 {
			return errors.New("delays are not negative")
		}
		out = append(out, simulator.Offer{
			Offer: t.offer(), Asked: time.Duration(d.Instantiate) * time.Second,
			Booting: time.Duration(d.RunWorker+d.Register) * time.Second, Ending: time.Duration(d.Terminate) * time.Second,
		})
		return nil
	})
	return out, err
}

// evaArrival reads a job of one task. Its work is the iterations that the authors'
// simulator counts, at full speed.
func evaArrival(key string, value json.RawMessage) (simulator.Job, error) {
	tasks, err := evaJob(key, value)
	if err != nil {
		return simulator.Job{}, err
	}
	var j struct {
		Name       string
		Arrival    int64   `json:"arrival_time"`
		Start      int64   `json:"init_delay"`
		Throughput float64 `json:"full_throughput"`
		Iterations float64 `json:"total_iters"`
		Tasks      map[string]struct {
			Fetch int64 `json:"fetch_delay"`
			Build int64 `json:"build_image_delay"`
			Kill  int64 `json:"kill_delay"`
			Save  int64 `json:"upload_delay"`
		}
	}
	if err := json.Unmarshal(value, &j); err != nil {
		return simulator.Job{}, err
	}
	if len(tasks) != 1 || j.Name == "" || j.Arrival < 0 || !(j.Throughput > 0) || j.Iterations < 0 {
		return simulator.Job{}, errors.New("a job has a name, one task, an arrival and iterations that are not negative, and a throughput above 0")
	}
	t := j.Tasks[tasks[0].name]
	if min(j.Start, t.Fetch, t.Build, t.Kill, t.Save) < 0 {
		return simulator.Job{}, errors.New("delays are not negative")
	}
	return simulator.Job{
		Name: j.Name, Program: programOf(j.Name), Needs: tasks[0].variant(), Arrives: time.Duration(j.Arrival) * time.Second,
		Work:  time.Duration(j.Iterations / j.Throughput * float64(time.Second)),
		Fetch: time.Duration(t.Fetch) * time.Second, Build: time.Duration(t.Build) * time.Second, Start: time.Duration(j.Start) * time.Second,
		Stop: time.Duration(t.Kill) * time.Second, Save: time.Duration(t.Save) * time.Second,
	}, nil
}

// programOf is the workload's name without the number that tells its demands apart.
func programOf(name string) string {
	base, _, _ := strings.Cut(name, "[")
	return base
}

// evaSlow reads the matrix: the share of its speed that the program of a row keeps
// beside the one of a column.
func evaSlow(dir string) (func(program, other string) float64, error) {
	path := filepath.Join(dir, evaFolder, "contention_matrix.csv")
	f, err := os.Open(path)
	if err != nil {
		return nil, purser.Errorf(purser.KindNotFound, "bench", "the trace %s cannot be read: %w", path, err)
	}
	defer func() { _ = f.Close() }()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) < 2 {
		return nil, purser.Errorf(purser.KindInvalid, "bench", "%s: %w", path, cmp.Or(err, errors.New("there is nothing in it")))
	}
	shares := map[[2]string]float64{}
	program := func(s string) string { return strings.TrimSuffix(s, "_node0") }
	for i, row := range rows[1:] {
		for k, cell := range row[1:] {
			share, err := evaUnknown, error(nil)
			if cell != "x" {
				share, err = strconv.ParseFloat(cell, 64)
			}
			if err != nil || !(share > 0 && share <= 1) {
				return nil, purser.Errorf(purser.KindInvalid, "bench", "%s:%d: %q is no share of a speed", path, i+2, cell)
			}
			shares[[2]string{program(row[0]), program(rows[0][k+1])}] = share
		}
	}
	return func(p, other string) float64 {
		if s, ok := shares[[2]string{p, other}]; ok {
			return s
		}
		return evaUnknown
	}, nil
}
