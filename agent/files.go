package agent

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"purser"
	"purser/api"
)

// folders are where a task lives.
type folders struct {
	own        string // removed when the task has ended well
	work       string // working directory of its commands
	checkpoint string
	progress   string // file
}

// prepare makes the folders of a task and writes its files. What is wrong with them
// is the job's fault and makes the task fail.
func prepare(c Config, s api.TaskSpec) (folders, error) {
	f := folders{own: filepath.Join(c.Dir, "tasks", fileName(string(s.Task.ID)))}
	f.work = filepath.Join(f.own, "work")
	f.progress = filepath.Join(f.own, "progress")
	f.checkpoint = checkpointDir(c, s)
	run := s.Group.Run
	switch {
	case filepath.IsAbs(run.Workdir):
		f.work = run.Workdir
		if info, err := os.Stat(f.work); err != nil || !info.IsDir() {
			return f, purser.Errorf(purser.KindInvalid, "agent.prepare", "the working directory %s does not exist on this machine", f.work)
		}
	case run.Workdir != "":
		if !filepath.IsLocal(run.Workdir) {
			return f, purser.Errorf(purser.KindInvalid, "agent.prepare", "the working directory %q leads out of the task's own folder", run.Workdir)
		}
		f.work = filepath.Join(f.work, run.Workdir)
	}
	for _, dir := range []string{f.work, f.own, f.checkpoint} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return f, purser.Errorf(purser.KindInternal, "agent.prepare", "a folder cannot be made: %w", err)
		}
	}
	if err := linkCheckpoint(f, s.Group.Checkpoint.Path); err != nil {
		return f, err
	}
	return f, writeFiles(f.work, run.Files)
}

// checkpointDir is the same for every attempt of a replica. A group that names an
// absolute path keeps its checkpoints there.
func checkpointDir(c Config, s api.TaskSpec) string {
	if p := s.Group.Checkpoint.Path; filepath.IsAbs(p) {
		return p
	}
	job := string(s.Task.Job)
	if job == "" {
		job = s.Project + "." + s.JobName
	}
	return filepath.Join(c.CheckpointRoot, fileName(job), fileName(s.Group.Name), itoa(s.Task.Replica))
}

// linkCheckpoint lets a task that writes to a relative folder of its working
// directory find the lasting one there.
func linkCheckpoint(f folders, path string) error {
	if path == "" || filepath.IsAbs(path) {
		return nil
	}
	clean := filepath.Clean(path)
	if !filepath.IsLocal(clean) || clean == "." {
		return purser.Errorf(purser.KindInvalid, "agent.prepare", "the checkpoint folder %q leads out of the task's working directory", path)
	}
	link := filepath.Join(f.work, clean)
	err := os.MkdirAll(filepath.Dir(link), 0o755)
	if err == nil {
		err = os.Symlink(f.checkpoint, link)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return purser.Errorf(purser.KindInternal, "agent.prepare", "the checkpoint folder cannot be linked: %w", err)
	}
	return nil
}

// writeFiles writes the group's files below dir. A path can neither be absolute nor
// lead out of dir, by dots or by links.
func writeFiles(dir string, files []purser.File) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return purser.Errorf(purser.KindInternal, "agent.prepare", "the working directory cannot be opened: %w", err)
	}
	defer func() { _ = root.Close() }()
	for _, f := range files {
		if !filepath.IsLocal(f.Path) {
			return purser.Errorf(purser.KindInvalid, "agent.prepare", "the file %q leads out of the task's working directory", f.Path)
		}
		if err := writeFile(root, f); err != nil {
			return purser.Errorf(purser.KindInvalid, "agent.prepare", "the file %q cannot be written: %w", f.Path, err)
		}
	}
	return nil
}

func writeFile(root *os.Root, f purser.File) error {
	f.Path = filepath.Clean(f.Path)
	if parent := filepath.Dir(f.Path); parent != "." {
		if err := root.MkdirAll(parent, 0o755); err != nil {
			return err
		}
	}
	mode := fs.FileMode(f.Mode).Perm()
	if mode == 0 {
		mode = 0o644
	}
	out, err := root.OpenFile(f.Path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = out.Write(f.Content)
	if err == nil {
		err = out.Chmod(mode) // whatever the umask
	}
	return errors.Join(err, out.Close())
}

// fileName makes an id or a name one that is a single, harmless file name.
func fileName(s string) string {
	b := []byte(s)
	for i, c := range b {
		ok := c == '-' || c == '_' || c == '.' && i > 0 || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !ok {
			b[i] = '_'
		}
	}
	return string(b)
}

// holdsAnything says whether a folder has a file in it.
func holdsAnything(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	names, _ := f.Readdirnames(1)
	return len(names) > 0
}
