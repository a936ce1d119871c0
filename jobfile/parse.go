package jobfile

import (
	"errors"
	"io"
	"time"

	"purser"
)

// Options are what a job file does not say itself.
type Options struct {
	// Project is given to jobs that name none. Defaults to "default".
	Project string
	// Now is what deadlines such as "in 12h" count from. The zero time refuses
	// them.
	Now time.Time
	// ReadFile brings a file beside the job file; the path is relative, clean,
	// with slashes, and never climbs. Parse with nil refuses local files; Load
	// with nil reads them from the job file's folder.
	ReadFile func(path string) ([]byte, error)
	// Stdin is what Load and LoadLimits read for the path "-". Defaults to
	// os.Stdin.
	Stdin io.Reader
}

// DefaultProject is the project of a job when neither the file nor the options
// name one.
const DefaultProject = "default"

// Parse reads a job file. The name is for errors, and decides by its ending
// (.json) whether anything but JSON is refused. Every job passes
// purser.Job.Check; ids, states and times are left empty. A deadline in the past
// is the server's business.
func Parse(name string, data []byte, opt Options) ([]purser.Job, error) {
	jobs, err := parse(name, data, opt)
	if err != nil {
		return nil, inFile(name, err)
	}
	return jobs, nil
}

func parse(name string, data []byte, opt Options) ([]purser.Job, error) {
	r := &reader{project: opt.Project, now: opt.Now, readFile: opt.ReadFile}
	if r.project == "" {
		r.project = DefaultProject
	}
	root, err := parseTree(name, data)
	if err != nil {
		return nil, err
	}
	if !root.isMapping() {
		return nil, root.wrong("a job file with fields", "it begins with name, or with jobs and a list")
	}
	f := file{single: job{at: root}}
	w, err := jobFileTable.read(r, root, &f)
	if err != nil {
		return nil, err
	}
	if !w.has("jobs") {
		f.single.written = w
		one, err := f.single.finish(r)
		return []purser.Job{one}, err
	}
	for _, name := range []string{"name", "train", "serve", "groups", "labels", "priority"} {
		if w.has(name) {
			return nil, w[name].fail("move it into the job, or leave jobs out", "%s cannot stand beside jobs", name)
		}
	}
	if w.has("project") {
		r.project = f.single.noun.Project
	}
	return readJobs(r, f.jobs)
}

func readJobs(r *reader, list value) ([]purser.Job, error) {
	items := list.items()
	out := make([]purser.Job, 0, len(items))
	first := map[[2]string]value{}
	for _, item := range items {
		j := job{at: item}
		var err error
		if j.written, err = jobTable.read(r, item, &j); err != nil {
			return nil, err
		}
		noun, err := j.finish(r)
		if err != nil {
			return nil, err
		}
		key := [2]string{noun.Project, noun.Name}
		if other, ok := first[key]; ok {
			return nil, j.written["name"].fail("give each a name of its own", "two jobs of the project %s are named %q; the first stands in line %d", noun.Project, noun.Name, other.at.Line)
		}
		first[key] = j.written["name"]
		out = append(out, noun)
	}
	return out, nil
}

// inFile puts the file's name into an error.
func inFile(name string, err error) error {
	if e, ok := errors.AsType[*purser.Error](err); ok && e.Place != nil {
		e.Place.File = name
	}
	return err
}
