package jobfile

import (
	"errors"
	"strings"

	"purser"
)

// job is a job as it is read, before it becomes the noun.
type job struct {
	at      value
	written written
	noun    purser.Job
	groups  []group
}

var jobFields = []field[job]{
	{"name", func(_ *reader, j *job, v value) (err error) { j.noun.Name, err = v.name("a job"); return }},
	{"project", func(_ *reader, j *job, v value) (err error) { j.noun.Project, err = v.name("a project"); return }},
	{"labels", func(_ *reader, j *job, v value) (err error) { j.noun.Labels, err = readLabels(v); return }},
	{"priority", func(_ *reader, j *job, v value) (err error) { j.noun.Priority, err = v.integer(-1000, 1000); return }},
	{"train", func(r *reader, j *job, v value) error { return j.addGroup(r, purser.Training, "train", v, false) }},
	{"serve", func(r *reader, j *job, v value) error { return j.addGroup(r, purser.Inference, "serve", v, false) }},
	{"groups", readGroups},
}

var jobTable = table[job]{what: "a job", fields: jobFields, elsewhere: misplaced()}

// misplaced says of the fields of groups where they belong.
func misplaced() map[string]string {
	out := map[string]string{}
	for _, f := range groupTable(purser.Training, true).fields {
		out[f.name] = f.name + " belongs in train or serve"
	}
	out["kind"] = "write train: or serve: with the fields of the group"
	for _, f := range trainingFields() {
		out[f.name] = f.name + " belongs in train"
	}
	for _, f := range inferenceFields() {
		out[f.name] = f.name + " belongs in serve"
	}
	return out
}

// file is the whole of a job file.
type file struct {
	jobs   value
	single job
}

// jobFileTable has the fields of a file of jobs, and those of a job for the short
// form, where the one job stands at the top.
var jobFileTable = table[file]{what: "a job file", elsewhere: jobTable.elsewhere, fields: append([]field[file]{
	{"version", func(_ *reader, _ *file, v value) error { return v.version() }},
	{"jobs", func(_ *reader, f *file, v value) error {
		f.jobs = v
		if !v.isList() {
			return v.wrong("a list of jobs", "write - name: … for each job")
		}
		if len(v.node.Content) == 0 {
			return v.fail("", "the list of jobs is empty")
		}
		return nil
	}},
}, lift(jobFields, func(f *file) *job { return &f.single })...)}

// version refuses formats that this package does not know.
func (v value) version() error {
	n, err := v.integer(0, 1<<30)
	if err == nil && n != 1 {
		err = v.fail("this Purser reads version 1", "version %d of the file is not known", n)
	}
	return err
}

func (v value) name(what string) (string, error) {
	s, err := v.text(maxWord)
	if err == nil && !purser.ValidName(s) {
		hint := "up to 63 of a-z, 0-9, '.', '_' and '-', beginning and ending with a letter or digit"
		if low := strings.ToLower(s); low != s && purser.ValidName(low) {
			hint = "write " + low
		}
		err = v.fail(hint, "%q cannot name %s", clip(s), what)
	}
	return s, err
}

// serviceRetries is how often a service that ends by itself is started again unless
// its file says less: who serves does not want to end.
const serviceRetries = 1000

// addGroup reads a group's fields; base is its name when it gives none.
func (j *job) addGroup(r *reader, kind purser.GroupKind, base string, v value, listForm bool) error {
	g := group{at: v, noun: purser.TaskGroup{Name: base, Kind: kind}}
	if kind == purser.Inference {
		g.noun.Retries = serviceRetries
	}
	var err error
	if g.written, err = groupTables[kind][listForm].read(r, v, &g); err != nil {
		return err
	}
	if err := g.finish(kind); err != nil {
		return err
	}
	g.base = g.noun.Name
	groups, err := g.atSites()
	if err != nil {
		return err
	}
	for _, one := range groups {
		j.groups = append(j.groups, one)
		j.noun.Groups = append(j.noun.Groups, one.noun)
	}
	return nil
}

func readGroups(r *reader, j *job, v value) error {
	if !v.isList() {
		return v.wrong("a list of groups", "write - kind: training, or use train: and serve:")
	}
	items := v.items()
	if len(items) == 0 {
		return v.fail("", "the list of groups is empty")
	}
	if len(items) > purser.MaxGroupsPerJob {
		return v.fail("", "a job has at most %d task groups", purser.MaxGroupsPerJob)
	}
	for _, item := range items {
		kind, err := kindOf(item)
		if err != nil {
			return err
		}
		base := "train"
		if kind == purser.Inference {
			base = "serve"
		}
		if err := j.addGroup(r, kind, base, item, true); err != nil {
			return err
		}
	}
	return nil
}

// kindOf finds the kind of a group in the list form, which decides what the
// other fields may be.
func kindOf(v value) (purser.GroupKind, error) {
	if !v.isMapping() {
		return "", v.wrong("a group with fields", "")
	}
	const hint = "write kind: training or kind: inference"
	for _, p := range v.pairs() {
		if p.name != "kind" {
			continue
		}
		if k := purser.GroupKind(p.node.Value); k == purser.Training || k == purser.Inference {
			return k, nil
		}
		if p.isMapping() || p.isList() {
			return "", p.wrong("training or inference", hint)
		}
		return "", p.fail(hint, "%q is not a kind of group", clip(p.node.Value))
	}
	return "", v.fail(hint, "the group has no kind")
}

// finish gives the checked noun.
func (j *job) finish(r *reader) (purser.Job, error) {
	if !j.written.has("name") {
		return purser.Job{}, j.at.fail("add name: my-job", "a job needs a name")
	}
	if j.noun.Project == "" {
		j.noun.Project = r.project
	}
	if len(j.groups) == 0 {
		return purser.Job{}, j.at.fail("add train: or serve: with what is to run", "the job has nothing to run")
	}
	j.spreadAfter()
	if err := j.noun.Check(); err != nil {
		return purser.Job{}, j.blame(err)
	}
	return j.noun, nil
}

// blame turns an error of purser.Job.Check, which knows the noun's fields, into
// one at the line of the file.
func (j *job) blame(err error) error {
	refusal, ok := errors.AsType[*purser.Error](err)
	if !ok || refusal.Place == nil {
		return j.at.fail("", "%s", err)
	}
	e := j.find(refusal.Place.Path).fail(refusal.Hint, "%s", refusal.Message)
	if e.Hint == "" && strings.HasPrefix(refusal.Message, "two groups are named") {
		e.Hint = "give each a name of its own"
	}
	return e
}
